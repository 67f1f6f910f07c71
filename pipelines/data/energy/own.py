"""Hourly load of a user's own, prepared under a name of the user's; its tables are read as reader/read.py says."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as remembered
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.data.energy import gaps
from pipelines.data.energy.reader.format import LoadFormat, LoadSeries
from pipelines.data.energy.reader.read import read_load
from pipelines.data.energy.series import EnergyDataset, Table, cut, features, read_cache, write_cache
from pipelines.data.energy.terms import FILL, KEEP, SKIP
from pipelines.data.files import cache
from pipelines.data.protocol import DATA_DIR, KIND, LOAD, LOOKBACK
from pipelines.errors import UserError, nearest

# Windows that a series needs: with 20 the test part has two, the training part eighteen.
MIN_WINDOWS = 20
_NAMED = 10  # series in a message


@dataclass(frozen=True, kw_only=True)
class LoadPolicy:
    """What is made of the hours of a table.

    Attributes:
        gaps: one of terms.GAPS.
        country: whose public holidays the load knows: ISO 3166 code, with a subdivision as in "GB-ENG"; "" for none.

    Raises:
        UserError: `gaps` or `country` is unknown.
    """

    gaps: str = SKIP
    country: str = ""

    def __post_init__(self) -> None:
        if self.country:
            _require_country(self.country)


def prepare(
    name: str, data_dir: str | Path, source: str | Path, given: LoadFormat, policy: LoadPolicy, command: str
) -> EnergyDataset:
    """Read the tables of `source`, cache them in ``data_dir/name``, and load the cache; see `cache.prepare`.

    Args:
        name: of the data set.
        data_dir: folder of the caches.
        source: a table, or a folder or archive of tables; empty: what has been prepared is loaded.
        given: what is known of the tables beforehand.
        policy: for gaps and holidays.
        command: command line that does this again, for messages.

    Raises:
        UserError: no source, tables that cannot be read or only in more than one way, or series that are too short.
    """
    build = partial(_build, given=given, policy=policy, command=command)
    return cache.prepare(name, data_dir, source, partial(read_cache, name), build, partial(cache.no_download, name))


def load(name: str, data_dir: str | Path = DATA_DIR) -> EnergyDataset:
    """Memory-map the prepared data set, checked against its digest.

    Raises:
        UserError: not prepared, or changed since it was; names the command that prepares it.
    """
    return cache.load(name, data_dir, partial(read_cache, name))


def _build(folder: Path, source: Path, given: LoadFormat, policy: LoadPolicy, command: str) -> None:
    """Read every table of `source` and write the cache in `folder`."""
    read = read_load(source, given)
    made = [_hours(series, read.timezone, policy.gaps) for series in read.series]
    tables = {each.name: each.table for each in made}
    _require_windows(source, made)
    starts = np.cumsum([0, *(len(each.values) for each in tables.values())]).tolist()
    breaks, filled = (
        [start + row for each, start in zip(made, starts, strict=False) for row in rows(each)]
        for rows in (_Made.breaks_of, _Made.filled_of)
    )
    facts = {
        KIND: LOAD,
        "timezone": read.timezone,
        "country": policy.country,
        "gaps": policy.gaps,
        "found": [*read.found, *_said(made, read.timezone, policy.gaps)],
        cache.COMMAND: command,
    }
    write_cache(folder, tables, read.files, None, breaks, filled, facts)


@dataclass(frozen=True, eq=False)
class _Made:
    """A series with what its policy left of the gaps."""

    name: str
    table: Table
    hours: gaps.Hours

    @property
    def windows(self) -> int:
        """Number of windows that cross no gap; 0 if no target of the test part was measured."""
        train, _, test = cut(0, len(self.table.values), self.hours.breaks, self.hours.filled)
        return len(train) + len(test) if len(test) else 0

    def breaks_of(self) -> list[int]:
        return self.hours.breaks.tolist()

    def filled_of(self) -> list[int]:
        return self.hours.filled.tolist()


def _hours(series: LoadSeries, timezone: str, policy: str) -> _Made:
    hours = gaps.apply(series.times, series.load, timezone, policy)
    counts = series.counts | {"gaps": hours.gaps, "filled": len(hours.filled)}
    return _Made(series.name, Table(features(hours.times, hours.load), hours.times, counts), hours)


def _require_windows(source: Path, made: Sequence[_Made]) -> None:
    short = [each for each in made if each.windows < MIN_WINDOWS]
    if not short:
        return
    named = ", ".join(
        f"{each.name} ({len(each.table.values):,} hours, gaps: {each.hours.gaps:,}, windows: {each.windows})"
        for each in short[:_NAMED]
    )
    more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
    raise UserError(
        f"{source}: too short: {named}{more}; a series needs {MIN_WINDOWS} windows of {LOOKBACK} hours and the next, "
        f"which {LOOKBACK + MIN_WINDOWS} hours without a gap have: give more, leave such series out, or see --gaps"
    )


def _said(made: Sequence[_Made], timezone: str, policy: str) -> list[str]:
    """Sentences on the gaps of all series."""
    count = sum(each.hours.gaps for each in made)
    if not count:
        return []
    filled, left = (sum(map(len, rows)) for rows in zip(*((e.filled_of(), e.breaks_of()) for e in made), strict=True))
    done = {
        SKIP: "no window crosses one",
        FILL: f"{filled:,} hours filled" + (f"; no window crosses the {left:,} that are too long" if left else ""),
        KEEP: "windows cross them as if there were none",
    }[policy]
    said = [f"gaps of missing hours: {count:,}, {done} (--gaps {policy})"]
    changes = sum(each.hours.clock_changes for each in made)
    if changes and not timezone:
        said.append(
            f"of these {changes:,} are where clocks may have been put forward; in the time zone of the data, given by "
            "--timezone, such hours are not missing"
        )
    return said


@remembered
def _countries() -> dict[str, list[str]]:
    from holidays.utils import list_supported_countries

    return list_supported_countries()


def _require_country(code: str) -> None:
    country, _, part = code.partition("-")
    known = _countries()
    if country not in known:
        raise UserError(f"unknown country {code!r:.60}; {nearest(code, known)}e.g. DE, US or GB-ENG (ISO 3166)")
    if part and part not in known[country]:
        raise UserError(
            f"unknown part {part!r:.60} of country {country}; "
            + (f"known are {', '.join(known[country])}" if known[country] else f"give {country} alone")
        )
