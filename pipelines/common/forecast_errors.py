"""Relative errors of forecasts, target by target; what runs and their comparisons measure by."""

import numpy as np

# The forecasting report follows a tutorial (Loye 2020, its reference 5) that prints the formula of sMAPE but codes
# |F - A| / (F + A) / 2 for |F - A| / ((F + A) / 2), which is a quarter of it. The report's 0.239 % is 0.956 %.
REPORT_FACTOR = 0.25


def relative_errors(forecast: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Symmetric relative error of each target: |F - A| / ((|F| + |A|) / 2), 0 to 2.

    Source: forecasting report, section 1.4.2, which prints |F + A| for |F| + |A|: the same for loads, which are not
    negative. A target of zero forecast as zero counts as no error; NaN gives NaN.

    Args:
        forecast: (n,) of any one unit, n ≥ 1.
        actual: (n,) of the same unit.

    Returns:
        (n,) float64; 100 times its mean is sMAPE, in percent.

    Raises:
        ValueError: the shapes differ, which numpy would broadcast, or there is nothing to average.
    """
    forecast, actual = np.asarray(forecast, np.float64), np.asarray(actual, np.float64)
    if forecast.shape != actual.shape or not actual.size:
        raise ValueError(f"forecast and actual need one non-empty shape, not {forecast.shape} and {actual.shape}")
    size = np.abs(forecast) + np.abs(actual)
    return np.divide(2 * np.abs(forecast - actual), size, out=np.zeros_like(size), where=size != 0)
