"""The entry tune: trials of studies, each study compared by itself."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from analysis.tables.columns import ENTRY, ROW, STUDY, TRIAL
from analysis.view import View
from pipelines import names
from pipelines.experiments.index import STUDIED, search_of

NAME = "tune"
PRUNED = f"tags.{names.PRUNED}"


def named(trials: pd.DataFrame) -> pd.DataFrame:
    """`trials` with ``tune`` and the study for their entry, and ``trial-`` and their number for their row."""
    return trials.assign(**{ENTRY: f"{NAME} " + trials[STUDY].fillna(""), ROW: "trial-" + trials[TRIAL]})


def views(trials: pd.DataFrame, like: View) -> Mapping[str, View]:
    """What a comparison of `trials` shows, by entry: that of `like`, led by the objective where its search is known."""
    searches = [(f"metrics.{search.metric}", search) for search in map(search_of, STUDIED)]
    found = {}
    for entry, own in trials.groupby(ENTRY):
        measured = [search for metric, search in searches if metric in own and own[metric].notna().any()]
        led = replace(like, main=names.OBJECTIVE, lowest=not measured[0].maximise) if len(measured) == 1 else like
        found[str(entry)] = led
    return found


def columns(trials: pd.DataFrame, requested: tuple[str, ...]) -> tuple[str, ...]:
    """Columns to show: those requested, and the step at which a trial was pruned where one was."""
    return (*requested, PRUNED) if PRUNED in trials else requested
