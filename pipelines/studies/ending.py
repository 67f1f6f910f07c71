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
MARGIN = 10  # columns, of the word that a line begins with


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
    shown_on = screen.screen()
    tables = [table(plan, study), *([of_finalists(plan, winner)] if winner.judged else [])]
    texts = {"mattered": _mattered(study), "best": _best(plan, study, winner), "test": _tested(trained, main)}
    lines = "".join(_beside(word, text, shown_on.width) for word, text in texts.items() if text)
    next = hint(f"python -m analysis compare --entry {ENTRY}")
    return f"\n{screen.draw(tables, shown_on)}\n{lines}{pointers(parent, next)}"


def _mattered(study: optuna.Study) -> str:
    """The importances of the hyperparameters, "" if there are none yet."""
    importances = importances_of(study)
    if not len(importances):
        return ""
    pairs = zip(importances["hyperparameter"], importances["importance"], strict=True)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in pairs)
    return f"{shares} (importances by {importances[names.METHOD].iloc[0]})"


def _best(plan: Plan, study: optuna.Study, winner: Winner) -> str:
    """What won, with which result on validation data and which values of what was searched."""
    chosen = ", ".join(f"{name} {short(value)}" for name, value in winner.chosen.items())
    reached = winner.judged[0][1] if winner.judged else value_of(ranked(study)[0])
    row = f", row {plan.row} as it was" if winner.chosen == plan.first else ""
    return f"trial {winner.trial}{row}: {plan.search.metric} {reached:.4g} on validation data, {chosen}"


def _tested(trained: Sequence[Run], main: str) -> str:
    """The result of the winner's trainings on test data, "" if there are none."""
    values = [value for run in trained if (value := run.metrics.get(main)) is not None]
    if not values:
        return ""
    return f"these settings, trained on all training data: {main} {shown(values)}, n {len(values)}"


def _beside(word: str, text: str, width: int) -> str:
    """The word, and beside it the text, in lines of at most `width` columns."""
    first, *others = screen.wrapped(text, max(width - MARGIN, MARGIN))
    return "".join(f"{before:<{MARGIN}}{line}\n" for before, line in ((word, first), *(("", each) for each in others)))


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
