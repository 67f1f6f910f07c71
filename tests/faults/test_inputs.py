"""Files that are none, archives that mean harm, data that are not what they should be: one line, at once."""

import io
import json
import os
import pickle
import socket
import stat
import subprocess
import sys
import tarfile
import zipfile
from datetime import datetime, timedelta

import numpy as np
import pytest
from support.caches import small_cifar10
from support.place import ROOT

from pipelines.__main__ import cli
from pipelines.data.energy import pjm
from pipelines.data.files import cache, source
from pipelines.data.images import cifar10
from pipelines.errors import UserError

pytestmark = pytest.mark.timeout(120)  # what hangs here hangs for ever
HOURS = 130
MODEL = ("resnet", "--dataset", "sample", "--models", "resnet20")


@pytest.fixture
def series(tmp_path):
    """All twelve files of hourly load, small and regular."""
    folder = tmp_path / "csv"
    folder.mkdir()
    times = np.arange(HOURS) * np.timedelta64(1, "h") + np.datetime64("2011-12-24T00", "s")
    for each in pjm.SERIES:
        rows = [f"{str(time).replace('T', ' ')},{1000 + number}.0" for number, time in enumerate(times)]
        (folder / each.file).write_text("\n".join([f"Datetime,{each.name}_MW", *rows]) + "\n")
    return folder


@pytest.fixture
def images(tmp_path, monkeypatch):
    return small_cifar10(tmp_path, monkeypatch)


@pytest.fixture
def refusal(place, at, capsys):
    """A function that gives the one line a command is refused with; no run is left."""

    def give(*arguments):
        at(place.folder, place.uri)
        with pytest.raises(SystemExit) as end:
            cli(list(arguments))
        assert end.value.code == 2
        # What is told of `auto` comes first.
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert place.runs() == {}
        return line

    return give


@pytest.fixture(params=["FIFO", "device", "socket"])
def no_file(request, tmp_path, monkeypatch):
    """A function that makes a path something that opening, or reading, would wait for."""
    held = []

    def make(path):
        path.unlink(missing_ok=True)
        if request.param == "FIFO":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        else:
            held.append(socket.socket(socket.AF_UNIX))
            monkeypatch.chdir(path.parent)  # the name of a socket has a hundred letters at most
            held[-1].bind(path.name)
        return str(path)

    yield make
    for each in held:
        each.close()


@pytest.mark.fault(25)
@pytest.mark.parametrize("dataset", ["pjm", "cifar10"])
def test_a_source_that_is_no_file_is_refused(refusal, no_file, tmp_path, dataset):
    given = no_file(tmp_path / "a.zip")
    line = refusal("prepare", "--dataset", dataset, "--source", given)
    assert f"cannot prepare {dataset}: {given}: a " in line
    assert "no file; give a readable source" in line


@pytest.mark.fault(25)
def test_a_data_file_that_is_no_file_is_refused(refusal, no_file, series, images):
    for dataset, folder, file in (("pjm", series, "AEP_hourly.csv"), ("cifar10", images, "data_batch_1.bin")):
        given = no_file(folder / file)
        line = refusal("prepare", "--dataset", dataset, "--source", str(folder), "--allow-unverified", "true")
        assert f"cannot prepare {dataset}: {given}: a " in line


@pytest.mark.fault(25)
def test_weights_that_are_no_file_are_refused(refusal, no_file, tmp_path):
    given = no_file(tmp_path / "resnet20.pt")
    assert "is neither a file nor a folder" in refusal(*MODEL, "--weights", given)
    assert "no file in it is named after resnet20" in refusal(*MODEL, "--weights", str(tmp_path))


@pytest.mark.fault(26)
@pytest.mark.parametrize("file", ["values.npy", "times.npy", "meta.json"])
def test_a_cache_that_is_no_file_is_refused(refusal, no_file, series, tmp_path, file):
    pjm.prepare(tmp_path / "data", source=series, allow_unverified=True)
    no_file(tmp_path / "data" / "pjm" / file)
    with pytest.raises(UserError, match="python -m pipelines prepare --dataset pjm"):
        pjm.load(tmp_path / "data")
    line = refusal(
        "prepare",
        "--dataset",
        "pjm",
        "--source",
        str(series),
        "--allow-unverified",
        "true",
        "--data-dir",
        str(tmp_path / "data"),
    )
    assert f"{file}: a " in line, "nothing takes the place of what is no file"


# Archives.


def tar(path, folder, *members):
    """All files of `folder` in an archive, after `members`: headers and contents."""
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
        for file in folder.iterdir():
            archive.add(file, file.name)
    return path


def member(name, kind=tarfile.REGTYPE, content=b"", link=""):
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, len(content), link
    return made, content


HARMFUL = {
    "link": lambda name: member(name, tarfile.SYMTYPE, link="/etc/passwd"),
    "hard link": lambda name: member(name, tarfile.LNKTYPE, link="/etc/passwd"),
    "FIFO": lambda name: member(name, tarfile.FIFOTYPE),
    "device": lambda name: member(name, tarfile.CHRTYPE),
}


@pytest.mark.fault(25)
@pytest.mark.parametrize("kind", HARMFUL)
@pytest.mark.parametrize("where", ["", "../", "/"])
def test_a_member_that_is_no_file_is_refused(refusal, series, images, tmp_path, kind, where):
    for dataset, folder, file in (("pjm", series, "AEP_hourly.csv"), ("cifar10", images, "data_batch_1.bin")):
        given = tar(tmp_path / f"{dataset}.tar.gz", folder, HARMFUL[kind](where + file))
        line = refusal("prepare", "--dataset", dataset, "--source", str(given), "--allow-unverified", "true")
        assert "is a link, device or FIFO, not a file" in line or "leads out of the archive" in line


@pytest.mark.fault(25)
@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_zip_member_that_is_no_file_is_refused(series, tmp_path, kind):
    given = tmp_path / "a.zip"
    with zipfile.ZipFile(given, "w") as archive:
        info = zipfile.ZipInfo("AEP_hourly.csv")
        info.external_attr = (kind | 0o644) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=r"AEP_hourly\.csv is a link, device or FIFO, not a file"):
        pjm.prepare(tmp_path / "data", source=given)


BOMBS = {
    "a wanted file": lambda: [member("AEP_hourly.csv", content=bytes(1 << 24))],
    "another file": lambda: [member("README", content=bytes(1 << 24))],
    "many files": lambda: [member(f"{number}") for number in range(1 << 14)],
    "many folders": lambda: [member(f"{number}", tarfile.DIRTYPE) for number in range(1 << 14)],
    "a long name": lambda: [member("x" * (1 << 23))],
}


@pytest.mark.fault(25)
@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.medium
def test_a_bomb_is_not_unpacked(series, tmp_path, monkeypatch, bomb):
    """Of each kind, with limits of a few MiB in place of the real ones."""
    monkeypatch.setattr(pjm, "MAX_FILE_BYTES", 1 << 16)
    monkeypatch.setattr(source, "BESIDE_BYTES", 1 << 22)
    given = tar(tmp_path / "a.tar.gz", series, *BOMBS[bomb]())
    assert given.stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"unpacks to more than 4 MiB|is larger than 65536 bytes"):
        pjm.prepare(tmp_path / "data", source=given, allow_unverified=True)


@pytest.mark.fault(25)
def test_a_header_that_claims_more_than_there_is_costs_nothing(series, tmp_path):
    """An archive of a kilobyte whose first member claims a terabyte, and whose names claim a gigabyte."""
    given = tmp_path / "a.tar.gz"
    for kind, size in ((tarfile.REGTYPE, 1 << 40), (tarfile.GNUTYPE_LONGNAME, 1 << 32), (tarfile.XHDTYPE, 1 << 32)):
        header = tarfile.TarInfo("README")
        header.type, header.size = kind, size
        with tarfile.open(given, "w:gz") as archive:
            archive.fileobj.write(header.tobuf(tarfile.GNU_FORMAT))
        with pytest.raises(UserError, match="unpacks to more than"):
            pjm.prepare(tmp_path / "data", source=given, allow_unverified=True)


@pytest.mark.fault(25)
def test_a_zip_bomb_is_not_unpacked(series, tmp_path, monkeypatch):
    monkeypatch.setattr(pjm, "MAX_FILE_BYTES", 1 << 16)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", bytes(1 << 24))  # never looked into
        archive.writestr("AEP_hourly.csv", bytes(1 << 24))
    with pytest.raises(UserError, match=r"AEP_hourly\.csv is larger than 65536 bytes"):
        pjm.prepare(tmp_path / "data", source=tmp_path / "a.zip", allow_unverified=True)


# Data folders.


class Harm:
    """Unpickled, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.fault(19)
def test_a_pickle_in_a_cache_is_not_run(series, tmp_path):
    pjm.prepare(tmp_path / "data", source=series, allow_unverified=True)
    victim = tmp_path / "harmed"
    for file in ("values.npy", "times.npy"):
        np.save(tmp_path / "data" / "pjm" / file, np.array([Harm(victim)], dtype=object), allow_pickle=True)
        with pytest.raises(UserError, match="damaged or of another version; run: python -m pipelines prepare"):
            pjm.load(tmp_path / "data")
    (tmp_path / "data" / "pjm" / "meta.json").write_bytes(pickle.dumps(Harm(victim)))
    with pytest.raises(UserError, match="damaged"):
        pjm.load(tmp_path / "data")
    assert not victim.exists()
    pickle.loads(pickle.dumps(Harm(victim)))
    assert victim.is_dir(), "it would do no harm anyway"


@pytest.mark.fault(26)
@pytest.mark.parametrize("earlier", [False, True], ids=["now", "of an earlier version"])
@pytest.mark.parametrize("key", ["series", "offsets", "counts", "digest", "format", "verified"])
def test_whatever_stands_in_a_meta_file_it_is_one_line(series, tmp_path, key, earlier):
    pjm.prepare(tmp_path / "data", source=series, allow_unverified=True)
    meta = tmp_path / "data" / "pjm" / cache.META_FILE
    whole = json.loads(meta.read_text())
    if earlier:
        del whole["meta_digest"]
        meta.write_text(json.dumps(whole))
        pjm.load(tmp_path / "data")
    for value in (None, [], {}, "pjm", 3, float("nan"), [[]]):
        if earlier and type(value) is type(whole[key]) and not isinstance(value, list | str):
            continue  # what stands for another truth cannot be told without the digest
        meta.write_text(json.dumps(whole | {key: value}))
        with pytest.raises(UserError, match="damaged or of another version"):
            pjm.load(tmp_path / "data")


@pytest.mark.fault(26)
def test_a_changed_figure_in_a_meta_file_is_found(images, tmp_path):
    cifar10.prepare(tmp_path / "data", source=images, allow_unverified=True)
    meta = tmp_path / "data" / "cifar10" / cache.META_FILE
    whole = json.loads(meta.read_text())
    meta.write_text(json.dumps(whole | {"mean": [0.5, 0.5, 0.5]}))
    with pytest.raises(UserError, match="damaged or of another version"):
        cifar10.load(tmp_path / "data")


# Hours.

TIMES = {
    "far future": "9999-12-31 23:00:00",
    "beyond nanoseconds": "2300-01-01 00:00:00",
    "long ago": "0001-01-01 00:00:00",
    "before nanoseconds": "1600-01-01 00:00:00",
}


@pytest.mark.fault(27)
@pytest.mark.parametrize("time", TIMES)
def test_hours_that_are_far_away_are_kept_and_the_gap_counted(series, tmp_path, time):
    file = series / "AEP_hourly.csv"
    file.write_text(f"{file.read_text()}{TIMES[time]},7.0\n")
    dataset = pjm.prepare(tmp_path / "data", source=series, allow_unverified=True)
    counts = dataset.counts["AEP"]
    first, far = datetime(2011, 12, 24), datetime.fromisoformat(TIMES[time])
    last = first + timedelta(hours=HOURS - 1)
    gap = (far - last if far > last else first - far) // timedelta(hours=1) - 1
    assert counts == {"rows": HOURS + 1, "unsorted": int(far < first), "duplicated": 0, "missing": gap, "zero": 0}


# Several at once.


@pytest.mark.fault(24)
@pytest.mark.medium
def test_three_preparations_at_once_build_one_cache(series, tmp_path):
    """Processes, each of which finds nothing there; that the cache is built anew is told by its inode."""
    data = tmp_path / "data"
    code = f"""
import sys
from pathlib import Path
from pipelines.data.files import cache; from pipelines.data.energy import pjm
built = Path(sys.argv[1])
write = cache.write
def counted(*arguments):
    built.touch()
    write(*arguments)
cache.write = counted
pjm._download = lambda folder: Path({str(series)!r})
print("ready", flush=True)
sys.stdin.readline()
print(pjm.prepare({str(data)!r}, allow_unverified=True).digest)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / f"built{number}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    digests = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert digests == {f"{pjm.load(data).digest}\n"}
    assert len(list(tmp_path.glob("built*"))) == 1
    assert sorted(path.name for path in (data / "pjm").iterdir()) == [
        "meta.json",
        "prepare.lock",
        "times.npy",
        "values.npy",
    ]
