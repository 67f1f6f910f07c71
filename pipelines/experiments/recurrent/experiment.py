"""The recurrent experiment: Table 1 and Figs 7-10 of the forecasting report, and baselines, which the report lacks."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipelines import names
from pipelines.cli.seeds import described, first_seeds
from pipelines.common.streams import announce
from pipelines.data.datasets import LOAD, available_dataset, load_energy
from pipelines.data.energy.series import EnergyDataset, Part, part_size, require_positive, split
from pipelines.data.energy.windows import latest, require_reach
from pipelines.data.protocol import PJM
from pipelines.errors import UserError
from pipelines.experiments.base import Context, changed, departures
from pipelines.experiments.own_models import require_model
from pipelines.experiments.own_rows import require_all
from pipelines.experiments.recurrent.compete import tell_seeds
from pipelines.experiments.recurrent.forecaster import checked, updates
from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.experiments.recurrent.row import draw_breakdown, draw_curves, draw_forecasts, run_row
from pipelines.experiments.recurrent.rows import (
    BASELINES,
    DENSE,
    GRADIENT_BOOSTING,
    RECURRENT,
    BaselineSettings,
    NetworkSettings,
    OwnNetworkSettings,
    RelativeSettings,
    TrainedSettings,
    read_settings,
    resolve,
)
from pipelines.launching.experiment import Experiment, Plan
from pipelines.launching.jobs import Job, job
from pipelines.launching.launch import run as launch
from pipelines.launching.summary import drawn_of, logged_tables
from pipelines.tracking.run import Run
from pipelines.training.machine import available_device, available_precision

FEW_WINDOWS = 1000  # of training; the sample has 1,734

AnySettings = TrainedSettings | BaselineSettings


def run(**options: Any) -> str:
    """Run the experiment from Python, with the options of the command line by name.

    A script must call it under ``if __name__ == "__main__"``, since the processes of the rows import the script.

    >>> launched = run(dataset="sample", models="persistence,gru-2", hidden=8, epochs=2)

    Returns:
        The id of the launch's run.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    return launch(EXPERIMENT, RecurrentOptions.of(options))


def plan(options: RecurrentOptions, folder: Path) -> Plan[AnySettings]:
    """Plan a launch.

    Raises:
        UserError: an option is invalid, or the data are missing or too few.
    """
    rows = options.selected.rows
    device = available_device(options.device)
    precision = available_precision(options.precision, device)
    dataset = available_dataset(options.dataset, LOAD, options.data_dir)
    own = require_all(options.selected, {row: _own(row, dataset, options) for row in rows}, _checked)
    jobs = [
        _job(own[row], seed, options, {"device": device, "precision": precision})
        for row in rows
        for seed in _seeds(row, first_seeds(options.seeds))
    ]
    jobs = _suited(jobs, load_energy(dataset, options.data_dir), options)
    return Plan(
        dataset=dataset,
        jobs=jobs,
        context=Context(data_dir=options.data_dir),
        description=f"Forecasts of the next hour's load on `{dataset}`, {options.training} training, "
        f"{len(rows)} rows, {described(options.seeds, options.width)}. Each row is a nested run.",
        training=options.training,
        rows_file=options.selected.text,
    )


def _job(own: AnySettings, seed: int, options: RecurrentOptions, machine: dict[str, str]) -> Job[AnySettings]:
    """The job of a row, from its `own` settings.

    Raises:
        UserError: an option replaces what the row has no setting of.
    """
    trained = isinstance(own, TrainedSettings)
    overrides: dict[str, Any] = options.overrides() if trained else {}
    if isinstance(own, OwnNetworkSettings) and (lacking := overrides.keys() - {each.name for each in fields(own)}):
        name = min(lacking)
        raise UserError(f"{name}={overrides[name]}: {own.row} has a model of its own; give it arguments in its file")
    given = overrides | (machine if trained else {})
    settings = changed(own, seed=seed, fraction=options.fraction, **given)
    return job(settings, departures(settings, own))


def _own(row: str, dataset: str, options: RecurrentOptions) -> AnySettings:
    """The settings of a row, without those that replace its own."""

    def of(like: str) -> NetworkSettings | BaselineSettings:
        return resolve(like, dataset, options.training, 0, 1.0, options.data_dir)

    own = options.selected.settings(row, of)
    assert isinstance(own, (TrainedSettings, BaselineSettings))
    return own


def _checked(settings: AnySettings) -> AnySettings:
    return checked(settings) if isinstance(settings, TrainedSettings) else settings


def _suited(
    jobs: Sequence[Job[AnySettings]], dataset: EnergyDataset, options: RecurrentOptions
) -> list[Job[AnySettings]]:
    """The jobs whose rows the data suit: of groups of rows the others are left out, which is announced.

    Raises:
        UserError: the data do not suit a row that was named, or none of the rows.
    """
    parts = split(dataset)
    train = latest(parts["train"], options.fraction)
    named = {name.strip() for name in options.models.split(",")}
    first = {job.settings.row: job.settings for job in jobs}
    unsuited: dict[str, list[str]] = {}
    for row, settings in first.items():
        try:
            _require_suited(settings, dataset, train, parts["test"])
        except UserError as error:
            if row in named:
                raise
            unsuited.setdefault(str(error), []).append(row)
    left_out = {row for rows in unsuited.values() for row in rows}
    if len(left_out) == len(first):
        raise UserError("; ".join(unsuited))
    for reason, rows in unsuited.items():
        announce(f"left out: {', '.join(rows)}: {reason}")
    if part_size(train) < FEW_WINDOWS and any(isinstance(each, TrainedSettings) for each in first.values()):
        announce(
            f"{part_size(train):,} training windows are few for a network: judge it by the baselines, "
            f"{', '.join(BASELINES)}"
        )
    return [job for job in jobs if job.settings.row not in left_out]


def _require_suited(settings: AnySettings, dataset: EnergyDataset, train: Part, test: Part) -> None:
    """Require that there are enough data for a row, and that it can forecast such loads.

    Raises:
        UserError: there are not, or it cannot.
    """
    if isinstance(settings, RelativeSettings) or settings.row == GRADIENT_BOOSTING:
        require_positive(dataset, train)
    if isinstance(settings, TrainedSettings):
        updates(settings, train)
        require_reach(dataset, test, settings.lookback)


def _seeds(row: str, count: int) -> Sequence[int]:
    return [0] if row in BASELINES else range(count)


def draw(parent: Run, finished: Sequence[Run]) -> None:
    """Log figures of all finished rows, one seed of each, to the parent run, and tell registered ones of all seeds."""
    tell_seeds(finished)
    dataset = finished[0].tags[names.DATASET]
    first, note = drawn_of(finished)
    draw_forecasts(parent, dataset, logged_tables(first, names.FORECAST_DATA), note)
    if groups := logged_tables(first, names.BREAKDOWN_DATA):
        draw_breakdown(parent, dataset, groups, note)
    trained = {row: run for row, run in first.items() if row not in BASELINES}
    if trained:
        draw_curves(parent, dataset, logged_tables(trained, names.CURVE_DATA), note)


EXPERIMENT = Experiment(
    name="recurrent",
    options=RecurrentOptions,
    rows=RECURRENT,
    data=LOAD,
    metrics=(
        names.SMAPE,
        names.SMAPE_REPORT,
        names.MAE_MW,
        names.RMSE_MW,
        names.TRAINING_TIME,
        names.EVALUATION_TIME,
    ),
    main=names.SMAPE_REPORT,
    usual=DENSE,
    parameters=("training", "hidden", "lr", "epochs", "batch_size", "dropout", "fraction"),
    curves=(names.SMAPE_CURVE, names.TRAIN_LOSS),
    published_on=PJM,
    baseline="linear-ar-hourly",
    champion_for="forecast",
    plan=plan,
    work=run_row,
    read=read_settings,
    require=require_model,
    draw=draw,
)
