"""Metrics of forecasts (errors against the actual loads) and of classifiers (accuracy, calibration)."""

from collections.abc import Sequence

import numpy as np

from pipelines import names

# The recurrent report follows a tutorial (Loye 2020, its reference 5) that prints the formula of `smape` but codes
# |F - A| / (F + A) / 2 for |F - A| / ((F + A) / 2), which is a quarter of it. The report's 0.239 % is 0.956 %.
REPORT_FACTOR = 0.25


def smape(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Symmetric mean absolute percentage error: 100/n Σ |F - A| / ((|F| + |A|) / 2), in percent, 0 to 200.

    Source: recurrent report, section 1.4.2, which prints |F + A| for |F| + |A|: the same for loads, which are not
    negative. A target of zero forecast as zero counts as no error; NaN anywhere gives NaN.

    Args:
        forecast: (n,) of any one unit, n ≥ 1.
        actual: (n,) of the same unit.

    Raises:
        ValueError: the shapes differ, which numpy would broadcast, or there is nothing to average.
    """
    forecast, actual = np.asarray(forecast, np.float64), np.asarray(actual, np.float64)
    if forecast.shape != actual.shape or not actual.size:
        raise ValueError(f"forecast and actual need one non-empty shape, not {forecast.shape} and {actual.shape}")
    size = np.abs(forecast) + np.abs(actual)
    error = np.divide(2 * np.abs(forecast - actual), size, out=np.zeros_like(size), where=size != 0)
    return float(100 * error.mean())


def forecast_metrics(
    forecasts: Sequence[np.ndarray], actuals: Sequence[np.ndarray], series: Sequence[str]
) -> dict[str, float]:
    """Metrics of the forecasts of several series, under the names of `pipelines.names`.

    Args:
        forecasts: one (n,) array a series, MW.
        actuals: the actual loads, MW, in the same order and of the same lengths.
        series: the names of the series.

    Returns:
        SMAPE (percent, 0-200, the mean over the series, so that each has the same weight, whatever its length),
        SMAPE_REPORT (a quarter of it, the published convention), MAE_MW and RMSE_MW (over all targets of all series)
        and the SMAPE of each series.

    Raises:
        ValueError: the numbers of forecasts, actuals and names differ, or `smape` does not accept a pair.
    """
    by_series = {
        names.per_series(names.SMAPE, name): smape(forecast, actual)
        for name, forecast, actual in zip(series, forecasts, actuals, strict=True)
    }
    mean = float(np.mean(list(by_series.values())))
    errors = np.concatenate(forecasts).astype(np.float64) - np.concatenate(actuals).astype(np.float64)
    return {
        names.SMAPE: mean,
        names.SMAPE_REPORT: REPORT_FACTOR * mean,
        names.MAE_MW: float(np.abs(errors).mean()),
        names.RMSE_MW: float(np.sqrt(np.square(errors).mean())),
        **by_series,
    }


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Counts (C, C) of images by true (row) and predicted class (column); `labels`, `predictions` (n,) from 0."""
    cells = labels.astype(np.intp) * len(classes) + predictions
    return np.bincount(cells, minlength=len(classes) ** 2).reshape(len(classes), len(classes))


def class_accuracies(counts: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Accuracy (percent) on the images of each class, from `confusion` counts; NaN for a class without images."""
    images = counts.sum(axis=1)
    accuracies = np.divide(100.0 * np.diag(counts), images, out=np.full(len(classes), np.nan), where=images > 0)
    return dict(zip(classes, accuracies.tolist(), strict=True))


def top_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Percentage of images whose label is among the `k` most probable classes; (n, C) and (n,)."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    return float(100 * np.mean((probabilities > own).sum(axis=1) < k))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in percentage points: how far confidence is from accuracy.

    The images are put into `bins` equal intervals of the probability of their predicted class; the error is the mean,
    weighted by images, of |accuracy - mean confidence| (Guo et al. 2017, equation 3).

    Args:
        probabilities: (n, C), each row of sum 1.
        labels: (n,).
        bins: intervals of (0, 1].
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    interval = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(interval, correct - confidence, minlength=bins)
    return float(100 * np.abs(gaps).sum() / len(labels))
