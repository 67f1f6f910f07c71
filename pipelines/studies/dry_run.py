"""What a study would search and train, and how long that took before; no run is made."""

import statistics
from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from pipelines import names
from pipelines.common import screen
from pipelines.common.addresses import redacted
from pipelines.common.screen import Align, Cell, Column
from pipelines.common.words import short
from pipelines.experiments.base import changed
from pipelines.experiments.spaces import Depending, Dimension, LogUniform, OneOf, Steps, Whole
from pipelines.launching.dry_run import key_of, note_on_launcher, times_of
from pipelines.studies.left import Left, left
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import ENTRY, WINNER_SEEDS, Plan
from pipelines.studies.storage import look
from pipelines.terminal.clock import span
from pipelines.tracking.run import FINISHED, Run, shown
from pipelines.tracking.server import connect, is_set_up


def rehearsed(plan: Plan, options: TuneOptions, digest: str) -> str:
    """The text on a study that is planned: what is searched, what is left to train, and the time of earlier trainings.

    Raises:
        UserError: the tracking server or the study's database cannot be reached, or that study is another one.
        AwayError: the server does not answer.
    """
    note_on_launcher(ENTRY, options)
    if is_set_up():
        connect()
    tables = [_searched(plan), _trainings(plan, options, look(plan, digest))]
    return "\n" + screen.draw(tables, screen.screen())


def _trainings(plan: Plan, options: TuneOptions, study: optuna.Study | None) -> screen.Table:
    to_come, trials = left(plan, study), _of_trials(study)
    finalists, winners = (_of_finalists(plan), _of_winners(plan)) if is_set_up() else ([], [])
    epochs = str(plan.trial_settings({}).params()["epochs"])
    kept, whole = "the training part without its validation part", "the whole training part"
    part = kept if plan.fraction == 1 else f"{100 * plan.fraction:.4g} % of {kept}"
    known = to_come.finalists == 0 or ("lr" not in plan.dimensions and not to_come.trials)
    bound = "" if known else "at most " if to_come.trials else "at least "
    final = str(0 if to_come.winner else WINNER_SEEDS)
    lines = [
        ("trials", str(to_come.trials), epochs, part, _estimate(trials)),
        ("finalists", f"{bound}{to_come.finalists}", epochs, kept, _estimate(finalists)),
        ("winner, tested", final, epochs, whole, _estimate(winners, f"as {plan.row}, ")),
    ]
    columns = [
        Column("trainings"),
        Column("to come", Align.RIGHT),
        Column("epochs", Align.RIGHT, rank=1),
        Column("on", wraps=True),
        Column("time of one", wraps=True),
    ]
    cells = [list(map(Cell, line)) for line in lines]
    return screen.Table(columns, cells, notes=_notes(plan, options, study, to_come, trials))


def _searched(plan: Plan) -> screen.Table:
    usual = plan.usual
    own = [name for name, value in plan.changes.items() if name not in plan.dimensions]
    columns = [Column("searched"), Column("values", wraps=True), Column(f"of {plan.row}, tried first", Align.RIGHT)]
    cells = [
        [Cell(name), Cell(_values(dimension)), Cell(short(usual[name]))] for name, dimension in plan.dimensions.items()
    ]
    better = "highest" if plan.search.maximise else "lowest"
    title = f"study {plan.name} on {plan.dataset}, for the {better} {plan.search.metric}; no run was made"
    note = f"{plan.row} keeps what else it has of its own: {', '.join(own)}"
    return screen.Table(columns, cells, title=title, notes=[note] if own else [])


def _values(dimension: Dimension) -> str:
    match dimension:
        case LogUniform(low, high):
            return f"{short(low)} … {short(high)}, by the logarithm"
        case Steps(low, high, step):
            return f"{short(low)} … {short(high)}, by {short(step)}"
        case Whole(low, high):
            return f"{low} … {high}"
        case OneOf(options):
            return ", ".join(map(short, options))
        case Depending(on, cases):
            return "; ".join(f"{_values(case)} for {on} {name}" for name, case in cases.items())


def _of_trials(study: optuna.Study | None) -> list[float]:
    """Seconds that each trial took that ran to its end."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if study else []
    return [each.duration.total_seconds() for each in done if each.duration]


def _of_finalists(plan: Plan) -> list[float]:
    """Seconds that each finalist of the study trained for."""
    runs = Run.search(f"tags.{names.ENTRY} = '{ENTRY}' and tags.{names.FINALIST} LIKE '%'")
    found = [run.record.known() for run in runs]
    return [
        each.metrics[names.TRAINING_TIME]
        for each in found
        if each.tags.get(names.STUDY) == plan.name and each.status == FINISHED and names.TRAINING_TIME in each.metrics
    ]


def _of_winners(plan: Plan) -> list[float]:
    """Seconds of training and evaluation of runs with the settings of the row that the study begins with."""
    row = {name: getattr(plan.own, name) for name in ("row", "like", "changes")}
    settings = changed(plan.settings(plan.usual, 0, 1.0), study="", **row)
    return times_of(plan.study, plan.dataset).get(key_of(shown(settings.params())), [])


def _estimate(seconds: Sequence[float], of: str = "") -> str:
    if not seconds:
        return "no earlier ones"
    count = len(seconds)
    return f"{span(statistics.median(seconds))} ({of}{f'median of {count}' if count > 1 else 'by 1'})"


def _notes(
    plan: Plan, options: TuneOptions, study: optuna.Study | None, to_come: Left, trials: Sequence[float]
) -> list[str]:
    where = f"the study is in {redacted(plan.storage)}" if study else f"a new study in {redacted(plan.storage)}"
    notes = [where]
    if to_come.trials and trials:
        total = to_come.trials * statistics.median(trials) / min(options.workers, to_come.trials)
        notes.append(f"trials, {options.workers} at a time: {span(total)}, less what is saved by giving up the worst")
    if to_come.winner:
        notes.append(f"the winner was trained and tested under run {to_come.winner}")
    return notes
