"""Tables of load as people have them, each written here, against hours and loads computed by pandas."""

import bz2
import gzip
import hashlib
import io
import lzma
import re
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest

from pipelines.data.energy import pjm
from pipelines.data.energy.reader.format import LoadFormat
from pipelines.data.energy.reader.read import read_load
from pipelines.errors import UserError

HOURS = pd.date_range("2019-12-20", "2020-01-15 23:00", freq="h")
LOAD = 900.25 + 0.5 * np.arange(len(HOURS))  # from below a thousand to above it
BERLIN = "Europe/Berlin"


def table(times=HOURS, load=LOAD, written="%Y-%m-%d %H:%M", header="time,load", delimiter=",", number=str):
    """Text of a table: a line for each time."""
    texts = times if isinstance(times, list) else times.strftime(written)
    lines = [delimiter.join([text, number(float(value))]) for text, value in zip(texts, load, strict=True)]
    return "\n".join([*([header] if header else []), *lines, ""])


def german(value):
    """12.345,25"""
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


@pytest.fixture
def read(tmp_path):
    """A function that reads a text, or bytes, as the file town.csv."""

    def of(content, **given):
        path = tmp_path / "town.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_load(path, LoadFormat(**given))

    return of


def only(tables):
    """The one series of what was read."""
    (series,) = tables.series
    return series


def assert_is(series, times=HOURS, load=LOAD):
    assert series.times.dtype == "datetime64[s]"
    assert series.load.dtype == np.float64
    np.testing.assert_array_equal(series.times, np.asarray(times).astype("datetime64[s]"))
    np.testing.assert_allclose(series.load, load, rtol=1e-12)


def said(tables, pattern):
    """Whether a sentence of what was found out fits a pattern."""
    return any(re.search(pattern, sentence) for sentence in tables.found)


def refusal(read, content, **given):
    with pytest.raises(UserError) as error:
        read(content, **given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_time_is_not_compared_with_itself_and_odd_characters_are_escaped(read):
    """The faulty one is the longest, and once stood for how times are written, with its control character."""
    lines = table().splitlines()
    lines[9] = "2019-12-20 0\x018:00,7"
    fault = r"town.csv, line 10: '2019-12-20 0\x018:00' is no time written as '2019-12-20 00:00'"
    assert refusal(read, "\n".join(lines)).startswith(fault)


def test_the_odd_name_of_a_series_is_escaped(read):
    lines = [f"{time},{name},{number}" for number, time in enumerate(HOURS) for name in ("north", "south")]
    lines[4] = lines[4].replace("north", "nor\x02th")
    assert r"1 numbers among the loads of 'nor\x02th'" in refusal(read, "\n".join(["time,zone,load", *lines]))


@pytest.mark.parametrize("text", ["E5", ".e5", "+E5", "5E", "e", "."])
def test_an_exponent_without_a_number_is_none(read, text):
    lines = table().splitlines()
    lines[9] = lines[9].rpartition(",")[0] + "," + text
    assert f"town.csv, line 10: '{text}' is no finite number" in refusal(read, "\n".join(lines))


# Text


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("latin-1", "Windows-1252"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_encodings(read, encoding, name):
    tables = read(table(header="time,Strom für Köln (MW)").encode(encoding))
    assert_is(only(tables))
    assert said(tables, "'Strom für Köln")
    assert said(tables, f"text in {name}") == bool(name)
    assert not said(tables, "text in UTF-8")


def test_a_byte_that_is_not_utf_8_after_others_that_are_is_refused(read):
    raw = table(header="time,Verbrauch für Köln").encode()
    place = raw.index(b"2019-12-25")
    message = refusal(read, raw[:place] + b"K\xf6ln;" + raw[place:])
    assert message.startswith(f"town.csv, line {2 + 5 * 24}: byte 0xf6 is not UTF-8, in ")


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_ends_of_lines(read, newline):
    assert_is(only(read(table().replace("\n", newline))))


def test_a_last_line_without_end(read):
    assert_is(only(read(table().rstrip("\n"))))


def test_blocks_of_lines_are_put_together(read, monkeypatch):
    monkeypatch.setattr("pipelines.data.energy.reader.text.BLOCK_BYTES", 1001)
    text = table(header="time,Köln ü").replace("\n", "\r\n")
    for encoding in ("utf-8", "utf-16", "latin-1"):
        tables = read(text.encode(encoding))
        assert_is(only(tables))
        assert tables.files == {"town.csv": hashlib.sha256(text.encode(encoding)).hexdigest()}
    line = text.split("\r\n")[400]
    message = refusal(read, text.replace(line, line.replace(",", ",x")))
    assert message.startswith("town.csv, line 401: ")


# Layout


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars"), ("   ", "blanks")]
)
def test_delimiters(read, delimiter, name):
    tables = read(table(delimiter=delimiter, header=f"time{delimiter}load"))
    assert_is(only(tables))
    assert said(tables, f"^{name} between the fields")


def test_decimal_commas_with_points_between_thousands(read):
    tables = read(table(delimiter=";", header="Zeit;Verbrauch", written="%d.%m.%Y %H:%M", number=german))
    assert_is(only(tables))
    assert said(tables, "semicolons between the fields, comma as decimal mark")
    assert said(tables, r"time in column 'Zeit', written day.month.year hour:minute \(line 2: 20.12.2019 00:00\)")


@pytest.mark.parametrize("gap", [" ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "'", "’"])
def test_gaps_between_thousands(read, gap):
    text = table(
        load=LOAD * 1e4, delimiter=";", header="time;load", number=lambda value: f"{value:,.2f}".replace(",", gap)
    )
    assert_is(only(read(text)), load=LOAD * 1e4)


def test_quoted_fields(read):
    text = table(header='"time","load, net (MW)"', written='"%Y-%m-%d %H:%M"', number=lambda value: f'"{value:,.2f}"')
    assert_is(only(read(text)))


def test_no_header(read):
    tables = read(table(header=""))
    assert_is(only(tables))
    assert said(tables, "no header: columns have numbers")
    assert said(tables, "load in column '2'")
    assert_is(only(read(table(header=""), time_column="1", load_column="2")))


def test_lines_before_the_header(read):
    tables = read("Utility of the town, 2020\n\n# made on 2020-02-01\n" + table())
    assert_is(only(tables))
    assert said(tables, "3 lines before the header left out")


def test_headers_in_the_middle(read):
    lines = table().splitlines()
    tables = read("\n".join([*lines[:100], "", lines[0], *lines[100:300], lines[0], "", *lines[300:]]))
    assert_is(only(tables))
    assert said(tables, "headers among the rows left out: 2")


def test_ends_of_lines_with_more_delimiters(read):
    assert_is(only(read(table(number=lambda value: f"{value},"))))
    assert_is(only(read(table(number=lambda value: f"{value},") + ",,\n")))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "town.csv is empty"),
        (b"a,b\n1,2\n", "no row with a date and a number in the first 3 lines, of which the first is 'a,b'"),
        (b"PAR1" + bytes(100), "a Parquet file"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "a file of Excel"),
        (table().encode() + b"\0", f"line {len(HOURS) + 2}: a zero byte"),
        (b"\x00\x01\x02\x03" * 100, "line 1: a zero byte"),
    ],
)
def test_no_table(read, content, what):
    assert what in refusal(read, content)


def test_all_faults_of_a_file_at_once(read):
    lines = table().splitlines()
    faults = {
        10: ("2019-12-20 08:00,1,5", "number of fields 3, not 2: '2019-12-20 08:00,1,5'"),
        20: ("2019-12-20 18:00,inf", "'inf' is no finite number"),
        30: ("2019-13-21 04:00,7", "'2019-13-21 04:00' is no time written as '2019-12-20 00:00'"),
        40: ("2019-12-21 14:00,many", "'many' is no finite number"),
        50: (",7", "no time"),
        60: ("2019-12-22 25:00,7", "'2019-12-22 25:00' is no time written as '2019-12-20 00:00'"),
        70: ("2019-12-22 20:00", "number of fields 1, not 2: '2019-12-22 20:00'"),
        80: ("2019-02-30 20:00,7", "'2019-02-30 20:00' is no time written as '2019-12-20 00:00'"),
    }
    for line, (text, _) in faults.items():
        lines[line - 1] = text
    message = refusal(read, "\n".join(lines))
    expected = [f"town.csv, line {line}: {what}" for line, (_, what) in faults.items()]
    assert message == "; ".join([*expected, "correct these lines, or take them out"])


def test_no_more_than_ten_faults_are_shown(read):
    lines = table().splitlines()
    lines[100:120] = ["2019-12-25 00:00,x"] * 20
    message = refusal(read, "\n".join(lines))
    assert message.count("town.csv, line ") == 10
    assert "; and 10 more; " in message


def test_an_open_quotation_is_a_fault(read):
    lines = table().splitlines()
    lines[99] = '2019-12-24 02:00,"5'
    assert refusal(read, "\n".join(lines)).startswith("town.csv, line 100: a quotation that does not end in the line: ")


# Dates


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("%Y-%m-%d %H:%M:%S", "year-month-day hour:minute:second"),
        ("%Y-%m-%dT%H:%M:%S.000", "year-month-dayThour:minute:second.000"),
        ("%Y/%m/%d %H:%M", "year/month/day hour:minute"),
        ("%Y%m%d%H%M", "yearmonthdayhourminute"),
        ("%Y%m%d%H", "yearmonthdayhour"),
        ("%Y%m%dT%H%M%S", "yearmonthdayThourminutesecond"),
        ("%d.%m.%Y %H:%M", "day.month.year hour:minute"),
        ("%d/%m/%y %H:%M", "day/month/year hour:minute"),
        ("%m/%d/%Y %H:%M", "month/day/year hour:minute"),
        ("%-m/%-d/%Y %-I:%M:%S %p", "month/day/year hour:minute:second AM/PM"),
        ("%-m/%-d/%Y %-I:%M %p", "month/day/year hour:minute AM/PM"),
        ("%d-%b-%Y %H:%M", "day-month's name-year hour:minute"),
        ("%B %d, %Y %I:%M %p", None),
    ],
)
def test_forms_of_dates(read, written, words):
    tables = read(table(written=written, delimiter=";", header="time;load"))
    assert_is(only(tables))
    assert words is None or said(tables, f"written {re.escape(words)}( |$)")


@pytest.mark.parametrize("order", ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"])
def test_an_order_that_nothing_tells_is_asked_for(read, order):
    hours = pd.date_range("2020-03-01", "2020-03-12 23:00", freq="h")
    text = table(hours, LOAD[: len(hours)], order)
    message = refusal(read, text)
    first, second = ("1 March 2020", "3 January 2020")[:: 1 if order.startswith("%d") else -1]
    assert f"may be {first} or {second}, and no other date tells" in message
    assert "--date-format 'day first' or --date-format 'month first'" in message
    assert_is(
        only(read(text, date_format={"%d": "day first", "%m": "month first"}[order[:2]])), hours, LOAD[: len(hours)]
    )
    assert_is(only(read(text, date_format=order)), hours, LOAD[: len(hours)])


def test_dates_of_both_orders_are_refused(read):
    half = len(HOURS) // 2
    times = [*HOURS[:half].strftime("%d/%m/%Y %H:%M"), *HOURS[half:].strftime("%m/%d/%Y %H:%M")]
    message = refusal(read, table(times))
    late = int(np.flatnonzero(HOURS >= "2020-01-13")[0]) + 2
    assert message.startswith(
        f"town.csv, line {late}: '01/13/2020 00:00' is no date with the day first, as line 2 has it (20/12/2019 00:00)"
    )


def test_a_format_of_strptime(read):
    written = "%H:%M on %d of %m %Y"
    assert "no row with a date and a number" in refusal(read, table(written=written))
    tables = read(table(written=written), date_format=written)
    assert_is(only(tables))
    assert said(tables, f"written {written}")
    aware = HOURS.tz_localize("UTC").tz_convert(BERLIN)
    tables = read(table(aware, written=f"{written} %z"), date_format=f"{written} %z", timezone=BERLIN)
    assert_is(only(tables), aware.tz_localize(None))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"date_format": "day-first"}, "unknown date format 'day-first'; did you mean day first? "),
        ({"date_format": "%z %Y"}, "%z can only come last"),
        ({"timezone": "Europe/Berlim"}, "unknown time zone 'Europe/Berlim'; did you mean Europe/Berlin? "),
        ({"timezone": "../etc/passwd"}, "unknown time zone"),
        ({"unit": "kw"}, "unknown unit 'kw'; did you mean kW? "),
        ({"decimal_mark": ";"}, "unknown decimal mark ';'"),
    ],
)
def test_a_format_that_is_none(given, what):
    with pytest.raises(UserError, match=re.escape(what)):
        LoadFormat(**given)


@pytest.mark.parametrize("size", [1, 1000])
def test_seconds_and_milliseconds_since_1970(read, size):
    stamps = [str(size * int(time.timestamp())) for time in HOURS]
    tables = read(table(stamps))
    assert_is(only(tables))
    assert said(tables, f"{'milliseconds' if size > 1 else 'seconds'} since 1970")
    assert tables.timezone == "UTC"
    local = HOURS.tz_localize("UTC").tz_convert(BERLIN).tz_localize(None)
    assert_is(only(read(table(stamps), timezone=BERLIN)), local)


def test_hours_to_24_are_the_hours_that_end(read):
    ends = HOURS + pd.Timedelta(hours=1)
    times = [
        f"{time - pd.Timedelta(days=1):%Y-%m-%d} 24:00:00" if time.hour == 0 else f"{time:%Y-%m-%d %H:%M:%S}"
        for time in ends
    ]
    tables = read(table(times))
    assert_is(only(tables))
    assert said(tables, "a time is the end of what was measured, as hours are counted to 24: the hour before it")
    message = refusal(read, table([*times, "2020-01-16 00:00:00"], [*LOAD, 1.0]))
    assert "hours are counted from 0 and to 24" in message


@pytest.mark.parametrize("hour", ["{}", "{:02d}", "{}:00", "HE{}", "{:02d}00"])
def test_dates_and_hours_to_24_in_two_columns(read, hour):
    times = [f"{time:%m/%d/%Y},{hour.format(time.hour + 1)}" for time in HOURS]
    tables = read(table(times, header="Date,Hour Ending,Load (MW)"))
    assert_is(only(tables))
    assert said(tables, "time in column 'Date', hour in column 'Hour Ending'")
    assert_is(only(read(table(times, header="Date,x,Load"), time_column="date,x")))


@pytest.mark.parametrize("date", ["%Y-%m-%d", "%-m/%-d/%Y 12:00:00 AM", "%d.%m.%Y 00:00"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_dates_and_hours_from_0_in_two_columns(read, date, delimiter):
    times = [f"{time.strftime(date)}{delimiter}{time.hour}" for time in HOURS]
    tables = read(table(times, header=delimiter.join(["day", "hour", "load"]), delimiter=delimiter))
    assert_is(only(tables))
    assert not said(tables, "end of what was measured")


def test_dates_and_times_between_blanks(read):
    assert_is(only(read(table(delimiter=" ", header="date time load"))))
    assert_is(only(read(table(delimiter="  ", header="timestamp load"))))
    assert_is(only(read(table(delimiter=" ", header=""))))


def test_a_name_that_says_that_times_are_ends(read):
    tables = read(table(HOURS + pd.Timedelta(hours=1), header="interval_end,load"))
    assert_is(only(tables))
    assert said(tables, "its name says so")


def test_intervals_have_the_time_at_which_they_begin(read):
    # As ENTSO-E writes them.
    ends = (HOURS + pd.Timedelta(hours=1)).strftime("%d.%m.%Y %H:%M")
    times = [f"{time:%d.%m.%Y %H:%M} - {end}" for time, end in zip(HOURS, ends, strict=True)]
    tables = read(table(times, header='"MTU (CET)","Actual Total Load [MW]"'))
    assert_is(only(tables))
    assert said(tables, "of an interval the beginning")


# Offsets and zones


def test_one_offset_is_kept(read):
    text = table(HOURS.tz_localize("Etc/GMT-1"), written="%Y-%m-%dT%H:%M:%S%z")
    tables = read(text)
    assert_is(only(tables))
    assert said(tables, r"times are those of UTC\+01:00 throughout")
    assert tables.timezone == ""
    assert_is(only(read(text, timezone="UTC")), HOURS - pd.Timedelta(hours=1))


def test_a_column_of_days_beside_one_of_times_repeats_these(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{value},{time:%d/%m/%Y}" for time, value in zip(HOURS, LOAD, strict=True)]
    tables = read("\n".join(["Time,Demand,Date", *lines]))
    assert_is(only(tables))
    assert said(tables, "columns left out: 'Date'")


@pytest.mark.parametrize("end", ["Z", "+00:00", " UTC"])
def test_times_of_utc(read, end):
    text = table(written=f"%Y-%m-%dT%H:%M:%S{end}")
    tables = read(text)
    assert_is(only(tables))
    assert tables.timezone == "UTC"
    tables = read(text, timezone="America/New_York")
    assert_is(only(tables), HOURS - pd.Timedelta(hours=5))
    assert tables.timezone == "America/New_York"
    assert said(tables, "converted to the local time of America/New_York")


YEAR = pd.date_range("2019-03-01", "2019-11-30", freq="h", tz=BERLIN)
OF_YEAR = 1000.0 + np.arange(len(YEAR))


def test_offsets_that_vary_need_a_zone(read):
    text = table(YEAR, OF_YEAR, "%Y-%m-%dT%H:%M:%S%z")
    message = refusal(read, text)
    changed = int(np.flatnonzero(YEAR.tz_localize(None) > "2019-03-31 02:00")[0]) + 2
    assert f"town.csv, line 2, has times of UTC+01:00, and town.csv, line {changed}, of UTC+02:00" in message
    assert "--timezone" in message
    series = only(read(text, timezone=BERLIN))
    assert_is(series, YEAR.tz_localize(None), OF_YEAR)
    assert (series.counts["duplicated"], series.counts["missing"]) == (1, 1)


def test_times_with_and_without_an_offset_are_refused(read):
    lines = table(HOURS.tz_localize("UTC"), written="%Y-%m-%d %H:%M%z").splitlines()
    lines[7] = lines[7].replace("+0000", "")
    assert "the time of line 2 has an offset from UTC, that of line 8 has none" in refusal(read, "\n".join(lines))


def test_a_zone_tells_what_its_clocks_repeat_and_skip(read):
    local = YEAR.tz_localize(None)
    text = table(local, OF_YEAR)
    tables = read(text, timezone=BERLIN)
    assert_is(only(tables), local, OF_YEAR)
    assert said(tables, "of the hours that the clocks of Europe/Berlin repeat 1 are there twice, 0 once")
    skipped = "2019-03-31 02:00,77.0\n"
    place = text.index("2019-03-31 03:00")
    tables = read(text[:place] + skipped + text[place:], timezone=BERLIN)
    assert_is(only(tables), local, OF_YEAR)
    assert only(tables).counts["skipped"] == 1
    assert said(tables, "hours that the clocks of Europe/Berlin skip left out: 1$")
    # Without a zone all is kept, as in the published files of PJM.
    assert only(read(text[:place] + skipped + text[place:])).counts["rows"] == len(YEAR) + 1


def test_times_of_one_offset_called_those_of_a_zone(read):
    hours = pd.date_range("2019-03-01", "2019-11-30", freq="h")
    tables = read(table(hours, np.arange(len(hours)) + 1.0), timezone=BERLIN)
    assert said(tables, "repeat 0 are there twice, 1 once")
    assert said(tables, "if the times are of one offset all year, give no --timezone")


def test_a_column_of_utc_beside_a_local_one(read):
    # As PJM's own export has them.
    eastern = YEAR.tz_convert("America/New_York").tz_localize(None)
    utc = YEAR.tz_convert("UTC").strftime("%-m/%-d/%Y %-I:%M:%S %p")
    times = [f"{one},{other}" for one, other in zip(utc, eastern.strftime("%-m/%-d/%Y %-I:%M:%S %p"), strict=True)]
    text = table(times, OF_YEAR, header="datetime_beginning_utc,datetime_beginning_ept,mw")
    tables = read(text)
    assert_is(only(tables), eastern, OF_YEAR)
    assert said(tables, "time in column 'datetime_beginning_ept', written month/day/year hour:minute:second AM/PM")
    assert said(tables, "columns left out: 'datetime_beginning_utc'")
    tables = read(text, timezone=BERLIN)
    assert_is(only(tables), YEAR.tz_localize(None), OF_YEAR)
    assert said(tables, "times are UTC, as the column's name says")


# Distances


@pytest.mark.parametrize(
    ("minutes", "name"), [(1, None), (5, None), (10, None), (15, "quarter-hours"), (30, "half-hours")]
)
def test_parts_of_hours_are_averaged(read, minutes, name):
    times = pd.date_range("2020-01-10", periods=20 * 24 * 60 // minutes, freq=f"{minutes}min")
    load = 1000.0 + np.random.default_rng(minutes).normal(size=len(times)).round(3)
    expected = pd.Series(load, times).resample("h").mean()
    tables = read(table(times, load))
    assert_is(only(tables), expected.index, expected)
    assert only(tables).counts["averaged"] == len(times)
    name = name or f"readings of {minutes} minute" + "s" * (minutes > 1)
    assert said(tables, f"^{len(times):,} {name} averaged to 480 hours$")


def test_incomplete_hours(read):
    times = pd.date_range("2020-01-10", periods=20 * 96, freq="15min")
    load = np.arange(len(times)) % 7 + 1.0
    keep = np.ones(len(times), dtype=bool)
    keep[[41, 45, 46, 49, 50, 51]] = False  # hours 10, 11 and 12 have three, two and one of their readings
    expected = pd.Series(load[keep], times[keep]).resample("h").mean().drop(times[[44, 48]])
    tables = read(table(times[keep], load[keep]))
    assert_is(only(tables), expected.index, expected)
    counts = only(tables).counts
    assert (counts["incomplete"], counts["too few"], counts["missing"]) == (1, 2, 2)
    assert said(
        tables, "averaged to 478 hours, 1 of them from less than all; hours with half of theirs or less left out: 2"
    )


def test_quarter_hours_to_24_are_those_that_end(read):
    times = pd.date_range("2020-01-10", periods=20 * 96, freq="15min")
    load = np.arange(len(times)) % 96 * 1.5
    ends = [
        f"{day:%Y-%m-%d} {minute // 60:02d}:{minute % 60:02d}" for day in times[::96] for minute in range(15, 1455, 15)
    ]
    assert_is(only(read(table(ends, load))), times[::4], load.reshape(-1, 4).mean(axis=1))


@pytest.mark.parametrize("form", ["local", "offset"])
def test_quarter_hours_that_clocks_repeat_are_two_hours(read, form):
    times = pd.date_range("2019-10-20", "2019-11-05", freq="15min", tz=BERLIN, inclusive="left")
    load = np.arange(len(times)) * 1.0
    expected = load.reshape(-1, 4).mean(axis=1)
    local = times.tz_localize(None)
    for order in (slice(None), slice(None, None, -1)) if form == "offset" else (slice(None),):
        text = table(times[order], load[order], "%Y-%m-%d %H:%M:%S" + ("%z" if form == "offset" else ""))
        tables = read(text, timezone=BERLIN)
        assert_is(only(tables), local[::4], expected)
        assert only(tables).counts["duplicated"] == 1


@pytest.mark.parametrize(
    ("frequency", "what"),
    [
        ("2h", "come every 2 hours; hourly loads need one an hour at least"),
        ("D", "every 1 day;"),
        ("7min", "irregular"),
    ],
)
def test_other_distances_are_refused(read, frequency, what):
    times = pd.date_range("2020-01-10", periods=100, freq=frequency)
    assert what in refusal(read, table(times, LOAD[:100]))


def test_dates_without_hours_are_refused(read):
    days = pd.date_range("2020-01-10", periods=100)
    message = refusal(read, table(days, LOAD[:100], "%Y-%m-%d"))
    assert "column 'time' has dates without hours" in message
    assert "--time-column" in message
    # As in Great Britain, where half-hours have numbers.
    half_hours = [f"{day:%d-%b-%Y},{period}" for day in days for period in range(1, 49)]
    text = table(half_hours, np.arange(4800.0), header="SETTLEMENT_DATE,SETTLEMENT_PERIOD,ND")
    assert "column 'SETTLEMENT_DATE' has dates without hours" in refusal(read, text, load_column="ND")


def test_midnights_without_an_hour(read):
    # As R writes them.
    tables = read(table([f"{time:%Y-%m-%d}" if time.hour == 0 else f"{time:%Y-%m-%d %H:%M:%S}" for time in HOURS]))
    assert_is(only(tables))
    assert said(tables, "written year-month-day hour:minute:second$")


def test_irregular_times_are_refused(read):
    times = HOURS.to_series().reset_index(drop=True)
    times[300] += pd.Timedelta(minutes=7)
    message = refusal(read, table(pd.DatetimeIndex(times)))
    assert message.startswith(
        "town.csv, line 302: 2020-01-01 12:07:00 is 67 minutes after the reading before it of town,"
    )


def test_a_change_of_distance_is_refused(read):
    fine = pd.date_range("2020-01-16", periods=96 * 30, freq="15min")
    message = refusal(read, table(HOURS.append(fine), np.arange(len(HOURS) + len(fine)) + 0.5))
    assert "readings of town come every 15 minutes, but 648 of 1,368 hours have half of theirs or less" in message
    assert "the first 2019-12-20 00:00:00" in message


def test_hours_that_begin_at_half_past(read):
    text = table(HOURS, written="%Y-%m-%dT%H:%M:%SZ")
    tables = read(text, timezone="Asia/Kolkata")
    assert_is(only(tables), HOURS + pd.Timedelta(hours=5))
    assert said(tables, "times 30 minutes after the hour taken as the hour they are in")


# Loads


@pytest.mark.parametrize("mark", ["", "NA", "n/a", "NaN", "null", "-", "NULL"])
def test_empty_loads_are_missing_hours(read, mark):
    absent = [5, 6, 100, 200]
    rows = [f"{time:%Y-%m-%d %H:%M},{mark if i in absent else LOAD[i]}" for i, time in enumerate(HOURS)]
    series = only(read("\n".join(["time,load", *rows])))
    assert_is(series, HOURS.delete(absent), np.delete(LOAD, absent))
    assert (series.counts["empty"], series.counts["missing"], series.counts["readings"]) == (4, 4, len(HOURS))


def test_counts(read):
    load = LOAD.copy()
    load[10:13] = 0
    load[20] = -5.5
    load[100:130] = 777
    load[200:223] = 888  # an hour less than a day
    order = [*range(50), 51, 50, *range(52, len(HOURS))]
    text = table(HOURS[order], load[order]) + "2020-01-01 00:00,5\n"
    tables = read(text)
    series = only(tables)
    assert {name: count for name, count in series.counts.items() if count} == {
        "rows": len(HOURS) + 1,
        "readings": len(HOURS) + 1,
        "unsorted": 2,
        "duplicated": 1,
        "zero": 3,
        "negative": 1,
        "constant": 30,
    }
    again = int(np.flatnonzero(HOURS == "2020-01-01")[0]) + 1
    assert_is(series, HOURS.insert(again, HOURS[again - 1]), np.insert(load, again, 5.0))
    assert said(
        tables,
        "stretches of 24 hours or more of the same load: 1, the longest 30 hours of 777 MW from 2019-12-24 04:00:00",
    )


@pytest.mark.parametrize(
    ("name", "given", "factor"),
    [
        ("Load (kW)", "", 1e-3),
        ("load_kw", "", 1e-3),
        ("Load [GW]", "", 1e3),
        ("Power in W", "", 1e-6),
        ("LOAD MWH", "", 1.0),
        ("load", "", 1.0),
        ("load", "kW", 1e-3),
        ("Load (kW)", "GW", 1e3),
    ],
)
def test_units(read, name, given, factor):
    tables = read(table(header=f"time,{name}"), unit=given)
    assert_is(only(tables), load=LOAD * factor)
    assert said(tables, "no unit named, taken as MW") == (name == "load" and not given)


def test_energies_of_quarter_hours(read):
    # As SMARD writes them.
    times = pd.date_range("2020-01-10", periods=20 * 96, freq="15min")
    energy = 12_000.0 + np.arange(len(times)) % 96
    header = "Datum von;Datum bis;Netzlast [MWh] Originalauflösungen"
    ends = times + pd.Timedelta(minutes=15)
    texts = [f"{a:%d.%m.%Y %H:%M};{b:%d.%m.%Y %H:%M}" for a, b in zip(times, ends, strict=True)]
    tables = read(table(texts, energy, header=header, delimiter=";", number=german))
    assert_is(only(tables), times[::4], energy.reshape(-1, 4).sum(axis=1))
    assert said(tables, "energies of 15 minutes taken 4 times as powers")


@pytest.mark.parametrize(
    ("numbers", "delimiter", "expected"),
    [
        (["998", "1.002"], ";", [998, 1002]),
        (["998", "1,002"], ";", [998, 1002]),
        (['"998"', '"1,002"'], ",", [998, 1002]),
        (['"1,998"', '"1,002"'], ",", [1998, 1002]),
        (["1.998", "1.002"], ",", [1.998, 1.002]),
        (["1.998", "0.002"], ";", [1.998, 0.002]),
        (["1,998", "0,002"], ";", [1.998, 0.002]),
        (["1.998", "2000"], ";", [1.998, 2000]),
        (["1.234.567", "1.002"], ";", [1234567, 1002]),
        (["1,234.5", "1,002"], ";", [1234.5, 1002]),
        (["1.234,5", "1.002"], ";", [1234.5, 1002]),
        (["1e3", "2.5E-1"], ";", [1000, 0.25]),
        (["-1,5", "\N{MINUS SIGN}2,5"], ";", [-1.5, -2.5]),
        ([".5", "+7"], ";", [0.5, 7]),
    ],
)
def test_marks_of_numbers(read, numbers, delimiter, expected):
    texts = [numbers[i % 2] for i in range(len(HOURS))]
    lines = [f"{time:%Y-%m-%d %H:%M}{delimiter}{text}" for time, text in zip(HOURS, texts, strict=True)]
    tables = read("\n".join([f"time{delimiter}load", *lines]))
    assert_is(only(tables), load=[expected[i % 2] for i in range(len(HOURS))])


@pytest.mark.parametrize(
    ("numbers", "delimiter", "given"),
    [
        (["1.998", "1.002"], ";", {".": [1.998, 1.002], ",": [1998, 1002]}),
        (["1,998", "1,002"], "\t", {".": [1998, 1002], ",": [1.998, 1.002]}),
        (["5", "1.998"], ",", {".": [5, 1.998], ",": [5, 1998]}),
    ],
)
def test_numbers_that_nothing_tells_are_asked_for(read, numbers, delimiter, given):
    lines = [f"{time:%Y-%m-%d %H:%M}{delimiter}{numbers[i % 2]}" for i, time in enumerate(HOURS)]
    text = "\n".join([f"time{delimiter}load", *lines])
    message = refusal(read, text)
    assert "may be 1.998 or 1998, and no other number tells" in message.replace("1998 or 1.998", "1.998 or 1998")
    for mark, expected in given.items():
        assert_is(only(read(text, decimal_mark=mark)), load=[expected[i % 2] for i in range(len(HOURS))])


def test_two_decimal_marks_are_refused(read):
    lines = [f"{time:%Y-%m-%d %H:%M};{'1,5' if i < 300 else '2.5'}" for i, time in enumerate(HOURS)]
    message = refusal(read, "\n".join(["time;load", *lines]))
    assert message.startswith("town.csv, line 302: '2.5' is no")
    assert "where ',' is the decimal mark, as line 2 tells (1,5)" in message


# Columns and series


def test_one_load_among_other_numbers(read):
    lines = [f"{i},{time:%Y-%m-%d %H:%M},{i % 9},{LOAD[i]},{time.hour},sunny" for i, time in enumerate(HOURS)]
    tables = read("\n".join([",time,temperature,load,hour,weather", *lines]))
    assert_is(only(tables))
    assert said(tables, "load in column 'load'")
    assert said(tables, "columns left out: '1', 'temperature', 'hour', 'weather'")


@pytest.mark.parametrize(
    ("header", "given", "columns", "option"),
    [
        ("time,a,b", {}, "'a', 'b'", "--load-column"),
        ("time,load,demand,x", {}, "'load', 'demand'", "--load-column"),
        ("time,load,lode", {"load_column": "lod"}, "unknown column 'lod'; did you mean lo", "--load-column"),
        ("time,load,load", {"load_column": "load"}, "2 columns are called 'load'", "names of their own"),
        ("time,load", {"time_column": "date"}, "unknown column 'date'", "--time-column"),
        ("time,load", {"series_column": "zone"}, "unknown column 'zone'", "--series-column"),
        ("time,time,load", {"time_column": "time,time,load"}, "2 columns are called 'time'", ""),
    ],
)
def test_columns_that_nothing_tells_are_asked_for(read, header, given, columns, option):
    width = header.count(",")
    lines = [f"{time:%Y-%m-%d %H:%M}" + ",5.5" * width for time in HOURS]
    message = refusal(read, "\n".join([header, *lines]), **given)
    assert columns in message
    assert option in message


def test_two_columns_of_times_are_asked_for(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{time:%Y-%m-%d %H:%M},{LOAD[i]}" for i, time in enumerate(HOURS)]
    text = "\n".join(["metered,settled,load", *lines])
    assert "columns 'metered', 'settled' may each be the time; say which with --time-column" in refusal(read, text)
    assert_is(only(read(text, time_column="settled")))


def test_columns_of_several_series(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{LOAD[i]},{2 * LOAD[i] if i else ''}" for i, time in enumerate(HOURS)]
    tables = read("\n".join(["time,AEP_MW,DOM_MW", *lines]))
    assert [series.name for series in tables.series] == ["AEP", "DOM"]
    assert_is(tables.series[0])
    assert_is(tables.series[1], HOURS[1:], 2 * LOAD[1:])
    text = "\n".join(["time,AEP,DOM", *lines])
    for given in ("all", "AEP,DOM"):
        assert [series.name for series in read(text, load_column=given).series] == ["AEP", "DOM"]
    assert [series.name for series in read(text, load_column="DOM").series] == ["town"]


def test_a_column_of_the_names_of_series(read):
    names = ["north", "south", ""]
    lines = [
        f"{name},{time:%Y-%m-%d %H:%M},{LOAD[i] * (1 + k)},A"
        for k, name in enumerate(names)
        for i, time in enumerate(HOURS)
    ]
    for rows in (lines, sorted(lines, key=lambda line: line.split(",")[1])):
        tables = read("\n".join(["region,time,load,quality", *rows]))
        assert [series.name for series in tables.series] == ["north", "south", "(no name)"]
        for k, series in enumerate(tables.series):
            assert_is(series, load=LOAD * (1 + k))
        assert said(tables, "series named in column 'region': 3")
        assert said(tables, "columns left out: 'quality'")


def test_numbers_of_series(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{k},{LOAD[i] + k}" for i, time in enumerate(HOURS) for k in (7, 8)]
    tables = read("\n".join(["time,zone_id,load", *lines]))
    assert [series.name for series in tables.series] == ["7", "8"]
    assert_is(tables.series[1], load=LOAD + 8)


def test_a_text_that_varies_names_no_series_where_times_do_not_recur(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{LOAD[i]},{time:%A}" for i, time in enumerate(HOURS)]
    tables = read("\n".join(["time,load,weekday", *lines]))
    assert_is(only(tables))
    assert said(tables, "columns left out: 'weekday'")


def test_two_columns_that_may_name_the_series_are_asked_for(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{LOAD[i]},{k},{'ab'[k]}" for i, time in enumerate(HOURS) for k in (0, 1)]
    text = "\n".join(["time,load,meter,kind", *lines])
    message = refusal(read, text)
    assert (
        "columns 'meter', 'kind' may each name the series that a row belongs to; say which with --series-column"
        in message
    )
    assert [series.name for series in read(text, series_column="kind").series] == ["a", "b"]


def test_times_that_recur_without_names_are_refused(read):
    lines = [f"{time:%Y-%m-%d %H:%M},{LOAD[i] + k}" for i, time in enumerate(HOURS) for k in (0, 1)]
    message = refusal(read, "\n".join(["time,load", *lines]))
    assert "648 of 1,296 readings of town are at a time that was there before, the first in lines 2 and 3" in message
    assert "--series-column" in message


# Sources


def archive(path, members):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in members.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as packed:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("source", ["folder", "town.zip", "town.tar.gz"])
def test_several_files_are_several_series(tmp_path, source):
    raw = {name: table(load=LOAD * factor).encode() for name, factor in (("north", 1), ("south", 2))}
    members = {"north.csv": raw["north"], "south.csv.gz": gzip.compress(raw["south"]), "readme.pdf": b"%PDF"}
    path = tmp_path / source
    if source == "folder":
        path.mkdir()
        for name, content in members.items():
            (path / name).write_bytes(content)
    else:
        archive(path, {f"loads/{name}": content for name, content in members.items()} | {"__MACOSX/x.csv": b"x"})
    tables = read_load(path, LoadFormat())
    assert [series.name for series in tables.series] == ["north", "south"]
    for series, factor in zip(tables.series, (1, 2), strict=True):
        assert_is(series, load=LOAD * factor)
    within = "" if source == "folder" else "loads/"
    assert tables.files == {f"{within}{name}.csv": hashlib.sha256(content).hexdigest() for name, content in raw.items()}
    assert said(tables, f"^files left out, .*: '{within}readme.pdf'$")
    assert len([sentence for sentence in tables.found if "time in column" in sentence]) == 1


@pytest.mark.parametrize("packing", [gzip, bz2, lzma])
def test_a_table_that_is_compressed(tmp_path, packing):
    path = tmp_path / f"town.csv{ {gzip: '.gz', bz2: '.bz2', lzma: '.xz'}[packing] }"
    path.write_bytes(packing.compress(table().encode()))
    assert only(read_load(path, LoadFormat())).name == "town"
    assert_is(only(read_load(path, LoadFormat())))


def test_a_name_in_several_files_is_one_series(tmp_path):
    half = 300
    for year, part in (("2019", slice(half)), ("2020", slice(half, None))):
        lines = [f"{time:%Y-%m-%d %H:%M},{name},{LOAD[part][i]}" for i, time in enumerate(HOURS[part]) for name in "ab"]
        (tmp_path / f"{year}.csv").write_text("\n".join(["time,zone,load", *lines]))
    tables = read_load(tmp_path, LoadFormat())
    assert [series.name for series in tables.series] == ["a", "b"]
    assert_is(tables.series[0])
    assert_is(tables.series[1])
    assert said(tables, "a is in 2 files, joined")


def test_findings_name_their_files(tmp_path):
    (tmp_path / "a.csv").write_text(table())
    (tmp_path / "b.csv").write_text(table(header="time,load (kW)"))
    tables = read_load(tmp_path, LoadFormat())
    assert f"{tmp_path.name}/a.csv: load in column 'load', no unit named, taken as MW" in tables.found
    assert f"{tmp_path.name}/b.csv: load in column 'load (kW)', in kW" in tables.found


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("town.xlsx", {"[Content_Types].xml": b"<x/>", "xl/sheet.xml": b"<x/>"}, "is a file of Excel"),
        ("town.zip", {"a.pdf": b"", "b.json": b""}, "no table, only a.pdf, b.json; tables end in .csv"),
        ("town.zip", {"in/b.zip": b""}, "no table, only in/b.zip"),
        ("town.zip", {}, "town.zip: no table, no file is in it; tables end in .csv"),
        ("town.csv", b"PK\x03\x04" + bytes(100), "town.csv is not a readable table, folder or archive"),
        ("town.csv.gz", gzip.compress(table().encode())[:-100], "town.csv.gz/town.csv cannot be unpacked ("),
        ("town.tar.bz2", b"BZh9" + bytes(100), "is not a readable table, folder or archive"),
    ],
)
def test_sources_that_are_none(tmp_path, name, content, what):
    path = tmp_path / name
    if isinstance(content, dict):
        archive(path.with_suffix(".zip"), content)
        path.with_suffix(".zip").rename(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(what)):
        read_load(path, LoadFormat())


@pytest.mark.medium
def test_the_published_files_read_as_pjm_reads_them(real_energy, tmp_path_factory):
    dataset = pjm.prepare(tmp_path_factory.mktemp("pjm"), source=real_energy)
    offsets = dict(zip(dataset.series, zip(dataset.offsets, dataset.offsets[1:], strict=False), strict=True))
    for row in pjm.SERIES:
        (series,) = read_load(real_energy / row.file, LoadFormat()).series
        rows = slice(*offsets[row.name])
        np.testing.assert_array_equal(series.times, dataset.times[rows])
        np.testing.assert_array_equal(series.load.astype(np.float32), dataset.values[rows, 0])
        assert dataset.counts[row.name].items() <= series.counts.items()
