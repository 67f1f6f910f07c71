"""Selection of runs: the newest of those that repeat each other, and for each row the runs of one setting."""

from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.stats import number
from analysis.tables.columns import DATA_DIGEST, DATASET, IDENTITY, ROW, SEED, TRAINING, VERIFIED, are_foreign
from analysis.view import View
from pipelines import names
from pipelines.errors import UserError
from pipelines.experiments.base import NO_TRAINING


def newest(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` (oldest first) without those that a later one repeats: same identity, parameters and data.

    A repeated seed gives the same figures and is no further sample. Runs without a seed are all kept, and so are those
    of other projects, whose seeds may mean something else.
    """
    if are_foreign(runs):
        return runs
    repeated = runs.duplicated([*IDENTITY, *settings(runs)], keep="last")
    return runs[~repeated | (runs[SEED] == "")]


def settings(runs: pd.DataFrame) -> list[str]:
    """Columns that tell experiments of one row apart: every parameter but the seed, and the digest of the data.

    What a row of a user's own is like is in its other parameters.
    """
    identity = (*IDENTITY, f"tags.{names.LIKE}", f"tags.{names.CHANGES}")
    words = set() if are_foreign(runs) else {tag.replace("tags.", "params.") for tag in identity}
    words |= {f"params.{seed}" for seed in names.SEED_PARAMETERS}
    parameters = sorted(column for column in map(str, runs) if column.startswith("params.") and column not in words)
    return [*parameters, DATA_DIGEST] if DATA_DIGEST in runs else parameters


def differing(runs: pd.DataFrame, columns: Iterable[str], within: Sequence[str], missing: bool = True) -> list[str]:
    """Those of `columns` that differ between two runs of one group; the runs of a group are alike in `within`.

    What is missing is a value like others, or with `missing` false none.
    """
    # Most are alike in all runs, which takes a tenth of the time to tell.
    several = [column for column in columns if runs[column].nunique(dropna=not missing) > 1]
    groups = runs.groupby(list(within))
    return [column for column in several if (groups[column].nunique(dropna=not missing) > 1).any()]


def choose(runs: pd.DataFrame, view: View, dataset: str, training: str = "") -> pd.DataFrame:
    """Selects the runs of an entry that represent its rows on one dataset: one setting for each row and training.

    Chosen is the setting with the fewest departures from the catalogue's row, then that with the most runs, then the
    newest. With `training` only networks trained that way are kept; the result is empty if there are none.
    """
    runs = newest(runs[runs[DATASET] == dataset])
    if training not in {"", *runs[TRAINING]}:
        return runs[:0]
    if training:
        runs = runs[runs[TRAINING].isin([training, NO_TRAINING])]
    chosen: list[int] = []
    for _, group in runs.groupby([TRAINING, ROW]):
        alike = [same for _, same in group.groupby([ROW, *settings(runs)], dropna=False)]
        # Runs come oldest first, so that the largest index is the newest run.
        best = max(alike, key=lambda same: (-len(departures(same.iloc[0], view)), len(same), same.index[-1]))
        chosen.extend(best.index)
    return runs.loc[sorted(chosen)]


def departures(run: pd.Series, view: View) -> list[str]:
    """Lists the settings in which a run departs from the catalogue's row, as ``epochs 1 (catalogue: 4)``."""
    if view.row_settings is None:
        return []
    try:
        own = view.row_settings(run[ROW], run[DATASET], run[TRAINING], int(run[SEED]), 1.0).protocol()
    # No row of the catalogue, or on data that are not here, so there is nothing to depart from.
    except (KeyError, ValueError, UserError):
        return []
    ran = {name: run.get(f"params.{name}") for name in own}
    return [
        f"{name} {ran[name]} (catalogue: {value})"
        for name, value in own.items()
        if not pd.isna(ran[name]) and not _same(str(ran[name]), value)
    ]


def is_unverified(runs: pd.DataFrame) -> bool:
    """Tells whether any of `runs` had data files or weights that are not known to be the published ones."""
    return VERIFIED in runs and bool((runs[VERIFIED] == "false").any())


def _same(text: str, value: object) -> bool:
    """Tells whether a parameter as logged is `value`: 1 and 1.0 are the same."""
    ran, own = number(text), number(value)
    if ran is None or own is None:  # the value of a list, or a text
        return text == str(value)
    return ran == own
