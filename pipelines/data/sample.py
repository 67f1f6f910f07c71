"""Data that come with the project, so that everything runs without a download.

Electricity: ``taylor.csv``, the half-hourly electricity demand of England and Wales from Monday 5 June 2000 00:00 to
Sunday 27 August 2000 23:30, 4,032 values in megawatts. Discussed in and provided for

    J. W. Taylor (2003), Short-term electricity demand forecasting using double seasonal exponential smoothing, Journal
    of the Operational Research Society 54, 799-805.

The figures are taken from the data set ``taylor`` of pmdarima (``pmdarima/datasets/taylor.py``), (c) Taylor G Smith and
contributors, MIT licence.

Images: scikit-learn's ``load_digits``, the 1,797 handwritten digits of the test set of

    E. Alpaydin, C. Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository,

with 8x8 pixels of 0-16.
"""

from importlib import resources

import numpy as np

TAYLOR_START = np.datetime64("2000-06-05T00:00:00", "s")


def taylor_hourly() -> tuple[np.ndarray, np.ndarray]:
    """Hourly means of the half-hourly demand.

    Returns:
        times: (2016,) datetime64[s], the beginning of each hour.
        load: (2016,) float64, MW, the mean of the half-hours that begin at :00 and :30.
    """
    with resources.files(__package__).joinpath("taylor.csv").open(encoding="utf-8") as file:
        half_hours = np.loadtxt(file, skiprows=1)
    load = half_hours.reshape(-1, 2).mean(axis=1)
    times = TAYLOR_START + np.arange(len(load)) * np.timedelta64(3600, "s")
    return times, load


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The handwritten digits in the form of CIFAR-10's images.

    Returns:
        images: (1797, 3, 32, 32) uint8, each pixel repeated 4x4, its 0-16 taken to 0-255, the three channels equal.
        labels: (1797,) uint8, 0-9.
    """
    # scikit-learn takes a second to import, and the electricity needs none of it.
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.rint(found.images * (255 / 16)).astype(np.uint8)
    large = grey.repeat(4, axis=1).repeat(4, axis=2)
    return np.repeat(large[:, np.newaxis], 3, axis=1), found.target.astype(np.uint8)
