"""One row of the recurrent experiment: trains, evaluates and logs."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from pipelines import figures, names
from pipelines.data.datasets import load_energy
from pipelines.data.energy.calendar import are_holidays
from pipelines.data.energy.series import EnergyDataset, Part, part_size, split
from pipelines.data.energy.windows import latest, spread
from pipelines.data.protocol import LOOKBACK, PJM
from pipelines.experiments import tracked
from pipelines.experiments.base import Context, OwnModelSettings
from pipelines.experiments.data import log_data
from pipelines.experiments.own_models import log_own_model, log_source
from pipelines.experiments.recurrent import baselines
from pipelines.experiments.recurrent.breakdown import KINDS, breakdown
from pipelines.experiments.recurrent.compete import compete, competes
from pipelines.experiments.recurrent.forecaster import Forecaster, actual, forecaster
from pipelines.experiments.recurrent.rows import (
    CURVE_POINTS,
    CURVE_WINDOWS,
    DENSE,
    PANELS,
    BaselineSettings,
    NetworkSettings,
    OwnNetworkSettings,
    Panel,
    RelativeSettings,
    TrainedSettings,
)
from pipelines.experiments.tracked import EpochLog, log_costs
from pipelines.tracking.artifacts import log_columns, log_figure, log_table
from pipelines.tracking.models import log_model
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback, Progress
from pipelines.training.machine import peak_memory
from pipelines.training.metrics import forecast_metrics


def run_row(run: Run, settings: TrainedSettings | BaselineSettings, context: Context) -> None:
    """Train and evaluate one row, and log the results to `run`.

    Args:
        run: the active run.
        settings: settings of the row.
        context: surroundings of the run.
    """
    context.reports.phase("loading data")
    dataset = load_energy(settings.dataset, context.data_dir)
    parts = split(dataset)
    train = latest(parts["train"], settings.fraction)
    log_data(run, dataset, {"training": part_size(train), "evaluation": part_size(parts["test"])})
    if isinstance(settings, BaselineSettings):
        forecasts = _baseline(run, settings, context, dataset, train, parts["test"])
        _log_results(run, settings.row, dataset, parts["test"], forecasts)
    else:
        if isinstance(settings, OwnNetworkSettings):
            log_source(run, settings)
        network = forecaster(settings, dataset, train)
        forecasts, saved = _network(run, network, context, train, parts["test"])
        _log_results(run, settings.row, dataset, parts["test"], forecasts)
        _log_model(run, network, parts["test"])
        if competes(settings):
            compete(run, network, context, saved)


def _baseline(
    run: Run,
    settings: BaselineSettings,
    context: Context,
    dataset: EnergyDataset,
    train: Part,
    test: Part,
) -> list[np.ndarray]:
    run.set_tags({names.DESCRIPTION: f"{settings.method.capitalize()}. A baseline: no network."})
    run.recall()
    baseline = baselines.forecaster(settings.row)
    context.reports.phase("fitting")
    began = time.perf_counter()
    baseline.fit(dataset, train)
    context.reports.phase("evaluating")
    fitted = time.perf_counter()
    forecasts = baseline.predict(dataset, test)
    run.log_metrics({names.TRAINING_TIME: fitted - began, names.EVALUATION_TIME: time.perf_counter() - fitted})
    run.log_metrics({names.PEAK_MEMORY: peak_memory()})
    return forecasts


def _network(
    run: Run, network: Forecaster, context: Context, train: Part, test: Part
) -> tuple[list[np.ndarray], tracked.State]:
    settings = network.settings
    subset = spread(test, CURVE_WINDOWS)
    with network.training as training:
        callbacks = [
            _Curve(run, lambda: network.metrics(subset)[names.SMAPE]),
            EpochLog(run, lambda progress: {names.TRAIN_LOSS: progress.epoch_loss}),
        ]
        saved = tracked.train(run, training, context, _note(network, train), callbacks)
        for metric in (names.TRAIN_LOSS, names.SMAPE_CURVE):
            run.log_best(metric)
        with training.evaluating():
            forecasts = network.forecast(test)
        log_costs(run, training, names.TARGETS_PER_S)
        run.log_metrics({names.WINDOWS_PER_S: part_size(test) / training.evaluation_seconds})
        if network.precision == "bf16":
            # Shows the loss of accuracy by bf16: the same weights on the same windows, evaluated in fp32.
            run.log_metrics({names.SMAPE_CURVE_FP32: network.metrics(subset, "fp32")[names.SMAPE]})
        run.log_metrics({names.PEAK_MEMORY: training.engine.peak_memory()})
    context.reports.phase("exporting")
    _log_curve(run, settings.row, settings.dataset)
    return forecasts, saved


class _Curve(Callback):
    """Logs the error on a fixed subset of test windows during training, for a curve; nothing is chosen by it."""

    def __init__(self, run: Run, measure: Callable[[], float]):
        self._run, self._measure = run, measure
        self._due: set[int] = set()

    def on_start(self, progress: Progress) -> None:
        self._due = {round(share * progress.updates) for share in CURVE_POINTS}
        if progress.update == 0:
            value = self._log(0)
            self._run.log_metrics({names.first(names.SMAPE_CURVE): value})

    def on_update(self, progress: Progress) -> None:
        if progress.update in self._due:
            self._log(progress.update)

    def _log(self, update: int) -> float:
        value = self._measure()
        self._run.log_metrics({names.SMAPE_CURVE: value}, step=update)
        return value


def _note(network: Forecaster, train: Part) -> str:
    s = network.settings
    if isinstance(s, RelativeSettings):
        body = _relative_note(s)
    else:
        how = (
            f"{_segments(s)} (not the forecasting report's way)"
            if s.training == DENSE
            else f"one target for each {LOOKBACK}-hour window (the forecasting report's way)"
        )
        body = f"Trained on {how}. Scalers are fitted on the training part."
    optimiser = f"AdamW, weight decay {s.weight_decay:g}" if isinstance(s, RelativeSettings) else "Adam"
    return (
        f"**{_form(s)}**, {network.training.parameter_count:,} parameters, "
        f"seed {s.seed}.\n\n{body}\n\n"
        f"{part_size(train):,} training windows of `{s.dataset}`: {s.epochs} epochs, "
        f"batch {s.batch_size}, {optimiser}, lr {s.lr:g} ({s.schedule}), loss {s.loss}, {s.precision} on {s.device}, "
        f"{s.replicas} replica(s) of {s.threads} thread(s).{s.about}"
    )


def _form(s: TrainedSettings) -> str:
    if isinstance(s, OwnModelSettings):
        return s.called
    assert isinstance(s, NetworkSettings)
    layers = f"{s.layers} {'hidden ' if s.cell == 'MLP' else ''}layer{'s' if s.layers > 1 else ''} of {s.hidden}"
    if isinstance(s, RelativeSettings) and s.members:
        counts = Counter(s.members)
        members = " and ".join(f"{count} {cell}{'s' if count > 1 else ''}" for cell, count in counts.items())
        return f"The mean of {members}, each of {layers}"
    return f"{s.cell}, {layers}"


def _segments(s: TrainedSettings) -> str:
    return f"a target at every hour of {s.segment}-hour segments after {s.burn_in} hours of burn-in"


def _relative_note(s: RelativeSettings) -> str:
    target = "the change of the logarithm of the load" if s.target == "change" else "the logarithm of the load"
    inputs = [
        "the last hour's change and level",
        "the calendar of the " + ("hour to forecast" if s.calendar == "target" else "last hour"),
        *([f"the hours {', '.join(map(str, s.lags))} before it"] if s.lags else []),
        *(["the series"] if s.identity else []),
    ]
    trained = "one target for each window" if s.segment == 1 else _segments(s)
    return (
        f"Forecasts {target} from {', '.join(inputs)}; a forecast depends on {s.lookback} hours. Not in the "
        f"forecasting report. Trained on {trained}. Scales are fitted on the training part."
    )


def _log_results(run: Run, row: str, dataset: EnergyDataset, test: Part, forecasts: Sequence[np.ndarray]) -> None:
    metrics = forecast_metrics(forecasts, actual(dataset, test), dataset.series)
    own = {series: names.per_series(names.SMAPE, series) for series in dataset.series}
    many = set(own.values()) if len(own) > names.MOST_PARTS else set()
    run.log_metrics({name: value for name, value in metrics.items() if name not in many})
    per_series = {
        "series": dataset.series,
        "windows": list(map(len, test)),
        names.SMAPE: [metrics[own[series]] for series in dataset.series],
    }
    log_table(run, pd.DataFrame(per_series), names.SERIES_TABLE)
    predictions = _predictions(dataset, test, forecasts)
    log_columns(run, predictions, names.PREDICTIONS)
    groups = breakdown(predictions, dataset.values[np.concatenate(test) - 1, 0])
    log_table(run, groups, names.BREAKDOWN_DATA)
    draw_breakdown(run, dataset.name, {row: groups})
    shown = [_hours(panel, dataset, test, forecasts) for panel in PANELS if panel.series < len(dataset.series)]
    table = pd.concat(shown)
    log_table(run, table, names.FORECAST_DATA)
    draw_forecasts(run, dataset.name, {row: table})


def _predictions(dataset: EnergyDataset, test: Part, forecasts: Sequence[np.ndarray]) -> pd.DataFrame:
    rows = np.concatenate(test)
    series = np.repeat(np.array(dataset.series), list(map(len, test)))
    return pd.DataFrame(
        {
            "series": pd.Categorical(series, categories=list(dataset.series)),
            "time": dataset.times[rows],
            "holiday": are_holidays(dataset.times[rows], dataset.country),
            "actual_mw": dataset.values[rows, 0],
            "forecast_mw": np.concatenate(forecasts).astype(np.float32),
        }
    )


def _hours(panel: Panel, dataset: EnergyDataset, test: Part, forecasts: Sequence[np.ndarray]) -> pd.DataFrame:
    targets = test[panel.series][panel.hours]
    return pd.DataFrame(
        {
            "panel": panel.name,
            "series": dataset.series[panel.series],
            "time": dataset.times[targets],
            "actual_mw": dataset.values[targets, 0],
            "forecast_mw": forecasts[panel.series][panel.hours],
        }
    )


def draw_forecasts(run: Run, dataset: str, tables: Mapping[str, pd.DataFrame], note: str = "") -> None:
    """Log a figure for each panel, with the actual load and the forecasts of all rows (Figs 7-9).

    Args:
        run: gets the figures.
        dataset: name of the data set.
        tables: row to its table, as logged under names.FORECAST_DATA.
        note: addition to the titles.
    """
    for panel in PANELS:
        hours = {row: table[table["panel"] == panel.name] for row, table in tables.items()}
        shown = next(iter(hours.values()))
        if len(shown):
            text = panel.title.format(series=shown["series"].iloc[0], hours=len(shown))
            title = figures.titled(text, dataset, panel.figure if dataset == PJM else "", note)
            figure = figures.forecasts(
                pd.to_datetime(shown["time"]).to_numpy(),
                shown["actual_mw"].to_numpy(),
                {row: table["forecast_mw"].to_numpy() for row, table in hours.items()},
                title,
            )
            log_figure(run, figure, f"{names.FIGURES}/{panel.name}.png")


def draw_breakdown(run: Run, dataset: str, tables: Mapping[str, pd.DataFrame], note: str = "") -> None:
    """Log a figure of where the error is made, with a line for each row.

    Args:
        run: gets the figure.
        dataset: name of the data set.
        tables: row to its table, as logged under names.BREAKDOWN_DATA.
        note: addition to the title.
    """
    panels = {by: {row: _means(table, by) for row, table in tables.items()} for by in KINDS}
    title = figures.titled("error of the forecasts by their hour and series", dataset, note=note)
    log_figure(run, figures.groups(panels, title, "sMAPE, %, published convention"), names.BREAKDOWN_FIGURE)


def _means(table: pd.DataFrame, by: str) -> dict[str, float]:
    own = table[table["by"] == by]
    return dict(zip(own["group"].astype(str), own[names.SMAPE_REPORT], strict=True))


def draw_curves(run: Run, dataset: str, tables: Mapping[str, pd.DataFrame], note: str = "") -> None:
    """Log a figure of the error during training, with a curve for each row (Fig 10).

    Args:
        run: gets the figure.
        dataset: name of the data set.
        tables: row to its table, as logged under names.CURVE_DATA.
        note: addition to the title.
    """
    lines = {row: (table["update"].to_numpy(), table[names.SMAPE].to_numpy()) for row, table in tables.items()}
    text = "error on a fixed subset of test windows as each model trains"
    title = figures.titled(text, dataset, "Fig 10" if dataset == PJM else "", note)
    log_figure(run, figures.curves(lines, title, "update", "sMAPE, %"), names.CURVE_FIGURE)


def _log_curve(run: Run, row: str, dataset: str) -> None:
    run.flush()
    table = pd.DataFrame(run.history(names.SMAPE_CURVE), columns=["update", names.SMAPE])
    log_table(run, table, names.CURVE_DATA)
    draw_curves(run, dataset, {row: table})


def _log_model(run: Run, network: Forecaster, test: Part) -> None:
    """Log the model, including its scaling; the input example holds the windows of two series' first test hours."""
    windows = [network.window(targets[0], series) for series, targets in enumerate(test)]
    # Two windows, because torch.export would specialise the model to a batch of one.
    example = np.stack(windows[:2] if len(windows) > 1 else windows * 2)
    log = log_own_model if isinstance(network.settings, OwnNetworkSettings) else log_model
    log(run, network.whole(), example)
