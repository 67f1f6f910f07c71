"""Progress of a study: a line for each trial that ends, and the tables and figures of the launch."""

import math
import time
from collections.abc import Iterable, Mapping
from datetime import datetime

import optuna
import pandas as pd
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from pipelines import figures, names
from pipelines.common.streams import announce
from pipelines.common.words import short
from pipelines.experiments.spaces import IMPORTANCE_TRIALS, Dimension, LogUniform, Search, rounded
from pipelines.studies.plan import Plan, description
from pipelines.studies.storage import RUN, best_among, best_of, completed, quiet, value_of
from pipelines.terminal.display import doing
from pipelines.tracking.artifacts import log_figure, log_table
from pipelines.tracking.run import Run

REFRESH_S = 30  # between two drawings of the figures


class Monitor:
    """Reports each trial that ends, and keeps the run of the launch up to date."""

    def __init__(self, plan: Plan, study: optuna.Study, parent: Run):
        self._plan, self._study, self._parent = plan, study, parent
        self._began = time.monotonic()
        self._drawn = -math.inf
        self._importances = pd.DataFrame(columns=["hyperparameter", "importance"])
        self._reported = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
        self._before = len(self._reported)

    def poll(self) -> None:
        """Report the trials that have ended since the last call, and redraw the figures from time to time."""
        ended = _ended(self._study)
        doing(f"{len(ended)} of {self._plan.n_trials} trials done")
        if all(trial.number in self._reported for trial in ended):
            return
        for count, trial in enumerate(ended, 1):
            if trial.number not in self._reported:
                self._reported.add(trial.number)
                # A point for each trial, however many have ended since the last look.
                best = best_among(ended[:count], self._study.direction)
                if best:
                    self._parent.log_metrics({names.best_found(self._plan.search.metric): value_of(best)}, step=count)
                announce(self._line(trial, best))
        self._parent.flush()
        if time.monotonic() - self._drawn > REFRESH_S:
            self.draw()

    def _line(self, trial: FrozenTrial, best: FrozenTrial | None) -> str:
        values = trial.intermediate_values
        last = values[max(values)] if trial.value is None and values else value_of(trial)
        seconds = time.monotonic() - self._began
        left = (self._plan.n_trials - len(self._reported)) * seconds / (len(self._reported) - self._before)
        return (
            f"trial {trial.number} {trial.state.name.lower()}: {self._plan.search.metric} {last:.4f}, "
            + ", ".join(f"{name} {short(value)}" for name, value in trial.params.items())
            + (f"; best {best.value:.4f} of trial {best.number}" if best else "")
            + f"; {len(self._reported)}/{self._plan.n_trials}, about {max(0, left):.0f} s left"
        )

    def draw(self) -> None:
        """Log the trials as tables and figures, each over the one before, and say in the description which is best."""
        self._drawn = time.monotonic()
        trials, values = _tables(self._plan, self._study)
        log_table(self._parent, trials, names.TRIALS)
        log_table(self._parent, values, names.TRIAL_VALUES)
        self._importances = importances = importances_of(self._study)
        if len(importances):
            log_table(self._parent, importances, names.IMPORTANCES)
        dimensions = self._plan.dimensions
        draw_study(self._parent, self._plan.search, dimensions, trials, values, importances)
        self.describe()

    def describe(self, found: str = "") -> None:
        """Describe the launch: by what was `found` and the best trial, and by what it does."""
        # What was found first: MLflow folds the description after a few lines.
        said = (
            found,
            best_note(self._plan, self._study, self._importances),
            description(self._plan),
            importance_note(self._study, self._plan.dimensions),
        )
        self._parent.set_tags({names.DESCRIPTION: "\n\n".join(filter(None, said))})


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have ended, in the order in which they did."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    return sorted(ended, key=lambda trial: trial.datetime_complete or datetime.max)


def _tables(plan: Plan, study: optuna.Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A line for each trial, and one for each value reported."""
    metric, trials = plan.search.metric, study.get_trials(deepcopy=False)
    with quiet():
        lines = [
            {
                "trial": trial.number,
                "state": trial.state.name,
                metric: trial.value,
                "epochs": len(trial.intermediate_values),
                "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
                **{name: trial.params.get(name) for name in plan.dimensions},
                "retry_of": next(reversed(RetryHeartbeatStaleTrialCallback.retry_history(trial)), None),
                RUN: trial.user_attrs.get(RUN),
            }
            for trial in trials
        ]
    values = [
        {"trial": trial.number, "epoch": epoch, metric: value}
        for trial in trials
        for epoch, value in sorted(trial.intermediate_values.items())
    ]
    return pd.DataFrame(lines), pd.DataFrame(values, columns=["trial", "epoch", metric])


def importances_of(study: optuna.Study) -> pd.DataFrame:
    """Share of each hyperparameter in the variance of the results, 0-1, and the method (fANOVA, Hutter et al. 2014).

    Empty while there are too few trials. Hyperparameters whose range depends on another's choice are not in it.
    Optuna's own choice, PED-ANOVA, compares the best tenth of the trials with the others: up to ten trials, that is one
    trial, and a continuous hyperparameter then comes first whatever decides (benchmarks/importances.py).
    """
    shares: dict[str, float] = {}
    if completed(study) >= IMPORTANCE_TRIALS:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        with quiet():
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    table = pd.DataFrame(shares.items(), columns=["hyperparameter", "importance"])
    return table.assign(**{names.METHOD: "fANOVA"})


def best_note(plan: Plan, study: optuna.Study, importances: pd.DataFrame) -> str:
    """The best trial so far, in markdown: its value and hyperparameters, with their importances where they are known.

    Empty while no trial has a result.
    """
    best = best_of(study)
    if best is None:
        return ""
    pairs = zip(importances["hyperparameter"], importances["importance"], strict=True)
    shares = {str(name): f"{share:.2f}" for name, share in pairs}
    chosen = {name: rounded(plan.dimensions[name], value) for name, value in best.params.items()}
    lines = [
        ("---", "---:", "---:"),
        (plan.search.metric, short(value_of(best)), ""),
        *((name, short(value), shares.get(name, "")) for name, value in chosen.items()),
    ]
    header = (f"best of {completed(study)} that ran to their end: trial {best.number}", "value", "importance")
    shown = [header, *lines] if shares else [line[:2] for line in (header, *lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def importance_note(study: optuna.Study, dimensions: Iterable[str]) -> str:
    """A note on which of these hyperparameters the importances leave out, and why; empty if they leave out none."""
    known = set(importances_of(study)["hyperparameter"])
    if not known:
        return (
            f"No importances of the hyperparameters: they take {IMPORTANCE_TRIALS} trials that ran to their end, and "
            f"the study has {completed(study)}; the same command with a larger --n-trials goes on."
        )
    missing = [name for name in dimensions if name not in known]
    return f"The importances leave out {', '.join(missing)}: the range depends on another choice." if missing else ""


def draw_study(
    run: Run,
    search: Search,
    dimensions: Mapping[str, Dimension],
    trials: pd.DataFrame,
    values: pd.DataFrame,
    importances: pd.DataFrame,
) -> None:
    """Log the figures of a study: history, slice, contour of lr and depth, importances, values along training.

    Args:
        run: gets the figures.
        search: of the study.
        dimensions: the hyperparameters searched, by name.
        trials, values, importances: as logged under names.TRIALS, TRIAL_VALUES and IMPORTANCES.
    """
    metric = search.metric
    done = trials[trials["state"] == TrialState.COMPLETE.name]
    if done.empty:
        return
    best = done[metric].cummax() if search.maximise else done[metric].cummin()
    figure = figures.study_history(done["trial"], done[metric], best, metric)
    log_figure(run, figure, names.HISTORY_FIGURE)
    logarithmic = [name for name, dimension in dimensions.items() if isinstance(dimension, LogUniform)]
    columns = {name: done[name].tolist() for name in dimensions}
    log_figure(run, figures.study_slice(columns, done[metric], logarithmic, metric), names.SLICE_FIGURE)
    lines = {
        int(str(number)): (line["epoch"].to_numpy(), line[metric].to_numpy(), number in set(done["trial"]))
        for number, line in values.groupby("trial")
    }
    log_figure(run, figures.study_values(lines, metric), names.TRIAL_VALUES_FIGURE)
    if {"lr", "depth"} <= set(dimensions):
        figure = figures.study_contour(done["lr"], done["depth"], done[metric], "learning rate", "depth", metric)
        log_figure(run, figure, names.CONTOUR_FIGURE)
    if len(importances):
        shares = dict(zip(importances["hyperparameter"], importances["importance"], strict=True))
        log_figure(run, figures.study_importances(shares, importances[names.METHOD].iloc[0]), names.IMPORTANCES_FIGURE)
