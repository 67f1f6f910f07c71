"""Links planted where the product writes: what they point to stays as it is."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from analysis.__main__ import cli as analysis
from nnmodels.resnet import resnet
from pipelines.common import addresses
from pipelines.data.files import cache, download
from pipelines.errors import UnsentError, UserError
from pipelines.experiments.resnet import published
from pipelines.experiments.resnet.find import find
from pipelines.experiments.resnet.sources import Source
from pipelines.tracking import delivery
from pipelines.tracking.artifacts import log_json
from pipelines.tracking.run import Run
from pipelines.training import checkpoint

pytestmark = pytest.mark.fault(40)
PRECIOUS = "somebody else's"


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "elsewhere" / "victim"
    path.parent.mkdir()
    path.write_text(PRECIOUS)
    yield path
    assert path.read_text() == PRECIOUS
    assert os.listdir(path.parent) == ["victim"]  # noqa: PTH208


@pytest.fixture(params=[os.symlink, os.link], ids=["link", "hard link"])
def plant(request, victim):
    """A function that puts a link to the victim at each of the paths, whatever is there."""

    def put(*paths):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            request.param(victim, path)

    return put


ARRAYS = {"values.npy": [np.arange(3)], "times.npy": [np.arange(3)]}


def test_a_cache_takes_the_place_of_links(plant, tmp_path):
    # Also under the names that temporary files had in earlier versions.
    plant(*(tmp_path / f"{name}{ending}" for name in (*ARRAYS, "meta.json") for ending in ("", ".tmp")))
    cache.write(tmp_path, ARRAYS, {"format": 1})
    assert cache.read_meta(tmp_path, 1, {}) == {"format": 1}
    assert cache.map_array(tmp_path / "values.npy").tolist() == [0, 1, 2]


def test_a_lock_is_not_followed(victim, tmp_path):
    for name, start in (
        ("pjm/prepare.lock", lambda: cache.prepare("pjm", tmp_path, "given", read=None, build=None, download=None)),
        ("file.lock", lambda: download.fetch("http://127.0.0.1:9/file", tmp_path / "file", "")),
    ):
        lock = tmp_path / name
        lock.parent.mkdir(exist_ok=True)
        lock.symlink_to(victim)
        with pytest.raises(UserError, match=lock.name):
            start()


def test_a_checkpoint_takes_the_place_of_a_link(plant, tmp_path):
    path = tmp_path / "even.pt"
    plant(path, tmp_path / "even.pt.part")
    sha256 = checkpoint.save(path, {"epoch": 3})
    assert checkpoint.load(path, sha256) == {"epoch": 3}
    assert not path.is_symlink()


def served(folder, content):
    """An HTTP server of one file, in a process of its own."""
    (folder / "served").mkdir()
    (folder / "served" / "file").write_bytes(content)
    code = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "served")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process, f"http://127.0.0.1:{process.stdout.readline().strip()}/file"


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(0)
    torch.save(resnet("resnet20", shortcut="A").state_dict(), tmp_path / "state")
    process, url = served(tmp_path, (tmp_path / "state").read_bytes())
    yield Source("some", "resnet20", url, "some-resnet20.pt", 91.5, "plain", "cifar10", "MIT", 1)
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_download_and_its_record_take_the_place_of_links(plant, source, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "SOURCES", (source,))
    file = tmp_path / "data" / "weights" / source.file
    plant(file.with_name(f"{file.name}.part"))
    find("resnet20", "some", tmp_path / "data")
    record = file.with_name(f"{file.name}.json")
    record.unlink()
    plant(record.with_name(f".{record.name}.tmp"))
    find("resnet20", "some", tmp_path / "data")
    assert source.file in record.read_text()
    assert not file.is_symlink()


OUTPUTS = {
    "compare": (("compare", "--entry", "recurrent", "--output", "{0}/table.md"), ["table.md"]),
    "csv": (("export", "--output", "{0}/runs.csv"), ["runs.csv"]),
    "parquet": (("export", "--output", "{0}/runs.parquet"), ["runs.parquet"]),
    "report": (("report", "--output", "{0}"), ["report.html", "report.md", "report.tex"]),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.medium
def test_outputs_take_the_place_of_links(plant, alone, at, tmp_path, name):
    at(alone.folder, alone.uri)
    arguments, files = OUTPUTS[name]
    out = tmp_path / "out"
    plant(*(out / file for file in files))
    done = CliRunner().invoke(analysis, [argument.format(out) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert not [file for file in files if (out / file).is_symlink()]
    assert all((out / file).stat().st_size > len(PRECIOUS) for file in files)


@pytest.mark.parametrize("planted", ["tables/counts.json", "tables"])
def test_an_artifact_is_not_written_through_a_link(place, at, victim, planted, monkeypatch, capsys):
    """It is kept here instead, and the run is not FINISHED."""
    at(place.folder, place.uri)
    monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "state"))
    monkeypatch.setattr(delivery, "END_TIMEOUT_S", 0)
    run = Run.launch("linked", {})
    root = addresses.local_path(place.client.get_run(run.id).info.artifact_uri)
    link = root / planted
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim if "." in planted else victim.parent)
    with pytest.raises(UnsentError, match="a link"), run.active():
        log_json(run, {"hours": 4}, "tables/counts.json")
    assert "could not be uploaded" in capsys.readouterr().err
    found = place.runs()["linked"]
    assert found.info.status == "FAILED"
    assert "a link, through which nothing is written" in found.data.tags["failure"]
