"""Metrics of forecasts (errors against the actual loads) and of classifiers (accuracy, calibration)."""

from collections.abc import Sequence

import numpy as np

from pipelines import names
from pipelines.common.forecast_errors import REPORT_FACTOR, relative_errors


def smape(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, percent, 0 to 200, from `relative_errors`, which see."""
    return float(100 * relative_errors(forecast, actual).mean())


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
