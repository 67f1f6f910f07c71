"""The entry tune: trials of studies, each study compared by itself."""

import pandas as pd

from analysis.tables.columns import ENTRY, ROW, STUDY, TRIAL
from pipelines import names

NAME = "tune"
PRUNED = f"tags.{names.PRUNED}"


def named(trials: pd.DataFrame) -> pd.DataFrame:
    """`trials` with ``tune`` and the study for their entry, and ``trial-`` and their number for their row."""
    return trials.assign(**{ENTRY: f"{NAME} " + trials[STUDY].fillna(""), ROW: "trial-" + trials[TRIAL]})


def columns(trials: pd.DataFrame, requested: tuple[str, ...]) -> tuple[str, ...]:
    """Columns to show: those requested, and the step at which a trial was pruned where one was."""
    return (*requested, PRUNED) if PRUNED in trials else requested
