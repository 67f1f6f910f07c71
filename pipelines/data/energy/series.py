"""Hourly electricity load as one float32 array: the form of all data sets of that kind.

A window is `LOOKBACK` rows, its target the row after them; the windows of a series of L rows number L - `LOOKBACK`.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.common.origins import Origin
from pipelines.data.files import cache
from pipelines.data.protocol import FEATURES, LOOKBACK, TEST_FRACTION
from pipelines.errors import UserError

HOUR = np.timedelta64(3600, "s")

# For each series the rows whose load is to be forecast, ascending row numbers of all rows of a data set.
Part = tuple[np.ndarray, ...]

CACHE_FORMAT = 1  # raised whenever the cached files change their meaning
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
        digest: SHA-256, hexadecimal, of names, offsets, times and values: identical data have identical digests.
        counts: per series: `rows`; `unsorted`, rows earlier than the row before them in the file; `duplicated`, rows
            of an hour that was there already; `missing`, absent hours between the first and the last; `zero` loads.
        verified: whether every file was the published one.
        origin: the files.
        country: whose public holidays the load knows, see calendar.py; empty: unknown.
        timezone: of its times, IANA name; empty: unknown.
        breaks: rows within a series that come after a gap which no window may cross; the runs of rows between them are
            called stretches.
    """

    name: str
    series: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray
    offsets: tuple[int, ...]
    digest: str
    counts: dict[str, dict[str, int]]
    verified: bool = True
    origin: Origin = field(default_factory=Origin)
    country: str = ""
    timezone: str = ""
    breaks: tuple[int, ...] = ()

    @property
    def train_size(self) -> int:
        """Number of windows of the training part, with nothing held out."""
        return sum(map(len, split(self)["train"]))


def split(dataset: EnergyDataset, validation: float = 0.0) -> dict[str, Part]:
    """Cut the targets of each series, in time order, into training, validation and test part.

    Of the n windows of a series, L - `LOOKBACK` for a stretch of L rows, the last int(0.1 n) are the test part (the
    tutorial's rule), and of the others the last int(`validation` times their number) the validation part.

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
    parts: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    for start, end in pairwise(dataset.offsets):
        edges = [start, *(row for row in dataset.breaks if start < row < end), end]
        targets = np.concatenate([np.arange(first + LOOKBACK, last) for first, last in pairwise(edges)])
        test = len(targets) - int(TEST_FRACTION * len(targets))
        held_out = test - int(validation * test)
        for part, rows in zip(parts.values(), np.split(targets, [held_out, test]), strict=True):
            part.append(rows)
    return {part: tuple(rows) for part, rows in parts.items()}


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
    values = np.empty((len(load), len(FEATURES)), dtype=np.float32)
    values[:, 0] = load
    for column, feature in enumerate(FEATURES[1:], start=1):
        values[:, column] = getattr(pd.Series(times).dt, feature)
    return Table(values, times, counts)


def digest_of(
    series: Sequence[str], offsets: Sequence[int], times: Iterable[np.ndarray], values: Iterable[np.ndarray]
) -> str:
    """SHA-256 of names, offsets, times and values, each of the latter two given in consecutive pieces."""
    digest = hashlib.sha256(json.dumps([list(series), list(offsets)]).encode())
    for piece in times:
        digest.update(np.ascontiguousarray(piece).view(np.int64).data)
    for piece in values:
        digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def write_cache(folder: Path, tables: dict[str, Table], hashes: dict[str, str], verified: bool) -> None:
    """Write the series and their meta data to the cache in `folder`.

    Args:
        folder: of the cache.
        tables: by the name of the series.
        hashes: SHA-256 of each file that they were read from, by its name.
        verified: whether every file was the published one.
    """
    values = [each.values for each in tables.values()]
    times = [each.times for each in tables.values()]
    offsets = [0, *np.cumsum([len(piece) for piece in values]).tolist()]
    meta = {
        "format": CACHE_FORMAT,
        "series": list(tables),
        "offsets": offsets,
        "counts": {name: each.counts for name, each in tables.items()},
        "digest": digest_of(list(tables), offsets, times, values),
        "verified": verified,
        "files": hashes,
    }
    cache.write(folder, {VALUES_FILE: values, TIMES_FILE: times}, meta)


def read_cache(name: str, folder: Path, country: str = "", timezone: str = "") -> EnergyDataset:
    """Map the cache of data set `name`; raises ValueError, KeyError or TypeError if it is damaged."""
    kinds = {"series": list, "offsets": list, "counts": dict, "digest": str, "verified": bool}
    meta = cache.read_meta(folder, CACHE_FORMAT, kinds)
    values, times = cache.map_array(folder / VALUES_FILE), cache.map_array(folder / TIMES_FILE)
    series, offsets = tuple(meta["series"]), tuple(meta["offsets"])
    if values.shape != (offsets[-1], len(FEATURES)) or times.shape != (offsets[-1],):
        raise ValueError(f"shapes {values.shape} and {times.shape} for {offsets[-1]} rows")
    if digest_of(series, offsets, [times], [values]) != meta["digest"]:
        raise ValueError("the digest differs")
    origin = cache.origin(meta)
    return EnergyDataset(
        name,
        series,
        values,
        times,
        offsets,
        meta["digest"],
        meta["counts"],
        meta["verified"],
        origin,
        country,
        timezone,
    )
