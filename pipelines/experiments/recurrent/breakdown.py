"""Where the error of forecasts is made: by hour, weekday, month, holiday and series."""

import numpy as np
import pandas as pd

from pipelines import names
from pipelines.common.forecast_errors import REPORT_FACTOR, relative_errors

# What the targets are grouped by, in the order of the table; of each the values in their order.
HOUR, WEEKDAY, MONTH, DAY, SERIES = KINDS = ("hour", "weekday", "month", "day", "series")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("ordinary", "holiday")

PERSISTENCE, SKILL = "persistence", "skill"


def breakdown(predictions: pd.DataFrame, before: np.ndarray) -> pd.DataFrame:
    """Errors of forecasts by groups of their targets.

    Args:
        predictions: a forecaster's table names.PREDICTIONS, of n targets.
        before: load of the row before each target, (n,), MW.

    Returns:
        Columns ``by`` (one of KINDS), ``group``, ``targets``, ``smape_report`` (percent, the report's convention, the
        mean over the group's targets), ``persistence`` (the same of the load before) and ``skill``, 1 - smape_report /
        persistence; empty groups are left out.
    """
    actual, time = predictions["actual_mw"].to_numpy(), predictions["time"].dt
    errors = pd.DataFrame(
        {
            HOUR: time.hour.map("{:02d}".format),
            WEEKDAY: [WEEKDAYS[day] for day in time.day_of_week],
            MONTH: [MONTHS[month - 1] for month in time.month],
            DAY: [DAYS[holiday] for holiday in predictions["holiday"].astype(int)],
            SERIES: predictions["series"].astype(str),
            names.SMAPE_REPORT: _percent(predictions["forecast_mw"].to_numpy(), actual),
            PERSISTENCE: _percent(before, actual),
        }
    )
    found = pd.concat([_grouped(errors, by) for by in KINDS], ignore_index=True)
    return found.assign(**{SKILL: 1 - found[names.SMAPE_REPORT] / found[PERSISTENCE].replace(0.0, np.nan)})


def _percent(forecast: np.ndarray, actual: np.ndarray) -> np.ndarray:
    return 100 * REPORT_FACTOR * relative_errors(forecast, actual)


def _grouped(errors: pd.DataFrame, by: str) -> pd.DataFrame:
    order = {HOUR: sorted(set(errors[HOUR])), WEEKDAY: WEEKDAYS, MONTH: MONTHS, DAY: DAYS}
    groups = errors.groupby(by, sort=False)
    means = groups[[names.SMAPE_REPORT, PERSISTENCE]].mean().assign(targets=groups.size())
    means = means.loc[[group for group in order.get(by, means.index) if group in means.index]]
    means = means.rename_axis("group").reset_index().assign(by=by)
    return means[["by", "group", "targets", names.SMAPE_REPORT, PERSISTENCE]]
