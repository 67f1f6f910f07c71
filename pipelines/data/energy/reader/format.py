"""What is given about tables of load, and what is read from them."""

from dataclasses import dataclass, field, fields
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from pipelines.data.energy.terms import ORDERS, UNITS
from pipelines.errors import UserError, nearest, require_known

ALL = "all"  # columns of load


@dataclass(frozen=True, kw_only=True)
class LoadFormat:
    """What is known of a table beforehand; an empty field is found out.

    Attributes:
        time_column: name of the column of times, or two names with a comma between them: of dates, and of hours. A
            column without a name has its number, from 1.
        load_column: name of the column of load, or several with commas between them, of a series each; "all": every
            column of numbers.
        series_column: name of the column that says which series a row belongs to.
        date_format: as of strptime, with ``%z`` at the end only; or one of `ORDERS`: which of day, month and year comes
            first, or seconds or milliseconds since 1970.
        timezone: IANA name of the zone whose local time the series are to have, and naive times are in.
        unit: one of `UNITS`.
        decimal_mark: "." or ",".
    """

    time_column: str = ""
    load_column: str = ""
    series_column: str = ""
    date_format: str = ""
    timezone: str = ""
    unit: str = ""
    decimal_mark: str = ""

    def __post_init__(self) -> None:
        if self.date_format and "%" not in self.date_format:
            require_known("date format", self.date_format, ORDERS)
        if "%z" in self.date_format[:-2]:
            raise UserError(f"date format {self.date_format!r:.60}: %z can only come last")
        if self.unit:
            require_known("unit", self.unit, tuple(UNITS))
        if self.decimal_mark:
            require_known("decimal mark", self.decimal_mark, (".", ","))
        if self.timezone:
            require_zone(self.timezone)


LOAD_FORMAT = tuple(each.name for each in fields(LoadFormat))  # the options of commands that read loads


def require_zone(name: str) -> None:
    """Require that there is a time zone of this name, IANA's; raises UserError."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError where there is no such file
        raise _unknown_zone(name) from error
    except KeyError as error:
        raise _unknown_zone(name) from error


def _unknown_zone(name: str) -> UserError:
    return UserError(f"unknown time zone {name!r:.60}; {nearest(name, available_timezones())}e.g. Europe/Berlin or UTC")


@dataclass(frozen=True, eq=False)
class LoadSeries:
    """Hourly load of one series, sorted by time.

    Attributes:
        name: of the series.
        times: (L,) datetime64[s], the hour that each load is of: its beginning, or what the file labels it with; local,
            without zone. An hour that the clocks repeat is there twice.
        load: (L,) float64, MW, finite.
        counts: `rows`, hours of the series; `readings`, rows of the file that hold one; `unsorted`, readings earlier
            than the one before them; `duplicated`, hours that were there already; `missing`, absent hours between the
            first and the last; `empty`, readings without a number; `averaged`, readings that were averaged;
            `incomplete`, hours averaged from less than all readings, and `too few`, hours left out because half of
            them or more are absent; `skipped`, hours left out because the zone's clocks skip them; `zero` and
            `negative` loads; `constant`, hours in stretches of CONSTANT_HOURS or more of the same load.
    """

    name: str
    times: np.ndarray
    load: np.ndarray
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class LoadTables:
    """The series of a source.

    Attributes:
        series: in the order in which they were found.
        files: SHA-256, hexadecimal, of each table by its path in the source; of a packed one, of what it unpacks to.
        found: sentences on what was found out, and on what was done.
        timezone: IANA name of the zone of the times; "" if unknown.
    """

    series: tuple[LoadSeries, ...]
    files: dict[str, str] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    timezone: str = ""


def option(name: str) -> str:
    """The option of the command line that gives a field of `LoadFormat`."""
    assert name in {each.name for each in fields(LoadFormat)}
    return "--" + name.replace("_", "-")
