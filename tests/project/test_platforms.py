"""What is said where the product cannot run as it does on Linux, and what runs there still."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.place import ROOT

from analysis import formats
from analysis.errors import InputError
from pipelines.data.files import cache, download
from pipelines.errors import UserError

# As far as these modules can tell, Windows.
ELSEWHERE = """
    import multiprocessing, sys
    import psutil  # whose part for Linux needs what is hidden here
    sys.modules["resource"] = None
    multiprocessing.get_all_start_methods = lambda: ["spawn"]
    from pipelines.__main__ import cli
    cli(sys.argv[1:])
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ELSEWHERE), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )


def test_training_is_refused_in_one_line_where_processes_cannot_be_forked(tmp_path):
    done = run(tmp_path, "recurrent", "--dataset", "sample")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: recurrent runs on Linux and macOS only")
    assert "WSL" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.medium
def test_preparing_runs_without_what_only_unix_has(tmp_path):
    done = run(tmp_path, "prepare", "--dataset", "sample")
    assert done.returncode == 0, done.stderr
    assert "sample: " in done.stderr


def unwritable(folder: Path) -> Path:
    """A folder that not even root can make anything in."""
    file = folder / "file"
    file.touch()
    return file / "below"


def test_the_remedy_for_a_folder_that_cannot_be_written_is_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    folder = unwritable(tmp_path)
    with pytest.raises(UserError, match=r"a data_dir that can be written, e\.g\. --data-dir /home/me/nn-data"):
        cache.prepare("cifar10", folder, "given", read=None, build=None, download=None)
    with pytest.raises(UserError, match=r"room to write in, e\.g\. --data-dir /home/me/nn-data"):
        download.fetch("http://127.0.0.1:9/file", folder / "file", "00")


def test_the_remedy_for_an_output_that_cannot_be_written_is_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    path = unwritable(tmp_path) / "table.md"
    with pytest.raises(InputError) as refusal:
        formats.write(path, "")
    reason = "Not a directory; give another path, e.g. /home/me/table.md"
    assert refusal.value.message == f"output: cannot write {path}: {reason}"
