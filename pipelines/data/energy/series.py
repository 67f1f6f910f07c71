"""Hourly electricity load as one float32 array: the form of all data sets of that kind.

A window is `LOOKBACK` rows, its target the row after them; the windows of a series of L rows number L - `LOOKBACK`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipelines.common.origins import Origin
from pipelines.data.files import cache
from pipelines.data.protocol import FEATURES, KIND, LOOKBACK, TEST_FRACTION
from pipelines.errors import UserError

HOUR = np.timedelta64(3600, "s")

# For each series the rows whose load is to be forecast, ascending row numbers of all rows of a data set.
Part = tuple[np.ndarray, ...]

NO_FACTS: Mapping[str, Any] = MappingProxyType({})
CACHE_FORMAT = 1  # raised whenever the cached files change their meaning
_MOST_LOW = 0.01  # part of the loads that may have no logarithm
VALUES_FILE = "values.npy"
TIMES_FILE = "times.npy"


@dataclass(frozen=True, eq=False)
class EnergyDataset:
    """Hourly series, one after the other, as the rows of one array.

    Attributes:
        name: name of the data set, as in datasets.py.
        series: names of the S series.
        values: (N, 5) float32, raw units, read-only, memory-mapped where cached; columns `protocol.FEATURES`: load
            (MW), hour (0-23), day of week (0-6, Monday 0), month (1-12), day of year (1-366).
        times: (N,) datetime64[s], the hour of each row, without time zone, as in the files.
        offsets: S + 1 row numbers; series s is the rows ``offsets[s]:offsets[s + 1]``, sorted by time.
        digest: SHA-256, hexadecimal, of names, offsets, times and values, and of `breaks` and `filled` if there are
            any: identical data have identical digests.
        counts: per series: `rows`; `unsorted`, rows earlier than the row before them in the file; `duplicated`, rows
            of an hour that was there already; `missing`, absent hours between the first and the last; `zero` loads.
            Of data of a user's own there are more, see reader/format.py and gaps.py.
        verified: whether every file was the published one; None for data that nobody published.
        origin: the files.
        country: whose public holidays the load knows, see calendar.py; empty: unknown.
        timezone: of its times, IANA name; empty: unknown.
        breaks: rows within a series that come after a gap which no window may cross; the runs of rows between them are
            called stretches.
        filled: rows whose load is made up for a missing one; they are no targets of the validation and test part.
        found: sentences on what was found out, and done, when the files were read.
    """

    name: str
    series: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray
    offsets: tuple[int, ...]
    digest: str
    counts: dict[str, dict[str, int]]
    verified: bool | None = True
    origin: Origin = field(default_factory=Origin)
    country: str = ""
    timezone: str = ""
    breaks: tuple[int, ...] = ()
    filled: tuple[int, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of a window."""
        return LOOKBACK, len(FEATURES)

    @property
    def train_size(self) -> int:
        """Number of windows of the training part, with nothing held out."""
        return part_size(split(self)["train"])


def split(dataset: EnergyDataset, validation: float = 0.0) -> dict[str, Part]:
    """Cut the targets of each series, in time order, into training, validation and test part.

    Of the n windows of a series, L - `LOOKBACK` for a stretch of L rows, the last int(0.1 n) are the test part (the
    tutorial's rule), and of the others the last int(`validation` times their number) the validation part. Filled rows
    are then taken out of both.

    Args:
        dataset: the series.
        validation: fraction held out, 0 <= validation < 1.

    Returns:
        "train", "validation" and "test".

    Raises:
        UserError: `validation` out of its range.
    """
    if not 0 <= validation < 1:
        raise UserError(f"validation fraction {validation} is not in [0, 1); give 0 to hold nothing out")
    breaks, filled = np.array(dataset.breaks, np.int64), np.array(dataset.filled, np.int64)
    cuts = [
        cut(start, end, breaks[(start < breaks) & (breaks < end)], filled, validation)
        for start, end in pairwise(dataset.offsets)
    ]
    return dict(zip(("train", "validation", "test"), zip(*cuts, strict=True), strict=True))


def cut(
    start: int, end: int, breaks: np.ndarray, filled: np.ndarray, validation: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The targets of one series in its training, validation and test part, see `split`.

    Args:
        start, end: its first row, and the one after its last.
        breaks, filled: rows as in `EnergyDataset`, the former those within the series.
        validation: fraction held out.
    """
    edges = [start, *breaks.tolist(), end]
    targets = np.concatenate([np.arange(first + LOOKBACK, last) for first, last in pairwise(edges)])
    test = len(targets) - int(TEST_FRACTION * len(targets))
    held_out = test - int(validation * test)
    train, validated, tested = np.split(targets, [held_out, test])
    return train, validated[~np.isin(validated, filled)], tested[~np.isin(tested, filled)]


def subset(dataset: EnergyDataset, names: Sequence[str]) -> EnergyDataset:
    """A data set of some of the series, in this order; its digest is that of the whole."""
    bounds = [dataset.offsets[dataset.series.index(name) :][:2] for name in names]
    rows = np.concatenate([np.arange(start, end) for start, end in bounds])
    place = np.full(len(dataset.values), -1)
    place[rows] = np.arange(len(rows))
    breaks, filled = (tuple(place[row] for row in kept if place[row] >= 0) for kept in (dataset.breaks, dataset.filled))
    return replace(
        dataset,
        series=tuple(names),
        values=dataset.values[rows],
        times=dataset.times[rows],
        offsets=(0, *np.cumsum([end - start for start, end in bounds]).tolist()),
        counts={name: dataset.counts[name] for name in names},
        breaks=breaks,
        filled=filled,
    )


def log_floor(load: np.ndarray) -> float:
    """Load in MW that stands for lower ones where logarithms are taken, which zero and negative loads have none of.

    It is 1 MW, or a thousandth of the median of the positive loads where that is less.
    """
    positive = load[load > 0]
    return min(1.0, float(np.median(positive)) / 1000) if len(positive) else 1.0


def require_positive(dataset: EnergyDataset, part: Part) -> None:
    """Require that nearly all targets of `part` are loads that have a logarithm.

    Raises:
        UserError: those of a series do not; names it.
    """
    for series, targets in zip(dataset.series, part, strict=True):
        load = dataset.values[targets, 0]
        low = float(np.mean(load <= log_floor(load))) if len(load) else 0.0
        if low > _MOST_LOW:
            raise UserError(
                f"{100 * low:.2g} % of the loads of series {series} of {dataset.name} are zero, negative or next to "
                "nothing, and it forecasts by what factor a load changes; take rows that forecast the load itself, "
                "such as linear-ar-hourly and gru-2"
            )


def part_size(part: Part) -> int:
    """Number of targets of all series."""
    return sum(map(len, part))


class Table(NamedTuple):
    """One series, sorted by time: values (L, 5) float32, times (L,) datetime64[s], and its counts."""

    values: np.ndarray
    times: np.ndarray
    counts: dict[str, int]


def table(times: np.ndarray, load: np.ndarray) -> Table:
    """Sort, count, and add the calendar features."""
    unsorted = int(np.sum(np.diff(times) < np.timedelta64(0)))
    order = np.argsort(times, kind="stable")
    times, load = times[order], load[order]
    duplicated = int(np.sum(np.diff(times) == np.timedelta64(0)))
    span = int((times[-1] - times[0]) / HOUR) + 1
    counts = {
        "rows": len(load),
        "unsorted": unsorted,
        "duplicated": duplicated,
        "missing": span - (len(load) - duplicated),
        "zero": int(np.sum(load == 0)),
    }
    return Table(features(times, load), times, counts)


def features(times: np.ndarray, load: np.ndarray) -> np.ndarray:
    """The values of an EnergyDataset, (L, 5) float32, for these hours, of any order."""
    values = np.empty((len(load), len(FEATURES)), dtype=np.float32)
    values[:, 0] = load
    for column, feature in enumerate(FEATURES[1:], start=1):
        values[:, column] = getattr(pd.Series(times).dt, feature)
    return values


def digest_of(
    series: Sequence[str],
    offsets: Sequence[int],
    times: Iterable[np.ndarray],
    values: Iterable[np.ndarray],
    breaks: Sequence[int] = (),
    filled: Sequence[int] = (),
) -> str:
    """SHA-256 of what a data set consists of, times and values given in consecutive pieces."""
    gaps = [list(breaks), list(filled)] if breaks or filled else []
    digest = hashlib.sha256(json.dumps([list(series), list(offsets), *gaps]).encode())
    for piece in times:
        digest.update(np.ascontiguousarray(piece).view(np.int64).data)
    for piece in values:
        digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def write_cache(
    folder: Path,
    tables: Mapping[str, Table],
    hashes: Mapping[str, str],
    verified: bool | None,
    breaks: Sequence[int] = (),
    filled: Sequence[int] = (),
    facts: Mapping[str, Any] = NO_FACTS,
) -> None:
    """Write the series and their meta data to the cache in `folder`.

    Args:
        folder: of the cache.
        tables: by the name of the series.
        hashes: SHA-256 of each file that they were read from, by its name.
        verified: whether every file was the published one; None for data that nobody published.
        breaks, filled: see `EnergyDataset`.
        facts: plain data that are kept beside: `country`, `timezone` and `found`, see `EnergyDataset`, and others.
    """
    values = [each.values for each in tables.values()]
    times = [each.times for each in tables.values()]
    offsets = [0, *np.cumsum([len(piece) for piece in values]).tolist()]
    meta = {
        "format": CACHE_FORMAT,
        "series": list(tables),
        "offsets": offsets,
        "counts": {name: each.counts for name, each in tables.items()},
        "digest": digest_of(list(tables), offsets, times, values, breaks, filled),
        "verified": verified,
        "files": hashes,
        **({"breaks": list(breaks), "filled": list(filled)} if breaks or filled else {}),
        **facts,
    }
    cache.write(folder, {VALUES_FILE: values, TIMES_FILE: times}, meta)


def read_cache(name: str, folder: Path, country: str = "", timezone: str = "") -> EnergyDataset:
    """Map the cache of data set `name`; raises ValueError, KeyError or TypeError if it is damaged.

    Args:
        name: of the data set.
        folder: of the cache.
        country, timezone: of the data, unless the cache says so itself.
    """
    kinds: dict[str, cache.Kind] = {
        "series": list,
        "offsets": list,
        "counts": dict,
        "digest": str,
        "verified": (bool, type(None)),
    }
    meta = cache.read_meta(folder, CACHE_FORMAT, kinds)
    if meta["verified"] is None and KIND not in meta:
        raise TypeError("only data of a user's own have nobody to verify them")
    values, times = cache.map_array(folder / VALUES_FILE), cache.map_array(folder / TIMES_FILE)
    series, offsets = tuple(meta["series"]), tuple(meta["offsets"])
    breaks, filled = tuple(meta.get("breaks", ())), tuple(meta.get("filled", ()))
    if values.shape != (offsets[-1], len(FEATURES)) or times.shape != (offsets[-1],):
        raise ValueError(f"shapes {values.shape} and {times.shape} for {offsets[-1]} rows")
    if digest_of(series, offsets, [times], [values], breaks, filled) != meta["digest"]:
        raise ValueError("the digest differs")
    return EnergyDataset(
        name,
        series,
        values,
        times,
        offsets,
        meta["digest"],
        meta["counts"],
        verified=meta["verified"],
        origin=cache.origin(meta),
        country=meta.get("country", country),
        timezone=meta.get("timezone", timezone),
        breaks=breaks,
        filled=filled,
        found=tuple(meta.get("found", ())),
    )
