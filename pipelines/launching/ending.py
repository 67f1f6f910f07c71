"""The end of a launch on the terminal: its rows ranked, the best run, where to look, and a command to try next."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines import names
from pipelines.common import screen, server, ui
from pipelines.common.screen import Align, Cell, Column, Emphasis
from pipelines.experiments.base import SettingsType, published_figure
from pipelines.launching.experiment import Experiment, OptionsType
from pipelines.terminal.clock import span
from pipelines.tracking.run import Run

SHORT = 8  # digits of a run's id that a message shows


@dataclass(frozen=True)
class Figures:
    """Figures of one row over its seeds.

    Attributes:
        row: its name.
        values: the main metric of each seed.
        time: mean training time, seconds; that of the evaluation where nothing was trained; None without either.
    """

    row: str
    values: Sequence[float]
    time: float | None

    @property
    def mean(self) -> float:
        """Mean of the main metric."""
        return statistics.fmean(self.values)


def ending(experiment: Experiment[OptionsType, SettingsType], parent: Run, finished: Sequence[Run]) -> str:
    """The text for a launch `parent` of which the rows `finished` have finished; at least one."""
    states = {run.id: run.record.read() for run in finished}
    main = experiment.main
    measured = {run.id: state.metrics[main] for run in finished if main in (state := states[run.id]).metrics}
    figures = []
    for row in dict.fromkeys(state.tags[names.ROW] for state in states.values()):
        own = [(run_id, state) for run_id, state in states.items() if state.tags[names.ROW] == row]
        values = [measured[run_id] for run_id, _ in own if run_id in measured]
        times = [time for _, state in own if (time := _time(state.metrics)) is not None]
        if values:
            figures.append(Figures(row, values, statistics.fmean(times) if times else None))
    figures.sort(key=lambda each: each.mean, reverse=not experiment.lowest)
    launched = parent.record.read()
    dataset = launched.tags.get(names.DATASET, "")
    drawn = screen.draw([table(experiment, dataset, figures)], screen.screen())
    best = ""
    if measured:
        first = (min if experiment.lowest else max)(measured, key=lambda run_id: measured[run_id])
        name = states[first].tags[names.RUN_NAME]
        best = f"best  {name}, run {first[:SHORT]}: {main} {measured[first]:.4g}\n"
    baseline = f" --baseline {experiment.baseline}" if experiment.baseline in {each.row for each in figures} else ""
    command = f"python -m analysis compare --entry {experiment.name}{baseline}"
    return f"\n{drawn}\n{best}{pointers(parent, command)}"


def shown(values: Sequence[float]) -> str:
    """The mean and, of several values, their standard deviation."""
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4g}{spread}"


def pointers(look: Run, next: str) -> str:
    """Where to look at a run, and the command to try next."""
    place = server.address()
    link = ui.run(ui.base(place), look.record.read().experiment, look.id)
    started = "" if place.startswith("http") else "  (after: make ui)"
    return f"look  {link}{started}\nnext  {next}\n"


def table(experiment: Experiment[OptionsType, SettingsType], dataset: str, figures: Sequence[Figures]) -> screen.Table:
    """The rows in the order of `figures`, the first of which is the best."""
    published = [
        published_figure(experiment.rows.get(each.row), experiment.main) if dataset == experiment.published_on else None
        for each in figures
    ]
    columns = [
        Column("row"),
        Column(experiment.main, Align.DECIMAL),
        Column("n", Align.RIGHT, rank=2),
        *([Column("published", Align.DECIMAL, rank=1)] if any(value is not None for value in published) else []),
        Column("time", Align.RIGHT, rank=3),
    ]
    lines = []
    for place, (each, figure) in enumerate(zip(figures, published, strict=True)):
        emphasis = Emphasis.BEST if place == 0 and len(figures) > 1 else Emphasis.NONE
        cells = [
            Cell(each.row, emphasis),
            Cell(shown(each.values), emphasis),
            Cell(str(len(each.values))),
            *([Cell("" if figure is None else f"{figure:g}")] if len(columns) > 4 else []),
            Cell("" if each.time is None else span(each.time)),
        ]
        lines.append(cells)
    what = "lowest first" if experiment.lowest else "highest first"
    return screen.Table(columns, lines, title=f"{experiment.name} on {dataset}: {experiment.main}, {what}")


def _time(metrics: dict[str, float]) -> float | None:
    return metrics.get(names.TRAINING_TIME, metrics.get(names.EVALUATION_TIME))
