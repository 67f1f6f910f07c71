"""The end of a launch on the terminal: its rows ranked, the best run, where to look, and a command to try next."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines import names
from pipelines.common import screen, server, ui
from pipelines.common.command import hint
from pipelines.common.screen import Align, Cell, Column, Emphasis
from pipelines.data.files.meta import elsewhere
from pipelines.experiments.base import SettingsType, published_figure
from pipelines.launching.experiment import Experiment, OptionsType
from pipelines.launching.intervals import width
from pipelines.terminal.clock import span
from pipelines.tracking.record import Snapshot
from pipelines.tracking.run import Run

_CHAMPION = re.compile(rf"(?P<name>.+) version (?P<version>\d+), {names.CHAMPION}")  # the tag of a run
SHORT = 8  # digits of a run's id that a message shows


@dataclass(frozen=True)
class Figures:
    """Figures of one row over its seeds.

    Attributes:
        row: its name.
        values: the main metric of each seed.
        time: mean time of the training or evaluation, seconds; None if it is not known.
    """

    row: str
    values: Sequence[float]
    time: float | None

    @property
    def mean(self) -> float:
        """Mean of the main metric."""
        return statistics.fmean(self.values)


def ending(
    experiment: Experiment[OptionsType, SettingsType], parent: Run, finished: Sequence[Run], data_dir: str
) -> str:
    """The text for a launch `parent` of which the rows `finished` have finished, on data in `data_dir`."""
    states = {run.id: run.record.read() for run in finished}
    figures = ranked(experiment, list(states.values()))
    dataset = parent.tags.get(names.DATASET, "")
    narrow = float(parent.tags.get(names.WIDTH, 0))
    drawn = screen.draw([table(experiment, dataset, figures, narrow)], screen.screen())
    data = f"--dataset {dataset}{elsewhere(data_dir)}"
    command = _next(experiment, data, [each.row for each in figures])
    champion = _champion(experiment, data, list(states.values()))
    return f"\n{drawn}\n{_best(experiment, states)}{champion}{pointers(parent, command)}"


def _next(experiment: Experiment[OptionsType, SettingsType], data: str, rows: Sequence[str]) -> str:
    """The command to try after a launch of `rows`; `data` are the options that name the data."""
    followed = [row for row in rows if row in experiment.rows]  # the next experiment has no row of a user's own
    if experiment.followed_by and followed:
        return hint(f"python -m pipelines {experiment.followed_by} {data} --models {','.join(followed)}")
    baseline = f" --baseline {experiment.baseline}" if experiment.baseline in rows else ""
    return hint(f"python -m analysis compare --entry {experiment.name}{baseline}")


def ranked(experiment: Experiment[OptionsType, SettingsType], runs: Sequence[Snapshot]) -> list[Figures]:
    """Figures of the rows of `runs` that have the main metric, best first."""
    cost = _cost(experiment)
    rows: dict[str, list[Mapping[str, float]]] = {}
    for run in runs:
        if experiment.main in run.metrics:
            rows.setdefault(run.tags[names.ROW], []).append(run.metrics)
    found = [
        Figures(row, [metrics[experiment.main] for metrics in own], _mean([metrics.get(cost) for metrics in own]))
        for row, own in rows.items()
    ]
    return sorted(found, key=lambda each: each.mean, reverse=not experiment.lowest)


def _best(experiment: Experiment[OptionsType, SettingsType], states: Mapping[str, Snapshot]) -> str:
    """The line on the best run among `states`, by their ids."""
    measured = {id: state.metrics[experiment.main] for id, state in states.items() if experiment.main in state.metrics}
    if not measured:
        return ""
    first = (min if experiment.lowest else max)(measured, key=lambda run_id: measured[run_id])
    name = states[first].tags[names.RUN_NAME]
    return f"best run  {name}, run {first[:SHORT]}: {experiment.main} {measured[first]:.4g}\n"


def _champion(experiment: Experiment[OptionsType, SettingsType], data: str, runs: Sequence[Snapshot]) -> str:
    """The lines on the model of these runs that became the champion and on the command for it, "" if none did."""
    registered = [(_CHAMPION.fullmatch(run.tags.get(names.REGISTERED, "")), run.tags[names.RUN_NAME]) for run in runs]
    became = [(int(found["version"]), found["name"], run) for found, run in registered if found]
    if not became:
        return ""
    version, name, run = max(became)
    used = hint(f"python -m pipelines {experiment.champion_for} {data}")
    return f"champion  {name} version {version} ({run})\n" + (
        f"{experiment.champion_for:<8}  {used}\n" if experiment.champion_for else ""
    )


def shown(values: Sequence[float]) -> str:
    """The mean and, of several values, their standard deviation."""
    mean, deviation = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    if not deviation:
        return f"{mean:.4g}" + (" ± 0" if len(values) > 1 else "")
    decimals = max(0, 1 - math.floor(math.log10(deviation)))  # two digits of the deviation
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def pointers(look: Run, next: str) -> str:
    """Where to look at a run, and the command to try next."""
    place = server.address()
    link = ui.run(ui.base(place), look.record.read().experiment, look.id)
    started = "" if place.startswith("http") else f"  (after: {hint('python -m analysis ui')})"
    return f"look      {link}{started}\nnext      {next}\n"


def table(
    experiment: Experiment[OptionsType, SettingsType], dataset: str, figures: Sequence[Figures], narrow: float = 0.0
) -> screen.Table:
    """The rows in the order of `figures`, the first of which is the best.

    If the 95 % interval of the mean was to become narrower than `narrow`, its width is shown too.
    """
    published = [
        published_figure(experiment.rows.get(each.row), experiment.main) if dataset == experiment.published_on else None
        for each in figures
    ]
    compares = any(value is not None for value in published)
    columns = [
        Column("row"),
        Column(experiment.main, Align.DECIMAL),
        Column("n", Align.RIGHT, rank=2),
        *([Column("95 % width", Align.RIGHT)] if narrow else []),
        *([Column("published", Align.DECIMAL, rank=1)] if compares else []),
        # Of that only: the line of a row that has finished tells the time it took overall.
        Column(f"{'training' if _cost(experiment) == names.TRAINING_TIME else 'evaluation'} time", Align.RIGHT, rank=3),
    ]
    lines = []
    for place, (each, figure) in enumerate(zip(figures, published, strict=True)):
        emphasis = Emphasis.BEST if place == 0 and len(figures) > 1 else Emphasis.NONE
        cells = [
            Cell(each.row, emphasis),
            Cell(shown(each.values), emphasis),
            Cell(str(len(each.values))),
            *([Cell(_width(each.values))] if narrow else []),
            *([Cell("" if figure is None else f"{figure:g}")] if compares else []),
            Cell("" if each.time is None else span(each.time)),
        ]
        lines.append(cells)
    what = "lowest first" if experiment.lowest else "highest first"
    title = f"{experiment.name} on {dataset}: {experiment.main}, {what}"
    return screen.Table(columns, lines, title=title, notes=_too_wide(figures, narrow))


def _width(values: Sequence[float]) -> str:
    """Width of the 95 % interval of the mean, "" of a single value."""
    reached = width(values)
    return "" if math.isinf(reached) else f"{reached:.3g}"


def _too_wide(figures: Sequence[Figures], narrow: float) -> list[str]:
    """The note on rows whose 95 % interval is not narrower than `narrow`, if there are any."""
    rows = [each.row for each in figures if narrow <= width(each.values) < math.inf]
    return [f"the 95 % interval is not narrower than {narrow:g}: {', '.join(rows)}"] if narrow and rows else []


def _cost(experiment: Experiment[OptionsType, SettingsType]) -> str:
    """The time of what the rows of an experiment are there for: they are trained, or only evaluated."""
    return names.TRAINING_TIME if names.TRAINING_TIME in experiment.metrics else names.EVALUATION_TIME


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
