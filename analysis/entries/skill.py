"""Where the best forecaster errs, beside forecasts without a network: its skill by weekday, month, day and series."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.stats import MISSING
from analysis.tables.cells import Cells
from pipelines import names

PERSISTENCE = "persistence"  # a column of every row's table: the error of repeating the last hour
SHOWN = ("weekday", "month", "day", "series")  # hours are in the figure


def skill(logged: Mapping[str, pd.DataFrame], reference: str) -> Cells | None:
    """Errors by groups of the row with the lowest, beside persistence and the row `reference`; None without both.

    Skill is 1 minus the quotient of the errors: 0 for a forecast that is no better, 1 for one without an error.

    Args:
        logged: row to its names.BREAKDOWN_DATA.
        reference: a row.
    """
    others = {row: _overall(table) for row, table in logged.items() if row != reference}
    if reference not in logged or not others:
        return None
    best = min(others, key=others.__getitem__)
    theirs = logged[reference][["by", "group", names.SMAPE_REPORT]].rename(columns={names.SMAPE_REPORT: reference})
    groups = logged[best].merge(theirs, "left", ["by", "group"])
    groups = groups[groups["by"].isin(SHOWN)]
    lines = [
        (
            f"{line['by']} {line['group']}",
            f"{int(line['targets']):,}",
            _error(error := line[names.SMAPE_REPORT]),
            *(text for other in (PERSISTENCE, reference) for text in (_error(line[other]), _skill(error, line[other]))),
        )
        for line in groups.to_dict("records")
    ]
    return Cells(("targets of", "number", best, PERSISTENCE, "skill", reference, "skill"), lines, 6)


def _overall(table: pd.DataFrame) -> float:
    hours = table[table["by"] == "hour"]
    return float(np.average(hours[names.SMAPE_REPORT], weights=hours["targets"]))


def _error(error: float) -> str:
    return MISSING if math.isnan(error) else f"{error:.4f}"


def _skill(error: float, reference: float) -> str:
    return f"{1 - error / reference:.3f}" if reference > 0 else MISSING
