"""Studies of hyperparameters: their winners, and how each study went by its newest launch, which has all its trials."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

import pandas as pd

from analysis.report import figures
from analysis.report.artifacts import Artifacts
from analysis.report.choice import EVERYTHING, Choice
from analysis.report.parts import Part
from analysis.report.sections import COMMAND, Figure, Section, commands, comparison, missing, present
from analysis.tables.columns import DATASET, STUDY
from pipelines import names
from pipelines.common.files import file_name
from pipelines.experiments.index import STUDIED, search_of


def section(parts: Sequence[Part], artifacts: Artifacts, choice: Choice = EVERYTHING) -> Section:
    """The section on the studies that are chosen, or on how to begin one."""
    from analysis.runs.records import studies  # here, since importing mlflow takes seconds

    slug, title = "studies", "Studies of hyperparameters"
    launches = [launch for launch in studies() if _is_chosen(launch, choice)]
    winners = present(
        comparison(
            f"Winners of the studies, {part.entry}, {part.data}, tested",
            part,
            part.winners,
            (part.view.main,),
            columns=("study",),
        )
        for part in parts
        if len(part.winners)
    )
    newest = {(str(launch[STUDY]), str(launch.get(DATASET) or "")): str(launch["run_id"]) for launch in launches}
    shown = [
        figure
        for (study, data), run_id in newest.items()
        for figure in drawn(study, data, run_id, artifacts, choice.entries or STUDIED)
    ]
    if not launches and not winners:
        return missing(slug, title, "python -m pipelines tune")
    text = (
        "Every choice was made on validation data; the winner was then trained anew with several seeds and tested.",
    )
    recorded = commands(pd.DataFrame([{COMMAND: launch.get(COMMAND)} for launch in launches]))
    return Section(slug, title, text, winners, present(shown), recorded)


def _is_chosen(launch: Mapping[str, object], choice: Choice) -> bool:
    """Whether the launch of a study is on the chosen data, and since the chosen time."""
    began = launch["start_time"]
    is_recent = choice.since is None or (isinstance(began, datetime) and began >= choice.since)
    return is_recent and choice.dataset in ("", str(launch.get(DATASET) or ""))


def drawn(
    study: str, dataset: str, run_id: str, artifacts: Artifacts, entries: Collection[str]
) -> Iterator[Figure | None]:
    """The figures of a study that is one of these entries'; its metric says of which it is."""
    trials = artifacts.table(run_id, f"the study {study}", names.TRIALS, ("trial",), ("state", "seconds"))
    if trials is None:
        return
    searches = (search_of(entry) for entry in STUDIED if entry in entries)
    search = next((each for each in searches if each.metric in trials), None)
    if search is None:
        return
    metric = search.metric
    trials = trials.assign(**{metric: pd.to_numeric(trials[metric], errors="coerce")})
    shares = artifacts.table(run_id, f"the study {study}", names.IMPORTANCES, ("importance",), ("hyperparameter",))
    ending = file_name(f"{study}-{dataset}" if dataset and dataset not in study else study)
    on = f"{study}, on {dataset}" if dataset else study
    yield figures.study(on, trials, metric, not search.maximise, f"study-{ending}", shares)
    if shares is not None:
        yield figures.importances(on, trials, shares, f"importance-{ending}")
