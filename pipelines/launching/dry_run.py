"""What a launch would run, and how long it may take by what earlier runs took; no run is made."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipelines import names
from pipelines.cli.declare import Options
from pipelines.common import screen
from pipelines.common.command import hint
from pipelines.common.screen import Align, Cell, Column
from pipelines.data.datasets import find
from pipelines.data.files.meta import elsewhere
from pipelines.errors import UserError
from pipelines.experiments.base import SettingsType
from pipelines.launching.continuation import command_of
from pipelines.launching.data import digest_of
from pipelines.launching.experiment import Experiment, OptionsType, Plan
from pipelines.launching.jobs import Job
from pipelines.launching.local import LOCAL
from pipelines.launching.needed import alike, announce_earlier, earlier
from pipelines.terminal.clock import span
from pipelines.tracking.run import FINISHED, Run, shown
from pipelines.tracking.server import connect, is_set_up

_COSTS = (names.TRAINING_TIME, names.EVALUATION_TIME)


@dataclass(frozen=True)
class _Line:
    """The jobs of one row, and the seconds that earlier runs with its settings took to train and evaluate."""

    jobs: Sequence[Job]
    seconds: Sequence[float]

    @property
    def estimate(self) -> float | None:
        """Median of the seconds, None without any."""
        return statistics.median(self.seconds) if self.seconds else None


def require_no_preparation(experiment: Experiment[OptionsType, SettingsType], options: OptionsType) -> None:
    """Require that the data are there, which a launch would download or read first.

    Raises:
        UserError: they are not prepared.
    """
    given, data_dir = getattr(options, "dataset", "auto"), getattr(options, "data_dir", "")
    if given != "auto" and not find(given, experiment.data, data_dir).is_prepared(data_dir):
        remedy = hint(f"python -m pipelines prepare --dataset {given}{elsewhere(data_dir)}")
        raise UserError(f"dry_run=true: {given} is not prepared in {data_dir}, which a launch would do first: {remedy}")


def rehearsed(experiment: Experiment[OptionsType, SettingsType], options: OptionsType, plan: Plan[SettingsType]) -> str:
    """The text on a launch that is planned: its rows, what they have of their own, and the time of earlier runs.

    Raises:
        UserError: the tracking server cannot be reached.
        AwayError: it does not answer.
    """
    note_on_launcher(experiment.name, options)
    jobs, times = list(plan.jobs), dict[frozenset[tuple[str, str]], list[float]]()
    if is_set_up():
        connect()
        if getattr(options, "needed", False):
            digest = digest_of(plan.dataset, experiment.data, plan.context.data_dir)
            found = earlier(experiment.name, jobs, digest)
            announce_earlier(found, len(jobs), experiment.name, plan.context.data_dir)
            jobs = [job for job in jobs if job.name not in found.finished]
        times = times_of(experiment.name, plan.dataset)
    rows: dict[str, list[Job]] = {}
    for job in jobs:
        rows.setdefault(job.label, []).append(job)
    lines = [_Line(own, times.get(key_of(shown(own[0].settings.params())), [])) for own in rows.values()]
    parallel = min(getattr(options, "jobs", 1) or LOCAL.room(jobs), max(1, len(jobs)))
    notes = _sums(lines, parallel)
    if narrow := getattr(options, "width", 0.0):
        notes.append(f"then seeds are added to each row until its 95 % interval is narrower than {narrow:g}")
    return _text(f"{experiment.name} on {plan.dataset}", lines, notes)


def note_on_launcher(entry: str, options: Options, why: str = "dry run") -> None:
    """Say on the run that `mlflow run` has made, if it has, why nothing was run."""
    with suppress(UserError):
        if launched := Run.launchers():
            launched.set_tags({names.RUN_NAME: f"{entry}, {why}", names.COMMAND: command_of(entry, options)})


def times_of(entry: str, dataset: str) -> dict[frozenset[tuple[str, str]], list[float]]:
    """Seconds that each finished run of an entry on a data set took, by its parameters but the seed."""
    condition = f"tags.{names.ENTRY} = '{entry}' and tags.{names.DATASET} = '{dataset}' and tags.{names.ROW} LIKE '%'"
    found: dict[frozenset[tuple[str, str]], list[float]] = {}
    for run in Run.search(f"{condition} and attributes.status = '{FINISHED}'"):
        state = run.record.known()
        if measured := [state.metrics[cost] for cost in _COSTS if cost in state.metrics]:
            found.setdefault(key_of(state.params), []).append(sum(measured))
    return found


def key_of(params: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Key of `times_of` for logged parameters."""
    return alike({name: value for name, value in params.items() if name != names.SEED})


def _text(where: str, lines: Sequence[_Line], notes: Sequence[str]) -> str:
    count = sum(len(line.jobs) for line in lines)
    cells = [
        [
            Cell(line.jobs[0].settings.row),
            Cell(_seeds(line.jobs)),
            Cell(_own(line.jobs[0])),
            Cell(_estimate(line)),
        ]
        for line in lines
    ]
    columns = [
        Column("row"),
        Column("seeds", Align.RIGHT),
        Column("of its own", wraps=True),
        Column("time of a run", wraps=True),
    ]
    title = f"{where}: {count} run{'s' if count != 1 else ''} to make; none was made"
    table = screen.Table(columns, cells, title=title, notes=notes)
    return "\n" + screen.draw([table], screen.screen())


def _seeds(jobs: Sequence[Job]) -> str:
    seeds = sorted(job.settings.seed for job in jobs)
    run = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]}–{seeds[-1]}" if run else ", ".join(map(str, seeds))


def _own(job: Job) -> str:
    """What a run has of its own: the settings that differ from those of the row it is like, or of its row."""
    own = job.settings
    given = job.label.removeprefix(own.row).split()
    words = [*([f"like {own.like}:"] if own.like else []), *own.changes.split(), *given]
    return " ".join(words) or "–"


def _estimate(line: _Line) -> str:
    if line.estimate is None:
        return "no earlier runs"
    count = len(line.seconds)
    return f"{span(line.estimate)} ({f'median of {count} runs' if count > 1 else 'by 1 run'})"


def _sums(lines: Sequence[_Line], parallel: int) -> list[str]:
    """The note on the time of all runs that can be told, `parallel` of which run at a time."""
    estimates = [line.estimate for line in lines for _ in line.jobs]
    known = [estimate for estimate in estimates if estimate is not None]
    if not known:
        return []
    which = "all runs" if len(known) == len(estimates) else f"{len(known)} of the runs"
    return [
        f"{which}, one after the other: {span(sum(known))} of training and evaluation, without what comes before and "
        f"after; {parallel} at a time here"
    ]
