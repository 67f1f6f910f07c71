"""The finalists of a study: its best trials, trained again at full length before one of them is the winner.

A trial may see a part of the data only, and be one of many: its rank and its learning rate need not be the best of a
whole training. So the row that the study begins with is a finalist too, as it is, whatever its trial's rank: the winner
is no worse than it at full length. Finalists are still judged on validation data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
import pandas as pd

from pipelines import names
from pipelines.common.streams import announce
from pipelines.common.words import brief, short
from pipelines.errors import FailedRunsError
from pipelines.experiments.base import Settings
from pipelines.experiments.index import experiment_of
from pipelines.experiments.spaces import Choice, rounded
from pipelines.experiments.study import study_of
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job
from pipelines.launching.launcher import Launcher
from pipelines.launching.local import LOCAL
from pipelines.studies.plan import BEYOND, ENTRY, LR_FACTORS, Plan, StudyContext
from pipelines.studies.storage import load, outcome, ranked, remember_outcome, value_of
from pipelines.tracking.artifacts import log_table
from pipelines.tracking.run import Run
from pipelines.training.progress import ReportedProgress

ROW_TRIAL = 0  # whose settings are the row's


@dataclass(frozen=True)
class Finalist:
    """Settings of a trial at full length.

    Attributes:
        trial: its number; of the row as it is ROW_TRIAL.
        chosen: value of each hyperparameter that is searched; the learning rate is the finalist's own.
        settings: of its training.
        value: of the trial, where that was such a training already; NaN otherwise.
    """

    trial: int
    chosen: Mapping[str, Choice]
    settings: Settings
    value: float

    @property
    def name(self) -> str:
        """The name of its run."""
        return " ".join([f"finalist-{self.trial}", *brief({"lr": self.chosen["lr"]} if "lr" in self.chosen else {})])


@dataclass(frozen=True)
class Winner:
    """The settings that a study ends with.

    Attributes:
        trial: number of the trial that had them.
        chosen: value of each hyperparameter that is searched, the learning rate as it is for the whole training part.
        judged: the finalists with their values, best first; none where the winner is simply the best trial.
        factor: what the trial's learning rate was multiplied by, if the trial was not trained at full length.
    """

    trial: int
    chosen: Mapping[str, Choice]
    judged: Sequence[tuple[Finalist, float]] = ()
    factor: float = 1.0


def elect(plan: Plan, study: optuna.Study, parent: Run, workers: int, launcher: Launcher = LOCAL) -> Winner:
    """Train the finalists that have not been trained before, and choose the best.

    Args:
        plan: of the launch.
        study: in which at least one trial has a result; it remembers the finalists' results.
        parent: the run of the launch, which gets a nested run for each of them, and a table.
        workers: how many are trained side by side.
        launcher: starts their trainings.

    Raises:
        FailedRunsError: a finalist's process ended before its training did. One that diverged loses.
    """
    announced = f"now {who(plan)} are trained at full length, on validation data"
    while new := untrained(study, finalists_of(plan, study)):
        announce(f"{announced}: {len(new)} finalists")
        announced = "now the best of them is trained at further learning rates, which may be better still"
        jobs = [Job(each.name, each.settings, tags=_tags(plan, each)) for each in new]
        context = StudyContext(data_dir=plan.data_dir, plan=plan)
        try:
            fan_out(parent, ENTRY, jobs, work, context, workers, plan.search.metric, launcher=launcher)
        except FailedRunsError:
            if any(outcome(study, each.settings) is None for each in new):
                raise
    winner = winner_of(plan, study, finalists_of(plan, study))
    if winner.judged:
        log_table(parent, table(plan, winner.judged), names.FINALISTS)
        if not math.isfinite(winner.judged[0][1]):
            announce("no finalist has a result: the winner is the best trial")
    if winner.factor != 1:
        announce(f"lr times {short(winner.factor)}, the square root of the trial's number of updates over the winner's")
    return winner


def untrained(study: optuna.Study, finalists: Sequence[Finalist]) -> list[Finalist]:
    """Those of the finalists that have not been trained yet, as a trial or as a finalist."""
    return [each for each in finalists if math.isnan(each.value) and outcome(study, each.settings) is None]


def winner_of(plan: Plan, study: optuna.Study, finalists: Sequence[Finalist]) -> Winner:
    """The best of the finalists, all of which have been trained; the best trial where none of them has a result."""
    judged = _judged(plan, study, finalists)
    if judged and math.isfinite(judged[0][1]):
        first, _ = judged[0]
        return Winner(first.trial, first.chosen, judged)
    best = ranked(study)[0]
    chosen = _chosen(plan, best.params)
    factor = plan.lr_factor(chosen, validated=False)
    return Winner(best.number, plan.with_lr(chosen, factor), judged, factor)


def finalists_of(plan: Plan, study: optuna.Study) -> list[Finalist]:
    """The finalists that are known so far: more may follow from their results.

    They are the best trials with different settings, each at its learning rate and, if that was searched, half and
    twice it. The learning rate is first brought down for the number of updates, see Study.updates. Then comes the row,
    unless its trial was at full length already, or the plan has no finalists. Once all of them have been trained, the
    best is at half and at twice its rate, too, so that a better one lies between two that are no better.
    """
    found = _first(plan, study)
    for _ in range(BEYOND if "lr" in plan.dimensions else 0):
        if untrained(study, found):
            break
        found += _beyond(plan, study, found)
    return found


def _first(plan: Plan, study: optuna.Study) -> list[Finalist]:
    """The finalists that do not depend on the results of others."""
    found: list[Finalist] = []
    seen: list[Settings] = []
    for trial in ranked(study):
        chosen = _chosen(plan, trial.params)
        settings = plan.trial_settings(chosen)
        if settings in seen or len(seen) == plan.finalists:
            continue
        seen.append(settings)
        rescaled = plan.lr_factor(chosen, validated=True)
        for factor in LR_FACTORS if "lr" in chosen else (1.0,):
            own = plan.with_lr(chosen, rescaled * factor)
            at_length = plan.finalist_settings(own)
            # Twice the rate of one trial may be that of another.
            if at_length not in [each.settings for each in found]:
                value = value_of(trial) if at_length == settings else math.nan
                found.append(Finalist(trial.number, own, at_length, value))
    if plan.has_row:
        at_length = plan.finalist_settings(plan.first)
        if at_length not in [each.settings for each in found]:
            found.append(Finalist(ROW_TRIAL, plan.first, at_length, math.nan))
    return found


def _beyond(plan: Plan, study: optuna.Study, finalists: Sequence[Finalist]) -> list[Finalist]:
    """The best of the finalists at half and at twice its learning rate, as far as they are none of these."""
    judged = _judged(plan, study, finalists)
    if not judged or not math.isfinite(judged[0][1]):
        return []
    best, _ = judged[0]
    rates = [float(each.chosen["lr"]) for each in finalists if {**each.chosen, "lr": 0} == {**best.chosen, "lr": 0}]

    def is_new(chosen: Mapping[str, Choice]) -> bool:
        # Half of twice a rate may differ from it in the last of its four digits.
        return not any(math.isclose(float(chosen["lr"]), rate, rel_tol=0.01) for rate in rates)

    further = filter(is_new, (plan.with_lr(best.chosen, factor) for factor in LR_FACTORS))
    return [Finalist(best.trial, chosen, plan.finalist_settings(chosen), math.nan) for chosen in further]


def who(plan: Plan) -> str:
    """Names the finalists, for a sentence."""
    return f"the best trials and row {plan.row}" if plan.has_row else "the best trials"


def work(run: Run, settings: Settings, context: StudyContext) -> None:
    """Train a finalist, and have the study remember the result; of one that fails, that it has none."""
    plan = context.plan
    study = load(plan)
    watchers = [ReportedProgress(context.reports)]
    try:
        experiment_of(plan.study).require(settings)
        value = study_of(plan.study).train(run, settings, plan.data_dir, _never_prune, watchers)
    except Exception:
        remember_outcome(study, settings, math.nan, run)
        raise
    remember_outcome(study, settings, value, run)


def table(plan: Plan, judged: Sequence[tuple[Finalist, float]]) -> pd.DataFrame:
    """A line for each finalist, best first: trial, value and hyperparameters."""
    return pd.DataFrame({"trial": each.trial, plan.search.metric: value, **each.chosen} for each, value in judged)


def note(plan: Plan, judged: Sequence[tuple[Finalist, float]]) -> str:
    """The finalists as a table in markdown; empty without any."""
    if not judged:
        return ""
    lines = [
        ("finalist: trial", plan.search.metric, *plan.dimensions),
        ("---:", "---:", *("---:" for _ in plan.dimensions)),
        *((short(each.trial), short(value), *map(short, each.chosen.values())) for each, value in judged),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _judged(plan: Plan, study: optuna.Study, finalists: Sequence[Finalist]) -> list[tuple[Finalist, float]]:
    """The finalists with their values, best first; those without a result last, with NaN."""
    found = [outcome(study, each.settings) for each in finalists]
    pairs = [(each, each.value if value is None else value) for each, value in zip(finalists, found, strict=True)]
    finite = [pair for pair in pairs if math.isfinite(pair[1])]
    failed = [pair for pair in pairs if not math.isfinite(pair[1])]
    return sorted(finite, key=lambda pair: pair[1], reverse=plan.search.maximise) + failed


def _chosen(plan: Plan, params: Mapping[str, Choice]) -> dict[str, Choice]:
    return {name: rounded(dimension, params[name]) for name, dimension in plan.dimensions.items()}


def _tags(plan: Plan, finalist: Finalist) -> dict[str, str]:
    return {
        names.STUDY: plan.name,
        names.FINALIST: str(finalist.trial),
        names.DATASET: plan.dataset,
        names.TRAINING: finalist.settings.training,
        names.DESCRIPTION: f"Finalist of study `{plan.name}`: the settings of trial {finalist.trial}, trained at full "
        f"length with {', '.join(brief(finalist.chosen))}, and judged on validation data.",
    }


def _never_prune(epoch: int, value: float) -> bool:
    return False
