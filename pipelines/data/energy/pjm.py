"""The data set ``pjm``: the twelve public files of PJM Interconnection's hourly load.

Policy for the files, the one under which the published windows are counted:

- rows are sorted by time, stably: rows of the same hour stay in the order of the file;
- duplicated hours (the end of daylight saving) are kept, gaps are not filled, zeros are kept;
- each of these is counted, per series, in `EnergyDataset.counts`;
- any line that is not a load at an hour (a broken line, another column, an empty, negative or infinite load, another
  date format, a time off the hour) is refused with its file and line, never repaired.
"""

import csv
import io
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.data.energy.series import EnergyDataset, read_cache, table, write_cache
from pipelines.data.files import cache
from pipelines.data.files.download import fetch
from pipelines.data.files.source import contents, verified_digest
from pipelines.data.protocol import DATA_DIR, LOOKBACK, PJM
from pipelines.errors import UserError

_COMMIT = "ea3b6a811a92a781193e5ba552a8f67de8782adf"
URL = f"https://raw.githubusercontent.com/gabrielloye/GRU_Prediction/{_COMMIT}/data/{{file}}"
PAGE = f"https://github.com/gabrielloye/GRU_Prediction/tree/{_COMMIT}/data"  # lists the files of URL


class Series(NamedTuple):
    """One published file: the series' name, the file's, its SHA-256 and its number of hours."""

    name: str
    file: str
    sha256: str
    rows: int


# In the order in which the tutorial's notebook printed the files, which is the order of its figures.
SERIES = (
    Series(
        "PJM_Load", "PJM_Load_hourly.csv", "7dc080b7dfa4812c92f609a99cf1900cfbd49656412e744bf977d83500cebda0", 32896
    ),
    Series("DOM", "DOM_hourly.csv", "aa040e6ff42029dbc6698066d1a12765b00c56f993127af22f26aa9b769373a6", 116189),
    Series("FE", "FE_hourly.csv", "f2a4b89417cab06aaba451093f90d237fec911ccc70cd29a34449baaefdb8b3d", 62874),
    Series("COMED", "COMED_hourly.csv", "2e79007e3f1be8765c92ff2b26314c0df0507bdd783110388a1e8d678d13fa1e", 66497),
    Series("AEP", "AEP_hourly.csv", "109d122f7b485555c609eecdec2cd5a03172e0a08acd358d863acc93eb452585", 121273),
    Series("DEOK", "DEOK_hourly.csv", "070f9e0ece2fa97d5585f85bbf36122f5b3ab7f7f166db95fd0ebc3958d37600", 57739),
    Series("NI", "NI_hourly.csv", "8de74f28ae6d03bd5d33050b00a2a1a001a8bff37e8e7100bf790003ea61030f", 58450),
    Series("EKPC", "EKPC_hourly.csv", "2036a4ed539b10d42b9249a662d1e55eda555bba8673745ee1f5586db5cfe6ab", 45334),
    Series("DUQ", "DUQ_hourly.csv", "d4e09cca9f50c0c46eeef9feb8e5def5778368081c9af2a45cc0e8a798218071", 119068),
    Series("PJMW", "PJMW_hourly.csv", "74b9c6c03e74933bfaf1f472eea18a2a09552289317858f6b1931fbc87c3996f", 143206),
    Series("DAYTON", "DAYTON_hourly.csv", "84d3397231d5819b5cf086ef9e87cadf6dd7954085f2834be7e37257702ec768", 121275),
    Series("PJME", "PJME_hourly.csv", "4eb2b16d42bf07ec41ab55cb842191594cb69452725a6d3c0991658a628fde84", 145366),
)

# Rows a series needs: with 20 windows, the test part has two and the training part eighteen.
MIN_ROWS = LOOKBACK + 20
MAX_FILE_BYTES = 1 << 26  # sixteen times the largest published file, so that no archive can fill the memory
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


def prepare(data_dir: str | Path = DATA_DIR, source: str | Path = "", allow_unverified: bool = False) -> EnergyDataset:
    """Read the files, verify and cache them in ``data_dir/pjm``, and load the cache; see `cache.prepare`.

    Args:
        data_dir: folder of the caches.
        source: folder, .zip or .tar.gz that holds the published CSV files, at any depth in an archive; empty: they are
            downloaded into ``data_dir/pjm/raw``.
        allow_unverified: take files whose digest is not the published one, and record that in the data set.

    Raises:
        UserError: source absent or broken, a file missing, unverified or not in the format, no network, or a data_dir
            that cannot be written.
    """
    build = partial(_build, allow_unverified=allow_unverified)
    return cache.prepare(PJM, data_dir, source, _read, build, _download, PAGE)


def load(data_dir: str | Path = DATA_DIR) -> EnergyDataset:
    """Memory-map the prepared data set, checked against its digest.

    Raises:
        UserError: not prepared, or changed since it was; names the command that prepares it.
    """
    return cache.load(PJM, data_dir, _read)


# PJM publishes all zones, also Chicago's (COMED), in Eastern prevailing time.
_read = partial(read_cache, PJM, country="US", timezone="America/New_York")


def _download(folder: Path) -> Path:
    for series in SERIES:
        fetch(URL.format(file=series.file), folder / series.file, series.sha256)
    return folder


def _build(folder: Path, source: Path, allow_unverified: bool) -> None:
    """Read every file of `source` and write the cache in `folder`."""
    published = {series.file: series for series in SERIES}
    tables, hashes = {}, {}
    for file, where, raw in contents(source, tuple(published), MAX_FILE_BYTES, "hourly load file"):
        series = published[file]
        hashes[file] = verified_digest(raw, "sha256", series.sha256, where, allow_unverified)
        tables[series.name] = table(*_parse(raw, series.name, where))
    verified = all(hashes[series.file] == series.sha256 for series in SERIES)
    write_cache(folder, {series.name: tables[series.name] for series in SERIES}, hashes, verified)


def _parse(raw: bytes, name: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (L,) datetime64[s] and load (L,) float64 in MW of one CSV file, in the order of its lines."""
    columns = ["Datetime", f"{name}_MW"]
    try:
        frame = pd.read_csv(io.BytesIO(raw), dtype={columns[1]: "float64"}, low_memory=False)
        times = pd.to_datetime(frame[columns[0]].astype(str), format=DATE_FORMAT).to_numpy()
        load = frame[columns[1]].to_numpy()
        # One comma a line: pandas would take the first of three fields for an index.
        plain = list(frame.columns) == columns and raw.count(b",") == len(frame) + 1
        sound = plain and np.all(_is_hour(times) & _is_load(load))
    except (ValueError, KeyError):
        sound = False
    if not sound:
        line, fault = _first_fault(raw, columns)
        raise UserError(f"{where}, line {line}: {fault}; correct the line or take the published file")
    if len(frame) < MIN_ROWS:
        raise UserError(
            f"{where}, line {len(frame) + 1}: the file ends after {len(frame)} hours; at least {MIN_ROWS} are needed"
        )
    return times.astype("datetime64[s]"), load


def _is_hour(times: np.ndarray) -> np.ndarray:
    return times == times.astype("datetime64[h]")


def _is_load(load: np.ndarray) -> np.ndarray:
    """Returns whether loads are finite as float32 and not negative; false for NaN."""
    return (load >= 0) & (load <= np.finfo(np.float32).max)


def _first_fault(raw: bytes, columns: list[str]) -> tuple[int, str]:
    """Line number and description of the first line that `_parse` cannot accept, found by the same criteria."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return raw.count(b"\n", 0, error.start) + 1, f"byte 0x{raw[error.start]:02x} is not UTF-8"
    numbers, rows = [], []
    ragged = None
    for number, line in enumerate(io.StringIO(text), start=1):
        fields = _fields(line)
        if number == 1 and fields != columns:
            return 1, f"the columns are {line.strip()!r:.80}, not {','.join(columns)!r}"
        if number > 1 and fields:
            if len(fields) != len(columns):
                ragged = number, f"{line.strip()!r:.80} is not {len(columns)} fields"
                break
            numbers.append(number)
            rows.append(fields)
    dates, loads = zip(*rows, strict=True) if rows else ((), ())
    is_hour = _is_hour(pd.to_datetime(list(dates), format=DATE_FORMAT, errors="coerce").to_numpy())
    is_load = _is_load(np.asarray(pd.to_numeric(list(loads), errors="coerce")))
    for first in np.flatnonzero(~(is_hour & is_load))[:1]:
        if not is_hour[first]:
            return numbers[first], f"{dates[first]!r:.80} is not a full hour written YYYY-MM-DD HH:00:00"
        return numbers[first], f"the load {loads[first]!r:.80} is not a finite number of at least 0 MW"
    return ragged or (1, "the file is empty, or not plain CSV")


def _fields(line: str) -> list[str]:
    """Returns the fields of one line of CSV; none if it is blank, one if it cannot be split."""
    try:
        return next(csv.reader([line.rstrip("\r\n")], strict=True)) if line.strip() else []
    except csv.Error:
        return [line]
