"""The command `forecast`: the next hours of a load, by the champion of a data set, with intervals and a backtest."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipelines import names
from pipelines.commands import champions
from pipelines.commands.options import ForecastOptions
from pipelines.common import launcher
from pipelines.common.command import hint
from pipelines.common.files import replacing, write_text
from pipelines.common.streams import announce
from pipelines.data.datasets import AUTO, available_dataset, load_energy
from pipelines.data.energy.gaps import elapsed
from pipelines.data.energy.reader.format import LOAD_FORMAT, LoadFormat
from pipelines.data.energy.reader.read import read_load
from pipelines.data.files.meta import elsewhere
from pipelines.data.protocol import LOAD
from pipelines.errors import UserError
from pipelines.forecasting import check, outlook
from pipelines.forecasting.champion import Champion
from pipelines.forecasting.history import History
from pipelines.forecasting.outlook import Outlook
from pipelines.launching.launch import launch
from pipelines.processes import scratch
from pipelines.terminal.display import conclude, doing, showing
from pipelines.tracking.artifacts import log_figure, log_table
from pipelines.tracking.models import fetched
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect

ENTRY = "forecast"
FORECAST, BACKTEST, CHECK = "forecast", "backtest", "check"  # files without their suffixes
BEFORE = "before"  # the same, logged only: the loads that the figure of a forecast begins with


@dataclass(frozen=True)
class _Done:
    """What the command ends with: lines of the result, what was written, and a command to try next."""

    lines: Sequence[str]
    written: str
    next: str


def run(options: ForecastOptions) -> None:
    """Forecast, or compare an earlier forecast with what came; write the result to a folder, and log it.

    Raises:
        UserError: there is no history, or none that can be read; there is no champion, or no earlier forecast; or the
            folder cannot be written.
    """
    with showing(ENTRY), scratch.folder() as folder:
        output = launcher.given_output(options.output)
        done = _check(options, output) if options.check else _forecast(options, output, folder)
    conclude("\n".join([*done.lines, "", done.written, f"next  {done.next}"]) + "\n")


def _forecast(options: ForecastOptions, output: Path, folder: Path) -> _Done:
    doing("fetching the forecaster")
    where = champions.address(options.dataset, options.model, options.data_dir)
    champion = champions.read(where, fetched(where, folder))
    doing("reading the history")
    of = str(champion.about["dataset"])
    histories = [_since_gap(each) for each in _histories(options, of if options.dataset == AUTO else options.dataset)]
    outlooks = [_outlook(champion, each, options.hours, number, histories) for number, each in enumerate(histories, 1)]
    tables = {FORECAST: outlook.forecasts(outlooks), BACKTEST: outlook.tests(outlooks)}
    figure = outlook.figure(outlooks, champion.row)
    written = _write(output, tables, {FORECAST: figure})
    tags = {names.ENTRY: ENTRY, names.DATASET: of, names.MODEL_USED: where}
    title = f"{_named(histories)}: next {options.hours} hours ({ENTRY} by {champion.row})"
    with launch(ENTRY, title, tags, options, _description(outlooks, where)) as parent:
        _log(parent, tables | {BEFORE: outlook.before(outlooks)}, {FORECAST: figure})
        tested = [each.tested.mean(each.tested.row) for each in outlooks if each.tested]
        if tested:
            parent.log_metrics({names.BACKTEST_MAPE: float(np.mean(tested))})
    train = any(each.chosen.is_new for each in outlooks) and options.history
    return _Done(
        [line for each in outlooks for line in outlook.lines(each)],
        written,
        _prepare(options) if train else hint("python -m analysis ui"),
    )


def _outlook(champion: Champion, history: History, hours: int, number: int, of: Sequence[History]) -> Outlook:
    doing(f"forecasting {history.series}, {number} of {len(of)}" if len(of) > 1 else "forecasting")
    found = outlook.outlook(champion, history, hours)
    for note in found.chosen.notes:
        announce(note)
    return found


def _check(options: ForecastOptions, output: Path) -> _Done:
    forecast = check.read_forecast(output / f"{FORECAST}.csv")
    doing("reading the loads")
    histories = _histories(options, options.dataset)
    found = check.checked(forecast, histories)
    connect()
    tables, figures = {CHECK: found.table}, {CHECK: check.figure(found)}
    written = _write(output, tables, figures)
    tags = {names.ENTRY: ENTRY}
    title = f"{_named(histories)}: {len(found.table)} hours of an earlier forecast ({ENTRY})"
    with launch(ENTRY, title, tags, options, "An earlier forecast beside the loads that came.") as parent:
        _log(parent, tables, figures)
        parent.log_metrics({names.FORECAST_MAPE: found.mape})
    return _Done(list(check.lines(found)), written, hint("python -m analysis ui"))


def _prepare(options: ForecastOptions) -> str:
    """The command that prepares the history, so that a network can be trained on it."""
    name = re.sub(r"\W+", "-", Path(options.history).name.partition(".")[0]).strip("-").lower() or "mine"
    given = {each: getattr(options, each) for each in LOAD_FORMAT}
    words = [word for each, value in given.items() if value for word in (f"--{each.replace('_', '-')}", value)]
    source = shlex.join([options.history, *words])
    return hint(f"python -m pipelines prepare --dataset {name} --source {source}{elsewhere(options.data_dir)}")


def _histories(options: ForecastOptions, dataset: str) -> list[History]:
    """The loads that are known, of each series."""
    if options.history:
        source = launcher.given_input(options.history)
        if not source.exists():
            raise UserError(f"history {options.history} does not exist; give a table of hourly loads")
        read = read_load(source, LoadFormat(**{each: getattr(options, each) for each in LOAD_FORMAT}))
        for sentence in read.found:
            announce(sentence)
        found = [(each.name, each.times, each.load, read.timezone) for each in read.series]
    else:
        dataset = available_dataset(dataset, LOAD, options.data_dir)
        data = load_energy(dataset, options.data_dir)
        bounds = zip(data.series, data.offsets, data.offsets[1:], strict=False)
        found = [
            (name, data.times[start:end], data.values[start:end, 0].astype(np.float64), data.timezone)
            for name, start, end in bounds
        ]
    return [History(name, times, loads, timezone) for name, times, loads, timezone in found]


def _since_gap(history: History) -> History:
    """The hours after the last gap or repeated hour."""
    steps = np.flatnonzero(np.diff(elapsed(history.times, history.timezone)) != 1)
    if not len(steps):
        return history
    first = int(steps[-1]) + 1
    announce(
        f"{history.series}: {len(history.times) - first:,} hours since {_shown_time(history.times[first])}, where the "
        "hours before are not consecutive"
    )
    return History(history.series, history.times[first:], history.loads[first:], history.timezone)


def _named(histories: Sequence[History]) -> str:
    named = [each.series or "the series" for each in histories]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def _write(output: Path, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure]) -> str:
    """Write tables and figures to a folder, by their names, and say so."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            write_text(output / f"{name}.csv", table.to_csv(index=False))
        for name, figure in figures.items():
            with replacing(output / f"{name}.png") as file:
                figure.savefig(file, format="png")
    except OSError as error:
        raise UserError(f"output {output}: {error.strerror or error}; give a folder that can be written") from error
    return f"{output}: {', '.join([*(f'{name}.csv' for name in tables), *(f'{name}.png' for name in figures)])}"


def _log(parent: Run, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure]) -> None:
    for name, table in tables.items():
        log_table(parent, table, f"{names.TABLES}/{name}.csv")
    for name, figure in figures.items():
        log_figure(parent, figure, f"{names.FIGURES}/{name}.png")


def _description(outlooks: Sequence[Outlook], where: str) -> str:
    notes = [f"- {note}" for each in outlooks for note in each.chosen.notes]
    return "\n".join([f"The next hours, by `{where}`.", "", *notes])


def _shown_time(time: np.datetime64) -> str:
    return str(time)[:16].replace("T", " ")
