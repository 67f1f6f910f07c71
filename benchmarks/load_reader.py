"""Time and memory of reading tables of load, of 10 million rows each or of as many as are given.

    python benchmarks/load_reader.py [ROWS]

Each table is written to a temporary folder, then read in a process of its own. The time is that of the CPUs, without
imports; the memory is the peak resident set of the whole process, and beside it what it was before the reading.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 10_000_000
PIECE = 100_000  # rows written at once
START = pd.Timestamp("2000-01-01")

# Of each table: the header, the delimiter, how times are written, minutes between rows, the number of series.
TABLES = {
    "one series of minutes, ISO": ("time,load", ",", "%Y-%m-%d %H:%M:%S", 1, 1),
    "one series of minutes, German": ("Zeit;Last (kW)", ";", "%d.%m.%Y %H:%M", 1, 1),
    "hours of a hundred series, with their names": ("time,load,zone", ",", "%m/%d/%Y %I:%M:%S %p", 60, 100),
}


def lines(table: str, rows: int) -> Iterator[str]:
    """Yield the text of a table, in pieces."""
    header, delimiter, written, minutes, series = TABLES[table]
    yield header + "\n"
    for number in range(series):
        for first in range(0, rows // series, PIECE):
            places = np.arange(first, min(first + PIECE, rows // series))
            times = (START + pd.to_timedelta(places * minutes, unit="min")).strftime(written)
            end = f"{delimiter}zone {number}\n" if series > 1 else "\n"
            loads = (f"{value:.2f}" for value in 1000 + places % 977 * 1.25)
            if delimiter == ";":
                loads = (value.replace(".", ",") for value in loads)
            yield "".join(f"{time}{delimiter}{load}{end}" for time, load in zip(times, loads, strict=True))


def read(path: Path) -> None:
    """Read a table; prints seconds, and megabytes before and at the peak."""
    from pipelines.data.energy.reader.format import LoadFormat
    from pipelines.data.energy.reader.read import read_load

    before, start = _peak_mb(), time.process_time()
    tables = read_load(path, LoadFormat())
    seconds = time.process_time() - start
    hours = sum(len(series.load) for series in tables.series)
    print(json.dumps([seconds, before, _peak_mb(), len(tables.series), hours]))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure all tables and print a table of the results."""
    if len(sys.argv) == 3:
        read(Path(sys.argv[2]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) == 2 else ROWS
    print(f"| {rows:,} rows | file MB | series | hours | CPU s | MB before | peak MB |\n|---|---|---|---|---|---|---|")
    root = Path(__file__).resolve().parents[1]
    for table in TABLES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "load.csv"
            with path.open("w") as file:
                file.writelines(lines(table, rows))
            size = path.stat().st_size / 1e6
            command = [sys.executable, "-m", "benchmarks.load_reader", "read", str(path)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root)
        seconds, before, peak, series, hours = json.loads(done.stdout)
        print(
            f"| {table} | {size:.0f} | {series} | {hours:,} | {seconds:.1f} | {before:.0f} | {peak:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
