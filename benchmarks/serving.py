"""Time the answers of a running service: requests one after the other, and one request of many rows.

    python -m pipelines serve
    python -m benchmarks.serving

Each of the requests is the last week of a load of the embedded sample, a different week each time, without a name: the
service takes it for a new series. With --series NAME it is that of the training. Printed are quantiles of the seconds
from sending a request to having its answer.
"""

import argparse
import json
import time
import urllib.request
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.data.datasets import SAMPLE, load_energy

WEEK = 168


def main(arguments: Sequence[str] | None = None) -> None:
    """Send the requests and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:5001")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000, help="of the one request of many rows")
    parser.add_argument("--series", default="")
    parser.add_argument("--data-dir", default="data")
    options = parser.parse_args(arguments)
    sample = load_energy(SAMPLE, options.data_dir)
    hours = pd.DataFrame({"time": sample.times, "load": sample.values[:, 0]})
    if options.series:
        hours["series"] = options.series
    firsts = np.random.default_rng(0).integers(0, len(hours) - WEEK, options.requests)
    _answer(options.url, hours[:WEEK])
    taken = [_answer(options.url, hours[first : first + WEEK]) for first in firsts]
    long = _answer(options.url, hours[: options.rows])
    p50, p99 = np.percentile(taken, [50, 99])
    found = {"requests": len(taken), "p50_s": p50, "p99_s": p99, f"one of {min(options.rows, len(hours))} rows_s": long}
    print(json.dumps({name: round(float(value), 4) for name, value in found.items()}))


def _answer(url: str, hours: pd.DataFrame) -> float:
    """Seconds that the answer to these hours took."""
    body = hours.to_csv(index=False).encode()
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "text/csv"})
    began = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        predictions = json.load(answer)["predictions"]
    taken = time.perf_counter() - began
    assert len(predictions) == 24
    return taken


if __name__ == "__main__":
    main()
