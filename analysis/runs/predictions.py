"""What runs predicted for each test target, as they logged it."""

from functools import lru_cache

import numpy as np
import pandas as pd

from analysis.paired import Errors
from analysis.runs.artifacts import artifact
from pipelines import names
from pipelines.common.forecast_errors import REPORT_FACTOR, relative_errors

# Metrics that are means over the test targets, with their factor for relative errors.
FACTORS = {names.SMAPE: 100.0, names.SMAPE_REPORT: 100 * REPORT_FACTOR}


@lru_cache(maxsize=1)  # the one that several readers of a run ask for one after the other
def table(run_id: str) -> pd.DataFrame | None:
    """The table logged under names.PREDICTIONS, None where the run has none or it cannot be read."""
    file = artifact(run_id, names.PREDICTIONS)
    try:
        return None if file is None else pd.read_parquet(file)
    except (OSError, ValueError):
        return None


def outcomes(run_id: str, metric: str) -> Errors | np.ndarray | None:
    """What a run's value of `metric` is the mean of.

    Returns:
        The errors of its forecasts, for SMAPE and SMAPE_REPORT; whether each image was classified right, for
        TEST_ACCURACY; None for another metric, or where the run has not logged its predictions.
    """
    if metric not in (*FACTORS, names.TEST_ACCURACY):
        return None
    found = table(run_id)
    if found is None:
        return None
    if metric == names.TEST_ACCURACY and "label" in found:
        return right(found)
    if metric in FACTORS and {"series", "time", "actual_mw", "forecast_mw"} <= set(found):
        return errors(found, FACTORS[metric])
    return None


def right(found: pd.DataFrame) -> np.ndarray:
    """Whether each image of a table of predictions was classified right, (n,) bool."""
    probabilities = found.filter(like=names.PROBABILITY).to_numpy()
    return probabilities.argmax(1) == found["label"].to_numpy()


def errors(found: pd.DataFrame, factor: float) -> Errors:
    """Relative errors, times `factor`, of a table of forecasts."""
    series = pd.Categorical(found["series"])
    hour = found["time"].to_numpy().astype("datetime64[h]").astype(np.int64)
    error = factor * relative_errors(found["forecast_mw"].to_numpy(), found["actual_mw"].to_numpy())
    return Errors(np.asarray(series.codes, np.int64), hour, error)
