"""Order of values and of the lines of a table."""

import re
from typing import Any

import pandas as pd

from analysis.stats import number
from analysis.tables.columns import unknown
from analysis.view import View
from pipelines import names
from pipelines.common.words import natural


def is_missing(value: Any) -> bool:
    """Tells whether a cell of a table is empty: None, NaN or NaT."""
    return bool(pd.isna(value))


def rank(value: object) -> tuple[int, float, str]:
    """Order of values: numbers (also written as text) by size, then other text, then what is missing."""
    if is_missing(value):
        return 2, 0.0, ""
    if (size := number(value)) is not None:
        return 0, size, ""
    return 1, 0.0, natural(str(value))


def distinct(values: pd.Series) -> list[object]:
    """The values that there are, each once, in their order."""
    return sorted(values.dropna().unique(), key=rank)


def sort(lines: pd.DataFrame, by: str) -> pd.DataFrame:
    """`lines` of a table by a column or a metric's mean, ``-`` for descending; missing values last.

    Raises:
        InputError: there is no such column.
    """
    name = by.removeprefix("-")
    bare = re.sub(r"^(metrics|params|tags)\.", "", name)
    candidates = (name, f"{name}.mean", f"{bare}.mean", bare, f"{names.present(bare)}.mean")
    column = next((each for each in candidates if each in lines), "")
    if not column:
        raise unknown("sort", name, (str(each).removesuffix(".mean") for each in lines))
    return _sorted(lines, column, by.startswith("-"))


def ranked(lines: pd.DataFrame, view: View) -> pd.DataFrame:
    """`lines` of a table by the view's main metric, the best first and those without it last.

    As they are where it is not known whether its lowest or its highest value is the best.
    """
    return lines if view.lowest is None else _sorted(lines, f"{view.main}.mean", descending=not view.lowest)


def _sorted(lines: pd.DataFrame, column: str, descending: bool) -> pd.DataFrame:
    present = lines[lines[column].notna()]
    order = sorted(present.index, key=lambda index: rank(present[column][index]), reverse=descending)
    return lines.loc[[*order, *lines.index.difference(present.index)]]
