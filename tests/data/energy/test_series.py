"""Energy data: the published files against counts found elsewhere, every other case on small files of known content."""

import csv
import hashlib
import os
import shutil
import tarfile
import threading
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import pytest
from support.caches import cut, fewer, flip, other_version

from pipelines.data.datasets import LOAD, find
from pipelines.data.energy import pjm, taylor
from pipelines.data.energy.pjm import load, prepare
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.data.files import cache
from pipelines.errors import UserError

START = datetime(2011, 12, 25)
HOURS = 130
AEP = "AEP_hourly.csv"


def lines(name, hours=HOURS):
    """A regular file: hour i has the load 1000 + i."""
    return [f"Datetime,{name}_MW", *(f"{START + timedelta(hours=i)},{1000.0 + i}" for i in range(hours))]


def write(path, content):
    path.write_text("\n".join(content) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """All twelve files, small and regular."""
    folder = tmp_path / "csv"
    folder.mkdir()
    for series in pjm.SERIES:
        write(folder / series.file, lines(series.name))
    return folder


@pytest.fixture
def prepare_unverified(tmp_path):
    """`prepare` of files that are not the published ones, into ``tmp_path/data``."""
    return partial(prepare, tmp_path / "data", allow_unverified=True)


@pytest.fixture
def published(publisher, folder, monkeypatch):
    """Makes the small files the published ones, served over HTTP; gives the server."""
    publisher.files |= {row.file: (folder / row.file).read_bytes() for row in pjm.SERIES}
    series = [row._replace(sha256=hashlib.sha256(publisher.files[row.file]).hexdigest()) for row in pjm.SERIES]
    monkeypatch.setattr(pjm, "SERIES", tuple(series))
    monkeypatch.setattr(pjm, "URL", publisher.url("{file}"))
    return publisher


def dataset_of(lengths):
    """A data set of which only the lengths of the series matter."""
    offsets = (0, *np.cumsum(lengths).tolist())
    names = tuple(f"S{i}" for i in range(len(lengths)))
    return EnergyDataset("pjm", names, np.empty((0, 5)), np.empty(0), offsets, "", {})


# The published files


@pytest.fixture(scope="session")
def real(real_energy, tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("pjm"), source=real_energy)


def test_published_files_give_the_known_counts(real):
    # Order as the tutorial's notebook printed it; counts as found by an independent script.
    order = "PJM_Load DOM FE COMED AEP DEOK NI EKPC DUQ PJMW DAYTON PJME"
    assert real.series == tuple(order.split())
    assert real.verified
    assert [real.counts[series.name]["rows"] for series in pjm.SERIES] == [series.rows for series in pjm.SERIES]
    assert all(counts["unsorted"] > 0 for counts in real.counts.values())
    assert sorted(counts["duplicated"] for counts in real.counts.values()) == [0, 0] + [4] * 10
    assert {6, 30} <= {counts["missing"] for counts in real.counts.values()} <= set(range(6, 31))
    assert {name for name, counts in real.counts.items() if counts["zero"]} == {"FE"}
    assert real.counts["FE"]["zero"] == 1
    assert real.values[real.offsets[2], 0] == 0


def test_published_files_give_the_known_windows(real):
    parts = split(real)
    assert sum(map(len, parts["train"])) == 980_185
    assert sum(map(len, parts["test"])) == 108_902


def test_a_published_file_agrees_with_a_plain_reading(real, real_energy):
    with (real_energy / "EKPC_hourly.csv").open(newline="") as file:
        rows = sorted(list(csv.reader(file))[1:], key=lambda row: row[0])
    begin, end = real.offsets[7:9]
    assert real.times[begin:end].tolist() == [datetime.fromisoformat(time) for time, _ in rows]
    assert real.values[begin:end, 0].tolist() == [float(load) for _, load in rows]


def test_calendar_features_are_those_of_the_standard_library(real):
    some = range(0, len(real.times), 997)
    times = [real.times[row].item() for row in some]
    expected = [(time.hour, time.weekday(), time.month, time.timetuple().tm_yday) for time in times]
    np.testing.assert_array_equal(real.values[some, 1:], expected)


# The policy


@pytest.mark.fault(27)
def test_sorts_stably_keeps_duplicates_gaps_and_zeros_and_counts_them(folder, prepare_unverified):
    header, *rows = lines("AEP")
    first, second, third, *rest = rows
    del rest[10:13]
    write(folder / AEP, [header, *rest, third, first, f"{second[:19]},0.0", f"{second[:19]},7.5"])
    dataset = prepare_unverified(source=folder)
    assert dataset.counts["AEP"] == {"rows": 128, "unsorted": 2, "duplicated": 1, "missing": 3, "zero": 1}
    assert dataset.counts["DOM"] == {"rows": 130, "unsorted": 0, "duplicated": 0, "missing": 0, "zero": 0}
    begin, end = dataset.offsets[4:6]
    assert end - begin == 128
    assert dataset.values[begin : begin + 5, 0].tolist() == [1000, 0, 7.5, 1002, 1003]
    assert np.all(np.diff(dataset.times[begin:end]) >= np.timedelta64(0, "s"))


def test_values_are_float32_in_raw_units_mapped_and_read_only(folder, prepare_unverified):
    dataset = prepare_unverified(source=folder)
    assert isinstance(dataset.values, np.memmap)
    assert dataset.values.dtype == np.float32
    assert dataset.times.dtype == np.dtype("datetime64[s]")
    assert dataset.values.shape == (12 * HOURS, 5)
    assert dataset.offsets == tuple(range(0, 12 * HOURS + 1, HOURS))
    # 25 December 2011 was a Sunday, the 359th day of the year.
    assert dataset.values[1].tolist() == [1001, 1, 6, 12, 359]
    with pytest.raises(ValueError, match="read-only"):
        dataset.values[0, 0] = 1


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("line", "content", "reason"),
    [
        (1, "Datetime,DOM_MW", "columns"),
        (1, "Datetime,AEP_MW,more", "columns"),
        (2, "2011-12-25 00:00:00,1,2", "2 fields"),
        (50, "2011-12-25 00:00:00,1,2", "2 fields"),
        (50, "2011-12-25 00:00:00", "2 fields"),
        (50, '"2011-12-25 00:00:00,1', "2 fields"),
        (50, '2011-12-25 00:00:00,"1', "2 fields"),
        (50, "2011-12-25 00:00:00,", "load ''"),
        (50, "2011-12-25 00:00:00,nan", "load 'nan'"),
        (50, "2011-12-25 00:00:00,-0.5", "load '-0.5'"),
        (50, "2011-12-25 00:00:00,inf", "load 'inf'"),
        (50, "2011-12-25 00:00:00,1e39", "load '1e39'"),
        (131, "2011-12-25 00:00:00,many", "load 'many'"),
        (50, ",1.0", "full hour"),
        (50, "25.12.2011 00:00,1.0", "full hour"),
        (50, " 2011-12-25 00:00:00,1.0", "full hour"),
        (50, "2011-02-29 00:00:00,1.0", "full hour"),
        (50, "2011-12-25 00:30:00,1.0", "full hour"),
        (50, "2011-12-25 00:00:00+00:00,1.0", "full hour"),
    ],
)
def test_a_bad_line_is_named(folder, prepare_unverified, line, content, reason):
    broken = lines("AEP")
    broken[line - 1] = content
    write(folder / AEP, broken)
    with pytest.raises(UserError) as error:
        prepare_unverified(source=folder)
    assert f"{AEP}, line {line}: " in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_the_first_of_several_bad_lines_is_named_and_blank_lines_count(folder, prepare_unverified):
    broken = lines("AEP")
    broken[20], broken[70], broken[90] = "", "2011-12-25 00:00:00,x", "y,1,2"
    write(folder / AEP, broken)
    with pytest.raises(UserError, match="line 71: "):
        prepare_unverified(source=folder)


def test_a_byte_that_is_not_utf8_is_named(folder, prepare_unverified):
    content = "\n".join(lines("AEP")).encode()
    (folder / AEP).write_bytes(content.replace(b"1005.0", b"10\xe905"))
    with pytest.raises(UserError, match="line 7: byte 0xe9 is not UTF-8"):
        prepare_unverified(source=folder)


def test_dates_that_are_all_numbers_are_refused(folder, prepare_unverified):
    write(folder / AEP, ["Datetime,AEP_MW", *(f"{2000 + i},1.0" for i in range(HOURS))])
    with pytest.raises(UserError, match="line 2: '2000' is not a full hour"):
        prepare_unverified(source=folder)


def test_an_empty_file_is_named(folder, prepare_unverified):
    (folder / AEP).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{AEP}, line 1: "):
        prepare_unverified(source=folder)


def test_a_series_needs_lookback_and_twenty_hours(folder, prepare_unverified):
    write(folder / AEP, lines("AEP", hours=109))
    with pytest.raises(UserError, match=rf"{AEP}, line 110: .* 110 are needed"):
        prepare_unverified(source=folder)
    write(folder / AEP, lines("AEP", hours=110))
    assert prepare_unverified(source=folder).counts["AEP"]["rows"] == 110


def test_a_further_column_is_refused_wherever_it_stands(folder, prepare_unverified):
    header, *rows = lines("AEP")
    write(folder / AEP, [header, *(f"{number},{row}" for number, row in enumerate(rows))])
    with pytest.raises(UserError, match=r"line 2: .* is not 2 fields"):
        prepare_unverified(source=folder)


def test_columns_in_another_order_are_refused(folder, prepare_unverified):
    write(folder / AEP, [",".join(reversed(line.split(","))) for line in lines("AEP")])
    with pytest.raises(UserError, match="line 1: the columns are 'AEP_MW,Datetime'"):
        prepare_unverified(source=folder)


def test_byte_order_mark_and_crlf_are_read(folder, prepare_unverified):
    plain = prepare_unverified(source=folder)
    windows = b"\xef\xbb\xbf" + "\r\n".join(lines("AEP")).encode()
    (folder / AEP).write_bytes(windows)
    assert prepare_unverified(source=folder).digest == plain.digest
    (folder / AEP).write_bytes(windows.replace(b"1005.0", b"many"))
    with pytest.raises(UserError, match="line 7: the load 'many'"):
        prepare_unverified(source=folder)


# Sources


def test_a_file_that_is_not_the_published_one_is_refused_unless_allowed(folder, tmp_path):
    with pytest.raises(UserError, match=r"_hourly\.csv: sha256 .*--allow-unverified"):
        prepare(tmp_path / "data", source=folder)
    assert not find("pjm", LOAD).is_prepared(tmp_path / "data")
    assert not prepare(tmp_path / "data", source=folder, allow_unverified=True).verified
    assert not load(tmp_path / "data").verified


def test_published_files_are_verified(folder, published, tmp_path):
    assert prepare(tmp_path / "data", source=folder).verified
    write(folder / AEP, lines("AEP", hours=120))
    with pytest.raises(UserError, match=rf"{AEP}: sha256"):
        prepare(tmp_path / "data", source=folder)


def test_missing_files_are_named(folder, prepare_unverified):
    (folder / AEP).unlink()
    (folder / "DOM_hourly.csv").unlink()
    with pytest.raises(UserError, match=rf"DOM_hourly\.csv, {AEP}"):
        prepare_unverified(source=folder)


def test_other_files_of_the_folder_are_left_alone(folder, prepare_unverified):
    (folder / "pjm_hourly_est.csv").write_bytes(b"\xff")
    assert len(prepare_unverified(source=folder).series) == 12


def make_zip(path, folder, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, prefix + file.name)
    return path


def make_tar(path, folder, prefix=""):
    with tarfile.open(path, "w:gz") as archive:
        for file in folder.iterdir():
            archive.add(file, prefix + file.name)
    return path


@pytest.mark.fault(25)
@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("prefix", ["", "GRU_Prediction-main/data/", "../../outside/"])
def test_an_archive_gives_what_its_folder_gives_and_unpacks_nothing(folder, tmp_path, make, prefix):
    (folder / "README.md").write_text("not wanted")
    (own := tmp_path / "deep" / "down").mkdir(parents=True)  # other tests fill the folder above tmp_path
    prepare_unverified = partial(prepare, own / "data", allow_unverified=True)
    expected = prepare_unverified(source=folder).digest
    archive = make(own / "archive", folder, prefix)
    before = set(tmp_path.rglob("*"))
    assert prepare_unverified(source=archive).digest == expected
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.fault(25)
def test_links_in_archives_are_refused(folder, prepare_unverified, tmp_path):
    (folder / AEP).unlink()
    tar = make_tar(tmp_path / "a.tar.gz", folder)
    with tarfile.open(tar, "w:gz") as archive:
        link = tarfile.TarInfo(AEP)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    with pytest.raises(UserError, match=rf"{AEP} is a link"):
        prepare_unverified(source=tar)
    with zipfile.ZipFile(make_zip(tmp_path / "a.zip", folder), "a") as archive:
        link = zipfile.ZipInfo(AEP)
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(UserError, match=rf"{AEP} is a link"):
        prepare_unverified(source=tmp_path / "a.zip")


def test_a_file_twice_in_an_archive_is_refused(folder, prepare_unverified, tmp_path):
    with zipfile.ZipFile(make_zip(tmp_path / "a.zip", folder), "a") as archive:
        archive.write(folder / AEP, f"copy/{AEP}")
    with pytest.raises(UserError, match=f"second {AEP}"):
        prepare_unverified(source=tmp_path / "a.zip")


def test_a_file_too_large_is_refused(folder, prepare_unverified, tmp_path, monkeypatch):
    monkeypatch.setattr(pjm, "MAX_FILE_BYTES", 1000)
    for source in (folder, make_zip(tmp_path / "a.zip", folder), make_tar(tmp_path / "a.tar.gz", folder)):
        with pytest.raises(UserError, match="larger than 1000 bytes"):
            prepare_unverified(source=source)


def test_a_broken_or_absent_source_is_one_line(folder, prepare_unverified, tmp_path):
    zipped = make_zip(tmp_path / "a.zip", folder).read_bytes()
    (tmp_path / "a.zip").write_bytes(zipped.replace(b"1005.0", b"1006.0", 1))  # the member's CRC is now wrong
    tarred = make_tar(tmp_path / "a.tar.gz", folder).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(tarred[: len(tarred) // 2])
    (tmp_path / "text").write_text("hello")
    for name in ("a.zip", "a.tar.gz", "text", "absent"):
        with pytest.raises(UserError) as error:
            prepare_unverified(source=tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_source_that_cannot_be_read_is_one_line(folder, prepare_unverified):
    (folder / AEP).unlink()
    (folder / AEP).mkdir()
    with pytest.raises(UserError, match=AEP):
        prepare_unverified(source=folder)


def test_without_source_the_files_are_downloaded_once(published, tmp_path):
    dataset = prepare(tmp_path)
    assert dataset.verified
    assert len(published.asked) == 12
    shutil.rmtree(tmp_path / "pjm" / "raw")
    assert prepare(tmp_path).digest == dataset.digest
    assert len(published.asked) == 12


def test_a_failed_download_names_the_ways_on(published, tmp_path, monkeypatch):
    monkeypatch.setattr(pjm, "URL", pjm.URL.replace("{file}", "absent"))
    with pytest.raises(UserError, match=r"HTTP 404.*--source.*--dataset sample"):
        prepare(tmp_path)
    assert not find("pjm", LOAD).is_prepared(tmp_path)


def test_two_that_prepare_at_once_build_once(published, tmp_path, monkeypatch):
    written = []
    write_cache = pjm.write_cache
    monkeypatch.setattr(pjm, "write_cache", lambda *args: (written.append(1), write_cache(*args)))
    threads = [threading.Thread(target=prepare, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 1
    assert find("pjm", LOAD).is_prepared(tmp_path)


# The cache


def test_loading_gives_what_preparing_gave(folder, prepare_unverified, tmp_path):
    prepared, loaded = prepare_unverified(source=folder), load(tmp_path / "data")
    np.testing.assert_array_equal(prepared.values, loaded.values)
    np.testing.assert_array_equal(prepared.times, loaded.times)
    assert (prepared.series, prepared.offsets, prepared.digest) == (loaded.series, loaded.offsets, loaded.digest)
    assert prepared.counts == loaded.counts


def test_the_digest_is_that_of_the_data(folder, tmp_path):
    first = prepare(tmp_path / "a", source=folder, allow_unverified=True)
    again = prepare(tmp_path / "b", source=folder, allow_unverified=True)
    assert again.digest == first.digest
    (folder / AEP).write_text((folder / AEP).read_text().replace(",1005.0", ",1005.5"))
    other = prepare(tmp_path / "b", source=folder, allow_unverified=True)
    assert other.digest != first.digest


def test_the_digest_sees_names_and_years(folder, prepare_unverified):
    first = prepare_unverified(source=folder)
    # A year of 365 days later the calendar features of another week day would differ; 28 years later none does.
    (folder / AEP).write_text((folder / AEP).read_text().replace("2011-", "2039-").replace("2012-", "2040-"))
    other = prepare_unverified(source=folder)
    np.testing.assert_array_equal(other.values, first.values)
    assert other.digest != first.digest


def test_not_prepared_names_the_remedy(tmp_path):
    with pytest.raises(UserError, match=r"python -m pipelines prepare --dataset pjm --data-dir .*"):
        load(tmp_path)
    assert not find("pjm", LOAD).is_prepared(tmp_path)


def test_the_remedy_is_short_in_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"python -m pipelines prepare --dataset pjm$"):
        load()


def transposed(path):
    array = np.load(path)
    np.save(path, array.reshape(array.shape[::-1]))


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("values.npy", cut),
        ("values.npy", flip),
        ("values.npy", fewer),
        ("values.npy", transposed),
        ("values.npy", os.unlink),
        ("times.npy", cut),
        ("times.npy", flip),
        ("times.npy", fewer),
        ("meta.json", cut),
        ("meta.json", other_version),
        ("meta.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_cache_is_refused_and_prepared_anew(published, tmp_path, file, damage):
    expected = prepare(tmp_path).digest
    damage(tmp_path / "pjm" / file)
    with pytest.raises(UserError, match=r"damaged.*python -m pipelines prepare --dataset pjm"):
        load(tmp_path)
    assert not find("pjm", LOAD).is_prepared(tmp_path)
    assert prepare(tmp_path).digest == expected


def test_a_build_that_fails_midway_leaves_the_cache_as_it_was(folder, prepare_unverified, tmp_path, monkeypatch):
    before = prepare_unverified(source=folder)
    write(folder / AEP, lines("AEP", hours=120))

    def disk_full(file, pieces):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write_npy", disk_full)
    with pytest.raises(UserError, match="No space left on device"):
        prepare_unverified(source=folder)
    assert load(tmp_path / "data").digest == before.digest
    assert not list((tmp_path / "data").rglob("*.tmp"))


def test_a_data_dir_that_cannot_be_written_is_one_line(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot prepare pjm"):
        prepare(tmp_path / "file", source=folder, allow_unverified=True)


def test_an_unknown_name_names_the_known():
    with pytest.raises(UserError, match=r"'pmj' of hourly load; did you mean pjm\?"):
        find("pmj", LOAD)


# The sample


def test_the_sample_is_hourly_means_of_the_published_half_hours(tmp_path):
    dataset = find("sample", LOAD).prepare(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert find("sample", LOAD).is_prepared(tmp_path / "nowhere")
    assert dataset.series == ("TAYLOR",)
    assert dataset.offsets == (0, 2016)
    assert dataset.values.dtype == np.float32
    # First and last half-hours of pmdarima's figures: 22262, 21756, 22247, 22759 and 24610, 23132.
    # 5 June 2000 was a Monday, the 157th day of a leap year; 27 August 2000 a Sunday, the 240th.
    assert dataset.values[0].tolist() == [22009, 0, 0, 6, 157]
    assert dataset.values[1].tolist() == [22503, 1, 0, 6, 157]
    assert dataset.values[-1].tolist() == [23871, 23, 6, 8, 240]
    assert str(dataset.times[-1]) == "2000-08-27T23:00:00"
    assert dataset.counts["TAYLOR"] == {"rows": 2016, "unsorted": 0, "duplicated": 0, "missing": 0, "zero": 0}
    assert taylor.load().digest == dataset.digest


# The split


def test_the_published_rows_give_the_published_windows():
    parts = split(dataset_of([series.rows for series in pjm.SERIES]))
    assert sum(map(len, parts["train"])) == 980_185
    assert sum(map(len, parts["test"])) == 108_902
    assert sum(map(len, parts["validation"])) == 0


def test_the_split_is_in_time_order_and_leaves_every_series_its_lookback():
    # 129 rows: 39 windows, 3 of them test; of the other 36, int(0.25 * 36) = 9 validation. 190 rows: 100, 10, 22 of 90.
    assert rows_of(split(dataset_of([129, 190]), validation=0.25)) == {
        "train": [[*range(90, 117)], [*range(219, 287)]],
        "validation": [[*range(117, 126)], [*range(287, 309)]],
        "test": [[*range(126, 129)], [*range(309, 319)]],
    }


def test_without_validation_the_rest_is_training():
    parts = rows_of(split(dataset_of([129])))
    assert parts == {"train": [[*range(90, 126)]], "validation": [[]], "test": [[126, 127, 128]]}


def test_no_window_crosses_a_gap():
    # The first series: stretches of 129, 50 and 111 rows, so 39, none and 21 windows, 6 of these 60 test.
    dataset = replace(dataset_of([290, 129]), breaks=(129, 179))
    parts = rows_of(split(dataset, validation=0.5))
    assert parts["train"] == [[*range(90, 117)], [*range(380, 398)]]
    assert parts["validation"] == [[*range(117, 129), *range(269, 284)], [*range(398, 416)]]
    assert parts["test"] == [[*range(284, 290)], [*range(416, 419)]]


def rows_of(parts):
    return {name: [rows.tolist() for rows in part] for name, part in parts.items()}


@pytest.mark.parametrize("validation", [-0.1, 1.0, float("nan")])
def test_a_validation_fraction_out_of_range_is_refused(validation):
    with pytest.raises(UserError, match="validation fraction"):
        split(dataset_of([129]), validation)
