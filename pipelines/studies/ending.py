"""The end of a study on the terminal: its best trials, what mattered, the winner on test, and what to try next."""

import math
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipelines import names
from pipelines.common import screen
from pipelines.common.command import hint
from pipelines.common.screen import Align, Cell, Column, Emphasis
from pipelines.common.words import short
from pipelines.launching.ending import pointers, shown
from pipelines.studies.finalists import Winner, who
from pipelines.studies.monitor import importances_of
from pipelines.studies.plan import ENTRY, Plan
from pipelines.studies.storage import ranked, value_of
from pipelines.terminal.clock import span
from pipelines.tracking.run import Run

TRIALS = 5  # best ones that are listed


def ending(plan: Plan, study: optuna.Study, parent: Run, winner: Winner, trained: Sequence[Run], main: str) -> str:
    """The text for a study of which at least one trial has a result.

    Args:
        plan: of the launch.
        study: with its trials.
        parent: the launch's run.
        winner: of the study.
        trained: the finished trainings of its settings; none if they were done before.
        main: the metric that these are tested by.
    """
    tables = [table(plan, study), *([of_finalists(plan, winner)] if winner.judged else [])]
    drawn = screen.draw(tables, screen.screen())
    importances = importances_of(study)
    if len(importances):
        pairs = zip(importances["hyperparameter"], importances["importance"], strict=True)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in pairs)
        mattered = f"mattered  {shares} (importances by {importances[names.METHOD].iloc[0]})\n"
    else:
        mattered = ""
    chosen = ", ".join(f"{name} {short(value)}" for name, value in winner.chosen.items())
    reached = winner.judged[0][1] if winner.judged else value_of(ranked(study)[0])
    row = f", row {plan.row} as it was" if winner.chosen == plan.first else ""
    lines = f"best      trial {winner.trial}{row}: {plan.search.metric} {reached:.4g} on validation data, {chosen}\n"
    if values := [value for run in trained if (value := run.metrics.get(main)) is not None]:
        lines += f"test      these settings, trained on all training data: {main} {shown(values)}, n {len(values)}\n"
    lines += pointers(parent, hint(f"python -m analysis compare --entry {ENTRY}"))
    return f"\n{drawn}\n{mattered}{lines}"


def table(plan: Plan, study: optuna.Study) -> screen.Table:
    """The best trials that ran to their end, best first."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ranked = sorted(done, key=value_of, reverse=plan.search.maximise)[:TRIALS]
    columns = [
        Column("trial", Align.RIGHT),
        Column(plan.search.metric, Align.DECIMAL),
        *(Column(name, Align.RIGHT, rank=1) for name in plan.dimensions),
        Column("time", Align.RIGHT, rank=2),
    ]
    counts = {state: len(study.get_trials(deepcopy=False, states=(state,))) for state in TrialState}
    ended = ", ".join(f"{count} {state.name.lower()}" for state, count in counts.items() if count)
    order = "highest first" if plan.search.maximise else "lowest first"
    title = f"study {plan.name}: {plan.search.metric}, {order}; trials: {ended}"
    return screen.Table(columns, [_line(plan, trial, place) for place, trial in enumerate(ranked)], title=title)


def of_finalists(plan: Plan, winner: Winner) -> screen.Table:
    """The finalists, best first."""
    columns = [
        Column("trial", Align.RIGHT),
        Column(plan.search.metric, Align.DECIMAL),
        *(Column(name, Align.RIGHT, rank=1) for name in plan.dimensions),
    ]
    lines = [
        [
            Cell(str(each.trial), emphasis := Emphasis.NONE if place else Emphasis.BEST),
            Cell(f"{value:.4g}" if math.isfinite(value) else "failed", emphasis),
            *(Cell(short(each.chosen[name])) for name in plan.dimensions),
        ]
        for place, (each, value) in enumerate(winner.judged)
    ]
    return screen.Table(columns, lines, title=f"finalists: {who(plan)}, trained at full length")


def _line(plan: Plan, trial: FrozenTrial, place: int) -> list[Cell]:
    emphasis = Emphasis.NONE if place else Emphasis.BEST
    return [
        Cell(str(trial.number), emphasis),
        Cell(f"{value_of(trial):.4g}", emphasis),
        *(Cell(short(trial.params[name]) if name in trial.params else "") for name in plan.dimensions),
        Cell(span(trial.duration.total_seconds()) if trial.duration else ""),
    ]
