"""Finished runs as frames, a line for each: of rows, of other projects, and trials of studies."""

from collections.abc import Iterable

import pandas as pd
from mlflow.entities import Run

from analysis.entries import tune
from analysis.entries.index import VIEWS
from analysis.runs import values
from analysis.runs.search import conditions, search
from analysis.tables.columns import ENTRY, FOREIGN, IDENTITY, SEED, THEIR_TAGS, WORDS
from pipelines import names

# Entries that a launch of ours, or a trial, may say in its tag, and what every run of ours names as its source.
_LAUNCHES = {*VIEWS, "main", "prepare", tune.NAME, "report", "reproduce"}
_SOURCE = "tags.mlflow.source.name"


def find(entry: str = "all", where: str = "", since: str = "", experiment: str = "") -> pd.DataFrame:
    """Finished runs of catalogue rows, of all experiments, oldest first.

    Args:
        entry: the entry that made them, e.g. ``recurrent``, or ``all``.
        where: more conditions in MLflow's search syntax, joined by ``and``; the value of a parameter, which MLflow
            compares as text, may stand without quotes.
        since: ISO date or time (local unless it has an offset) of the earliest start.
        experiment: name of the only experiment to read, and there also the runs of other projects: their entry is the
            experiment's name, their row, dataset and training are empty, their seed is that of a parameter in
            names.SEED_PARAMETERS. Our own launches and trials are left out.

    Returns:
        One line for each run. Columns ``run_id``, ``start_time`` (UTC), ``tags.*`` and ``params.*`` (text; the tags of
        IDENTITY always exist, empty where a run lacks them), ``metrics.*`` (float, last value logged, NaN where a
        run lacks it) and FOREIGN, whether the run is another project's. Its tags that have the name of one of this
        project's are in columns that begin with THEIR_TAGS.

    Raises:
        InputError: bad filter or date, or a tracking server that cannot be read.
    """
    asked = ["attributes.status = 'FINISHED'"]
    if not experiment:
        asked.append(f"tags.{names.ROW} LIKE '%'")
    asked += conditions(entry, where, since)
    return _of_rows(_frame(search(" and ".join(asked), experiment)), experiment)


def trials(where: str = "", since: str = "", experiment: str = "") -> pd.DataFrame:
    """Trials of studies that ran to their end or were given up early, like what `find` returns, oldest first.

    Their entry is ``tune`` and the name of the study, so that a study has a table of its own, and their row
    ``trial-`` and the number. The arguments are those of `find`.
    """
    asked = [f"tags.{names.TRIAL} LIKE '%'", *conditions(tune.NAME, where, since)]
    ended = ("attributes.status = 'FINISHED'", f"attributes.status = 'KILLED' and tags.{names.PRUNED} LIKE '%'")
    found = [run for end in ended for run in search(" and ".join([end, *asked]), experiment)]
    frame = _frame(sorted(found, key=lambda run: run.info.start_time)).assign(**{FOREIGN: False})
    return tune.named(frame) if len(frame) else frame


def _frame(found: Iterable[Run]) -> pd.DataFrame:
    """A line for each run, with the tags of IDENTITY."""
    frame = pd.DataFrame([values.flat(run) for run in found])
    for column in IDENTITY:
        frame[column] = frame[column].fillna("") if column in frame else ""
    return frame


def _of_rows(frame: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """The rows' runs of `frame`, and in an `experiment` those of other projects; launches and trials of ours are not.

    Tags of other projects' runs are never taken for this project's, whatever their names.
    """
    ours = (frame[[f"tags.{mark}" for mark in names.ROW_MARKS]] != "").all(axis="columns")
    if not experiment:
        return frame[ours].assign(**{FOREIGN: False})
    source = frame.get(_SOURCE, pd.Series("", frame.index))
    frame = frame[ours | ~(frame[ENTRY].isin(_LAUNCHES) | (source == names.EXPERIMENT))].copy()
    foreign = ~ours[frame.index]
    moved = {}
    for column in [column for column in WORDS if column in frame]:
        moved[column.replace("tags.", THEIR_TAGS)] = frame[column].where(foreign & (frame[column] != ""), None)
        frame.loc[foreign, column] = "" if column in IDENTITY else None
    frame = frame.assign(**{column: texts for column, texts in moved.items() if texts.notna().any()})
    frame.loc[foreign, ENTRY] = experiment
    for parameter in names.SEED_PARAMETERS:
        column = f"params.{parameter}"
        if column in frame:
            frame.loc[foreign & (frame[SEED] == ""), SEED] = frame[column].fillna("")
    return frame.assign(**{FOREIGN: foreign})
