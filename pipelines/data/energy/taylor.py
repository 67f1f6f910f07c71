"""The electricity of the data set ``sample``, which needs no download: the demand of England and Wales.

``taylor.csv`` is its half-hourly demand from Monday 5 June 2000 00:00 to Sunday 27 August 2000 23:30, 4,032 values in
megawatts. Discussed in and provided for

    J. W. Taylor (2003), Short-term electricity demand forecasting using double seasonal exponential smoothing, Journal
    of the Operational Research Society 54, 799-805.

The figures are taken from the data set ``taylor`` of pmdarima (``pmdarima/datasets/taylor.py``), (c) Taylor G Smith and
contributors, MIT licence.
"""

import hashlib
import io
from importlib import resources

import numpy as np

from pipelines.common.origins import Origin
from pipelines.data.energy.series import EnergyDataset, digest_of, table
from pipelines.data.protocol import SAMPLE

FILE = "taylor.csv"
TAYLOR_START = np.datetime64("2000-06-05T00:00:00", "s")


def load() -> EnergyDataset:
    """Make the data set: one series, TAYLOR, of 2,016 hours."""
    hourly = table(*taylor_hourly())
    hourly.values.flags.writeable = hourly.times.flags.writeable = False
    series, offsets = ("TAYLOR",), (0, len(hourly.values))
    digest = digest_of(series, offsets, [hourly.times], [hourly.values])
    return EnergyDataset(
        SAMPLE,
        series,
        hourly.values,
        hourly.times,
        offsets,
        digest,
        {"TAYLOR": hourly.counts},
        origin=Origin(
            f"embedded in the project: pipelines/data/energy/{FILE}", {FILE: hashlib.sha256(_raw()).hexdigest()}
        ),
        country="GB-ENG",
        timezone="Europe/London",
    )


def taylor_hourly() -> tuple[np.ndarray, np.ndarray]:
    """Hourly means of the half-hourly demand.

    Returns:
        times: (2016,) datetime64[s], the beginning of each hour.
        load: (2016,) float64, MW, the mean of the half-hours that begin at :00 and :30.
    """
    half_hours = np.loadtxt(io.BytesIO(_raw()), skiprows=1)
    load = half_hours.reshape(-1, 2).mean(axis=1)
    times = TAYLOR_START + np.arange(len(load)) * np.timedelta64(3600, "s")
    return times, load


def _raw() -> bytes:
    return resources.files(__package__).joinpath(FILE).read_bytes()
