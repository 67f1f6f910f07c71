"""Which columns of a table hold the time, the load, and the name of the series.

They are found by what stands in them, and where several would do by words in their names; where these do not tell
either, the user is asked.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.data.energy.reader.dates import BARE, form_of, is_clock, is_date
from pipelines.data.energy.reader.faults import quoted
from pipelines.data.energy.reader.format import ALL, LoadFormat, option
from pipelines.data.energy.reader.layout import Layout
from pipelines.data.energy.reader.numbers import is_absent, is_number
from pipelines.data.energy.terms import UNITS
from pipelines.errors import UserError, require_known

_TIME = {"time", "date", "datetime", "timestamp", "day", "datum", "zeit", "fecha", "ds", "hour", "utc", "mtu"}
_CLOCK = {"hour", "he", "hr", "time", "clock", "hours", "stunde", "uhrzeit", "zeit", "heure", "hora", "ending"}
_ENDING = {"ending", "end", "ends", "ended", "he", "bis", "to", "until"}
_BEGINNING = {"beginning", "begin", "start", "von", "from"}
_UTC = {"utc", "gmt"}
_LOAD = {
    *("load", "demand", "consumption", "power", "usage", "electricity", "value", "values"),
    *("last", "netzlast", "verbrauch", "leistung", "consommation", "demanda", "consumo", "carga", "zonal"),
}
_NO_LOAD = {
    *("temperature", "temp", "humidity", "wind", "solar", "pv", "price", "cost", "lmp", "forecast", "forecasted"),
    *("predicted", "generation", "hour", "minute", "day", "month", "year", "week", "weekday", "season", "holiday"),
    *("index", "latitude", "longitude", "lat", "lon", "dew", "dewpoint", "pressure", "cloud", "rain", "quality"),
    *("status", "flag", "voltage", "current", "intensity", "reactive", "prognose", "precipitation", "offset"),
}
_KEY = {
    *("id", "name", "zone", "area", "region", "series", "site", "station", "meter", "country", "state", "building"),
    *("customer", "bus", "node", "feeder", "item", "client", "gebiet", "zona"),
}
_UNIT = re.compile(r"(?<![A-Za-z])(?:[kMG]?Wh?|mwh?|kwh?|gwh?|MWH|KWH?|GWH)(?![A-Za-z])")
_OWN = {unit.lower(): unit for unit in UNITS}
_SHORT = 5  # names in a message


@dataclass(frozen=True)
class Roles:
    """Places of columns.

    Attributes:
        time: of times, or of dates.
        clock: of the hours of these dates; none if `time` has them.
        loads: of load.
        key: of the names of series; none if it is not known or there is none.
        keys: of columns among which the rows will tell the key; empty if it is known.
        ending: whether the time's name says that it is the end of what was measured.
        utc: whether the time's name says that it is UTC.
        left_out: of no use.
    """

    time: int
    clock: int | None
    loads: tuple[int, ...]
    key: int | None
    keys: tuple[int, ...]
    ending: bool
    utc: bool
    left_out: tuple[int, ...]

    @property
    def times(self) -> list[int]:
        """Places of the columns of times."""
        return [self.time] if self.clock is None else [self.time, self.clock]

    @property
    def used(self) -> list[int]:
        """All places of columns that are read."""
        key = [] if self.key is None else [self.key]
        return sorted({*self.times, *key, *self.loads, *self.keys})


def find(layout: Layout, given: LoadFormat, where: str) -> Roles:
    """Find out the columns.

    Raises:
        UserError: there is none for a role, or there are several and nothing tells which; names them and the option.
    """
    places = range(len(layout.names))
    columns = {place: layout.column(place) for place in places}
    dates = [place for place in places if _mostly(columns[place], lambda text: is_date(text, given.date_format))]
    time, clock = _time(layout, given, where, dates, columns)
    free = [place for place in places if place not in (time, clock)]
    key = _named(layout, given.series_column, "series_column", where) if given.series_column else None
    numbers = [
        place
        for place in free
        if place != key
        and (place not in dates or _is_bare(columns[place]))
        and _mostly(columns[place], _may_be_number)
        and any(map(is_number, columns[place]))
    ]
    loads = _loads(layout, given, where, numbers)
    rest = [place for place in free if place not in loads and place != key]
    of_key = {place for place in numbers if words(layout.names[place]) & _KEY}
    keys = [place for place in rest if columns[place] and (place in of_key or place not in {*numbers, *dates})]
    if key is not None or len(loads) > 1:
        keys = []
    names = words(layout.names[time]) | (words(layout.names[clock]) if clock is not None else set())
    return Roles(
        time,
        clock,
        tuple(loads),
        key,
        tuple(keys),
        bool(names & _ENDING) and not names & _BEGINNING,
        bool(names & _UTC),
        tuple(place for place in rest if place not in keys),
    )


def words(name: str) -> set[str]:
    """The words of a column's name, in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-zà-ÿ]+|[A-ZÀ-Þ]+", name)} | {
        word.lower() for word in re.findall(r"[A-Za-zÀ-ÿ]+", name)
    }


def unit_of(name: str) -> str:
    """The unit of `UNITS` in a column's name, "" if it has none."""
    found = _UNIT.findall(name.replace("_", " "))
    return _OWN[found[-1].lower()] if found else ""


def without_unit(name: str) -> str:
    """A column's name without its unit."""
    bare = _UNIT.sub("", name.replace("_", " ")) if "_" in name else _UNIT.sub("", name)
    bare = re.sub(r"[(\[]\s*[)\]]|\bin\s*$", "", bare).strip(" _-,:")
    return bare.replace(" ", "_") if "_" in name else bare


def listed(names: Iterable[str]) -> str:
    """Names of columns, as messages show them; the first of many."""
    names = [quoted(name) for name in names]
    shown = ", ".join(names[:_SHORT])
    return f"{shown}, … ({len(names)} of them)" if len(names) > _SHORT else shown


def _mostly(texts: Sequence[str], test: object) -> bool:
    assert callable(test)
    return bool(texts) and 2 * sum(map(bool, map(test, texts))) > len(texts)


def _may_be_number(text: str) -> bool:
    return is_number(text) or is_absent(text)


def _is_bare(texts: list[str]) -> bool:
    return form_of(texts) in BARE


def _named(layout: Layout, name: str, field: str, where: str) -> int:
    """The column of a name, as a user gives it: without regard to capitals, with its unit or without."""
    for form in (str, str.lower, lambda each: without_unit(each).lower()):
        found = [place for place, each in enumerate(layout.names) if form(each) == form(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{where}: {len(found)} columns are called {quoted(name)}; give them names of their own")
    try:
        require_known("column", name, layout.names)
    except UserError as error:
        raise UserError(f"{where}: {option(field)}: {error}") from None
    raise AssertionError


def _listed(layout: Layout, names: str, field: str, where: str) -> list[int]:
    """The columns of several names with commas between them; a name with a comma in it stands alone."""
    if names in layout.names:
        return [_named(layout, names, field, where)]
    return [_named(layout, name.strip(), field, where) for name in names.split(",")]


def _time(
    layout: Layout, given: LoadFormat, where: str, dates: list[int], columns: dict[int, list[str]]
) -> tuple[int, int | None]:
    if given.time_column:
        time, *others = _listed(layout, given.time_column, "time_column", where)
        if len(others) > 1:
            raise UserError(f"{where}: --time-column takes one name, or that of dates and that of hours")
        if others:
            return time, others[0]
    else:
        time = _one_time(layout, where, dates, columns, bool(given.timezone))
    if "%" in given.date_format or not _mostly(columns[time], _has_no_clock):
        return time, None
    clocks = [
        place
        for place, name in enumerate(layout.names)
        if place != time
        and _mostly(columns[place], is_clock)
        and (place == time + 1 or words(name) & _CLOCK)
        and (words(name) & _CLOCK or ":" in columns[place][0])
    ]
    if len(clocks) > 1:
        names = [layout.names[place] for place in clocks]
        raise UserError(
            f"{where}: columns {listed(names)} may each be the hour of the dates in {quoted(layout.names[time])}; "
            f"say which with --time-column {layout.names[time]},{names[0]}"
        )
    return time, clocks[0] if clocks else None


def _has_no_clock(text: str) -> bool:
    found = re.fullmatch(r"(?P<date>.*?)(?:[ T]+(?:0?0:00(?::00)?(?:\.0+)?|12:00(?::00)?\s*AM))?", text)
    return bool(found and is_date(found["date"]) and not re.search(r"[:T]|\d{9}|\d\s\d", found["date"]))


def _one_time(layout: Layout, where: str, dates: list[int], columns: dict[int, list[str]], with_zone: bool) -> int:
    named = {place: words(layout.names[place]) for place in dates}
    choice = [place for place in dates if not _is_bare(columns[place])] or [
        place for place in dates if named[place] & _TIME or len(dates) == 1
    ]
    # A column of days beside one of times repeats these.
    choice = _narrowed(choice, [place for place in choice if not _mostly(columns[place], _has_no_clock)])
    choice = _narrowed(choice, [place for place in choice if named[place] & _BEGINNING and not named[place] & _ENDING])
    in_utc = [place for place in choice if named[place] & _UTC]
    # With a zone, what is in UTC leaves no hour open; without one, the load follows the clocks of its place.
    choice = _narrowed(choice, in_utc if with_zone else [place for place in choice if place not in in_utc])
    choice = _narrowed(choice, [place for place in choice if not named[place] & _ENDING])
    if len(choice) == 1:
        return choice[0]
    if not choice:
        raise UserError(
            f"{where}: no column of times among {listed(layout.names)}; say which with --time-column, and how they are "
            "written with --date-format"
        )
    raise UserError(
        f"{where}: columns {listed(layout.names[place] for place in choice)} may each be the time; say which with "
        "--time-column"
    )


def _narrowed(choice: list[int], better: list[int]) -> list[int]:
    return better or choice


def _loads(layout: Layout, given: LoadFormat, where: str, numbers: list[int]) -> list[int]:
    named = {place: words(layout.names[place]) for place in numbers}
    # A column without a name counts the rows, as pandas writes it.
    with_name = [place for place in numbers if not layout.header or layout.header[place]]
    if given.load_column == ALL:
        return [place for place in with_name if not named[place] & _NO_LOAD]
    if given.load_column:
        return _listed(layout, given.load_column, "load_column", where)
    choice = with_name
    if len(choice) > 1:
        choice = [place for place in choice if not named[place] & _NO_LOAD]
    of_load = [place for place in choice if named[place] & _LOAD or unit_of(layout.names[place])]
    if of_load and len(of_load) < len(choice):
        choice = [place for place in choice if place in of_load]
        if len(choice) > 1:
            raise _open(layout, where, choice)
    elif not of_load and len(choice) > 1:
        choice = [place for place in choice if not named[place] & _KEY]
    if not choice:
        raise UserError(f"{where}: no column of load among {listed(layout.names)}; say which with --load-column")
    if len(choice) > 1 and not of_load:
        raise _open(layout, where, choice)
    return choice


def _open(layout: Layout, where: str, choice: list[int]) -> UserError:
    return UserError(
        f"{where}: columns {listed(layout.names[place] for place in choice)} may each be the load; say which with "
        f"--load-column, or --load-column {ALL} for a series of each"
    )
