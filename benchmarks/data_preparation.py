"""Time and memory of preparing the twelve PJM files, by the tutorial's method and by this project's.

    python benchmarks/data_preparation.py FOLDER_OF_THE_CSV_FILES

The methods run one after the other, each in a process of its own. The time excludes imports; the memory is the peak
resident set of the whole process. "Tutorial" is written from the description of the notebook that the forecasting
report follows: row-wise calendar features, scalers fitted on whole series, every 90-hour window a float64 copy (about
11 GB).
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from pipelines.data.energy.series import EnergyDataset

STRIDE = 1009  # every STRIDE-th training window is compared; prime, so that all hours of the day occur


def tutorial(csv_folder: Path, scratch: Path) -> float:
    """Seconds to compute the tutorial's training and test windows; writes some of the former to `scratch`."""
    import numpy as np
    import pandas as pd
    from sklearn.preprocessing import MinMaxScaler

    from pipelines.data.energy.pjm import SERIES
    from pipelines.data.protocol import LOOKBACK

    start = time.perf_counter()
    train_windows: np.ndarray | None = None
    test_windows = {}
    for series in SERIES:
        frame = pd.read_csv(csv_folder / series.file, parse_dates=["Datetime"])
        frame["hour"] = frame.apply(lambda x: x["Datetime"].hour, axis=1)
        frame["day_of_week"] = frame.apply(lambda x: x["Datetime"].day_of_week, axis=1)
        frame["month"] = frame.apply(lambda x: x["Datetime"].month, axis=1)
        frame["day_of_year"] = frame.apply(lambda x: x["Datetime"].day_of_year, axis=1)
        # The notebook's sort is not stable: 16 duplicated hours would differ.
        frame = frame.sort_values("Datetime", kind="stable").drop(columns="Datetime")
        scaled = MinMaxScaler().fit_transform(frame.to_numpy())
        windows = np.zeros((len(scaled) - LOOKBACK, LOOKBACK, scaled.shape[1]))
        for row in range(LOOKBACK, len(scaled)):
            windows[row - LOOKBACK] = scaled[row - LOOKBACK : row]
        test_part = int(0.1 * len(windows))
        test_windows[series.file] = windows[-test_part:]
        if train_windows is None:
            train_windows = windows[:-test_part]
        else:
            train_windows = np.concatenate((train_windows, windows[:-test_part]))
    seconds = time.perf_counter() - start
    assert train_windows is not None
    np.save(scratch / "windows.npy", train_windows[::STRIDE])
    return seconds


def prepared(csv_folder: Path, scratch: Path) -> float:
    """Seconds to compute the cached array and the indices of the training windows from the CSV files."""
    from pipelines.data.energy.pjm import prepare

    start = time.perf_counter()
    _training_targets(prepare(scratch / "data", source=csv_folder))
    return time.perf_counter() - start


def cached(csv_folder: Path, scratch: Path) -> float:
    """Seconds to compute the indices of the training windows from the cache."""
    from pipelines.data.energy.pjm import load

    start = time.perf_counter()
    _training_targets(load(scratch / "data"))
    return time.perf_counter() - start


def imports(csv_folder: Path, scratch: Path) -> float:
    """Seconds to import the packages that all methods need; its memory is a lower limit for theirs."""
    start = time.perf_counter()
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    return time.perf_counter() - start


def _training_targets(dataset: "EnergyDataset") -> "np.ndarray":
    import numpy as np

    from pipelines.data.energy.series import split

    return np.concatenate(split(dataset)["train"])


def largest_difference(csv_folder: Path, scratch: Path) -> tuple[int, float]:
    """Compare windows of both methods: number of windows, and largest difference on the tutorial's scale of 0-1."""
    import numpy as np

    from pipelines.data.energy.pjm import load
    from pipelines.data.protocol import LOOKBACK

    theirs = np.load(scratch / "windows.npy", mmap_mode="r")
    dataset = load(scratch / "data")
    targets = _training_targets(dataset)[::STRIDE]
    if len(targets) != len(theirs):
        raise SystemExit(f"{len(theirs)} windows in the tutorial's sample, {len(targets)} in ours")
    largest = 0.0
    for target, window in zip(targets, theirs, strict=True):
        series = np.searchsorted(dataset.offsets, target, side="right") - 1
        rows = dataset.values[dataset.offsets[series] : dataset.offsets[series + 1]].astype(np.float64)
        low, high = rows.min(axis=0), rows.max(axis=0)
        ours = (dataset.values[target - LOOKBACK : target] - low) / (high - low)
        largest = max(largest, float(np.abs(ours - window).max()))
    return len(targets), largest


WAYS = {
    imports: "import numpy, pandas",
    tutorial: "tutorial",
    prepared: "ours, from the files",
    cached: "ours, from the cache",
}


def run(function: Callable[[Path, Path], object], csv_folder: Path, scratch: Path) -> tuple[Any, float]:
    """Run one of the functions above in a process of its own; returns its result and the process's peak memory, MB."""
    command = [sys.executable, "-m", "benchmarks.data_preparation", str(csv_folder), function.__name__, str(scratch)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root)
    result, peak = json.loads(done.stdout)
    return result, peak


def main() -> None:
    """Measure all methods and print the table."""
    if len(sys.argv) == 4:
        csv_folder, function, scratch = Path(sys.argv[1]), globals()[sys.argv[2]], Path(sys.argv[3])
        result = function(csv_folder, scratch)
        print(json.dumps([result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit(__doc__)
    csv_folder = Path(sys.argv[1]).resolve()
    for path in csv_folder.glob("*.csv"):
        path.read_bytes()  # into the page cache, so that the first method does not read them from disk for all
    with tempfile.TemporaryDirectory() as folder:
        measured = {way: run(way, csv_folder, Path(folder)) for way in WAYS}
        (compared, difference), _ = run(largest_difference, csv_folder, Path(folder))
    seconds, peak = measured[tutorial]
    print("| way | s | peak MB | times faster | times less memory |\n|---|---|---|---|---|")
    for way, label in WAYS.items():
        own_seconds, own_peak = measured[way]
        ratios = "| | |" if way is imports else f"| {seconds / own_seconds:.1f} | {peak / own_peak:.1f} |"
        print(f"| {label} | {own_seconds:.2f} | {own_peak:.0f} {ratios}")
    print(f"\nLargest difference over {compared} training windows: {difference:.1e} of the tutorial's 0-1 scale.")


if __name__ == "__main__":
    main()
