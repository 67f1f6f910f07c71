"""Where the user of `mlflow run` is, which starts its commands in the project's folder or a temporary clone of it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.place import ROOT

from pipelines.common import launcher

# A Python that starts a shell that starts a command, as `mlflow run` does.
LAUNCHER = """
    import os, subprocess, sys
    subprocess.run(
        ["sh", "-c", '"$0" -c "$1"; true', sys.executable, sys.argv[2]],
        cwd=sys.argv[1], env={**os.environ, "MLFLOW_RUN_ID": "0" * 32}, check=True,
    )
"""


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """The user's folder and the project's."""
    folders = tmp_path / "user", tmp_path / "project"
    for folder in folders:
        folder.mkdir()
    return folders


def launched(user: Path, project: Path, code: str, **environment: str) -> list[str]:
    """The lines that `code` prints, launched by a user in one folder to run in another, as `mlflow run` does it."""
    command = f"from pipelines.common import launcher; {code}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LAUNCHER), project, command],
        cwd=user,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_paths_are_relative_to_where_the_user_is(places):
    user, project = places
    (user / "raw").mkdir()
    (project / "theirs").mkdir()
    (project / "raw").mkdir()
    code = "[print(launcher.given_input(each)) for each in ('raw', 'theirs', 'none', '/etc')]"
    assert launched(user, project, code) == [str(user / "raw"), "theirs", str(user / "none"), "/etc"]
    code = "[print(launcher.given_output(each)) for each in ('table.md', '/tmp/table.md')]"
    assert launched(user, project, code) == [str(user / "table.md"), "/tmp/table.md"]


def test_a_path_without_mlflow_run_is_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    assert (launcher.given_input("raw"), launcher.given_output("a.md")) == (Path("raw"), Path("a.md"))
    assert (launcher.data_dir("data"), launcher.studies()) == ("data", "sqlite:///optuna.db")


def test_a_run_id_that_a_shell_has_kept_is_no_launcher(tmp_path):
    command = f'cd {tmp_path}; exec "$0" -c "from pipelines.common import launcher; print(launcher.users_folder())"'
    done = subprocess.run(
        ["sh", "-c", f"(export MLFLOW_RUN_ID=1; {command}); true", sys.executable],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{tmp_path}\n"


CHOICES = "print(launcher.data_dir('data'), launcher.data_dir('mine'), launcher.data_dir('/mine'), launcher.studies())"


def test_in_a_checkout_the_defaults_are_in_it(places):
    assert launched(*places, CHOICES) == ["data mine /mine sqlite:///optuna.db"]


def test_in_a_temporary_clone_the_defaults_are_outside_it_and_said(places, tmp_path):
    user, _ = places
    clone = tmp_path / "tmpa1_b2c3d"
    (clone / "sub").mkdir(parents=True)
    kept = tmp_path / "cache" / "nn-experiment-registry" / "data"
    for folder in (clone, clone / "sub"):
        lines = launched(user, folder, CHOICES, TMPDIR=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert lines == [
            f"{kept} {user / 'mine'} /mine sqlite:///{user / 'optuna.db'}",
            f"prepared data in {kept}: the checkout is a temporary clone",
            f"studies in sqlite:///{user / 'optuna.db'}: the checkout is a temporary clone",
        ]


def test_a_checkout_in_the_temporary_folder_is_no_clone_where_the_user_is_in_it(tmp_path):
    folder = tmp_path / "tmpa1_b2c3d"
    folder.mkdir()
    assert launched(folder, folder, CHOICES, TMPDIR=str(tmp_path)) == ["data mine /mine sqlite:///optuna.db"]
