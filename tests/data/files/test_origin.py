"""Origin of prepared data: what `prepare` records of the files, held against digests of the files on the disk."""

import hashlib
import json
import tarfile
import zipfile
from importlib import resources, util
from pathlib import Path

import numpy as np
import pytest
from support.caches import small_cifar10

from pipelines.commands import prepare
from pipelines.commands.options import PrepareOptions
from pipelines.data.energy import pjm, taylor
from pipelines.data.files import cache
from pipelines.data.images import cifar10, digits


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def series(tmp_path) -> Path:
    """The twelve files of hourly load, small."""
    folder = tmp_path / "csv"
    folder.mkdir()
    times = np.arange(130) * np.timedelta64(1, "h") + np.datetime64("2011-12-24T00", "s")
    for number, each in enumerate(pjm.SERIES):
        rows = [f"{str(time).replace('T', ' ')},{1000 + number + hour}.0" for hour, time in enumerate(times)]
        (folder / each.file).write_text("\n".join([f"Datetime,{each.name}_MW", *rows]) + "\n")
    return folder


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    return small_cifar10(tmp_path, monkeypatch)


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"inside/{path.name}")
    return Path(archive.filename)


def tarred(folder: Path) -> Path:
    path = folder.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("module", [pjm, cifar10])
@pytest.mark.parametrize("pack", [None, zipped, tarred])
def test_source_and_files_are_those_on_the_disk(series, images, tmp_path, monkeypatch, module, pack):
    folder = series if module is pjm else images
    files = {path.name: sha256(path) for path in folder.iterdir()}
    source = pack(folder) if pack else folder
    if pack:
        files[source.name] = sha256(source)
    monkeypatch.chdir(tmp_path)
    made = module.prepare("data", source=source.relative_to(tmp_path), allow_unverified=True)
    assert made.origin.where == str(source)
    assert made.origin.files == files
    assert module.load("data").origin == made.origin


def test_downloaded_files_have_the_address_of_their_page(series, publisher, tmp_path, monkeypatch):
    publisher.files |= {path.name: path.read_bytes() for path in series.iterdir()}
    small = [row._replace(sha256=sha256(series / row.file)) for row in pjm.SERIES]
    monkeypatch.setattr(pjm, "SERIES", tuple(small))
    monkeypatch.setattr(pjm, "URL", publisher.url("{file}"))
    made = pjm.prepare(tmp_path / "data")
    assert made.origin.where == pjm.PAGE
    assert made.origin.files == {path.name: sha256(path) for path in series.iterdir()}


@pytest.mark.parametrize(
    ("dataset", "file", "package"),
    [
        (taylor.load, resources.files("pipelines.data.energy") / "taylor.csv", "the project"),
        (digits.load, Path(util.find_spec("sklearn").origin).parent / "datasets/data/digits.csv.gz", "scikit-learn"),
    ],
)
def test_embedded_data_name_their_file(dataset, file, package):
    origin = dataset().origin
    assert origin.files == {file.name: sha256(file)}
    assert origin.where.startswith(f"embedded in {package}: ")
    assert str(file).endswith(origin.where.partition(": ")[2])


def earlier(folder: Path, **files: str) -> None:
    """Makes the meta file what an earlier version wrote: no source, and the digests `files`, if any."""
    meta = json.loads((folder / "meta.json").read_text())
    for key in ("meta_digest", "source"):
        del meta[key]
    (folder / "meta.json").write_text(json.dumps(meta | ({"files": files} if files else {})))


def test_of_data_that_an_earlier_version_prepared_no_source_is_made_up(series, images, tmp_path, capsys):
    pjm.prepare(tmp_path / "data", source=series, allow_unverified=True)
    cifar10.prepare(tmp_path / "data", source=images, allow_unverified=True)
    earlier(tmp_path / "data" / "pjm")
    earlier(tmp_path / "data" / "cifar10", **cifar10.SHA1)
    old = pjm.load(tmp_path / "data").origin
    assert (old.where, old.files) == ("", {path.name: sha256(path) for path in series.iterdir()})
    assert cifar10.load(tmp_path / "data").origin == type(old)()
    capsys.readouterr()
    prepare.run(PrepareOptions(dataset="cifar10", data_dir=str(tmp_path / "data")))
    assert "files: not recorded" in capsys.readouterr().err


def test_a_preparation_tells_where_its_files_are(series, tmp_path, capsys):
    options = PrepareOptions(dataset="pjm", data_dir=str(tmp_path / "data"), source=str(series), allow_unverified=True)
    prepare.run(options)
    assert f"  files: 12, {series};" in capsys.readouterr().err


@pytest.mark.parametrize("files", [3, {"a.csv": 3}, ["a.csv"]])
def test_digests_that_are_none_are_damage(files):
    with pytest.raises((TypeError, ValueError)):
        cache.origin({"source": "somewhere", "files": files})


@pytest.mark.slow
def test_the_published_files_are_recorded_by_their_digests(real_energy, tmp_path):
    made = pjm.prepare(tmp_path / "data", source=real_energy)
    assert made.origin.files == {path.name: sha256(path) for path in real_energy.iterdir()}
