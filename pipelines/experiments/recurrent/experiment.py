"""The recurrent experiment: Table 1 and Figs 7-10 of the recurrent report, with the baselines it lacks."""

from collections.abc import Sequence
from typing import Any

import torch

from pipelines import names
from pipelines.data.datasets import LOAD, available_dataset, load_energy
from pipelines.data.energy.series import split
from pipelines.data.energy.windows import DenseTask, latest
from pipelines.experiments.base import Context
from pipelines.experiments.recurrent.row import draw_curves, draw_forecasts, run_row
from pipelines.experiments.recurrent.rows import BASELINES, DENSE, RECURRENT, NetworkSettings, read_settings, resolve
from pipelines.launching.choose import choose
from pipelines.launching.jobs import Job
from pipelines.launching.launch import launch
from pipelines.launching.local import fan_out
from pipelines.launching.resume import resume
from pipelines.launching.summary import drawn_of, finished_rows, sum_up, tell
from pipelines.tracking.artifacts import log_json, read_table
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect
from pipelines.training.machine import available_device, available_precision

ENTRY = "recurrent"
SHOWN = (names.SMAPE, names.SMAPE_REPORT, names.MAE_MW, names.RMSE_MW, names.TRAINING_TIME, names.EVALUATION_TIME)


def run(options: dict[str, Any], within: Run | None = None) -> None:
    """Run the entry point.

    Args:
        options: its parameters by name, as `MLproject` has them.
        within: the run of a larger launch that this one belongs to.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    if options["resume"]:
        resume(ENTRY, options, LOAD, read_settings, lambda parent, jobs: _fan_out(parent, jobs, options))
        return
    # All that may be wrong with the input comes before the tracking server: connecting makes a database.
    rows = choose("models", options["models"], list(RECURRENT))
    device = available_device(options["device"])
    precision = available_precision(options["precision"], device)
    dataset = available_dataset(options["dataset"], LOAD, options["data_dir"])
    resolved = options | {"device": device, "precision": precision}
    jobs = [_job(row, seed, dataset, resolved) for row in rows for seed in _seeds(row, options["seeds"])]
    _require_enough_data(jobs, dataset, options)
    connect()
    tags = {names.ENTRY: ENTRY, names.DATASET: dataset, names.TRAINING: options["training"]}
    description = (
        f"Forecasts of the next hour's load on `{dataset}`, {options['training']} training, "
        f"{len(rows)} rows, {options['seeds']} seed(s). Each row is a nested run."
    )
    with launch(f"{ENTRY} {dataset}", tags, options, description, within) as parent:
        log_json(parent, [{"name": job.name, "settings": job.settings.params()} for job in jobs], names.PLAN)
        _fan_out(parent, jobs, options)


def _job(row: str, seed: int, dataset: str, options: dict[str, Any]) -> Job:
    if row in BASELINES:
        return Job(row, resolve(row, dataset, options["training"], 0, options["fraction"]))
    overrides = {name: options[name] or None for name in ("epochs", "batch_size", "lr", "hidden")}
    overrides["dropout"] = None if options["dropout"] < 0 else options["dropout"]
    overrides |= {"device": options["device"], "precision": options["precision"]}
    settings = resolve(row, dataset, options["training"], seed, options["fraction"], options["data_dir"], **overrides)
    return Job(f"{row}-seed{seed}", settings)


def _require_enough_data(jobs: Sequence[Job], dataset: str, options: dict[str, Any]) -> None:
    parts = split(load_energy(dataset, options["data_dir"]))
    train = latest(parts["train"], options["fraction"])
    for settings in (job.settings for job in jobs):
        if isinstance(settings, NetworkSettings) and settings.training == DENSE:
            # It counts its items before it touches a row.
            DenseTask(torch.empty(0), train, settings.segment, settings.burn_in, settings.loss)


def _seeds(row: str, count: int) -> Sequence[int]:
    return [0] if row in BASELINES else range(count)


def _fan_out(parent: Run, jobs: Sequence[Job], options: dict[str, Any]) -> None:
    context = Context(data_dir=options["data_dir"])
    fan_out(parent, ENTRY, jobs, run_row, context, options["jobs"], then=lambda: sum_up(parent, ENTRY, summarise))


def summarise(parent: Run) -> None:
    """Draw all finished rows together on the parent run (one seed of each), and list them in its table."""
    finished = finished_rows(parent, list(RECURRENT))
    if not finished:
        return
    tell(parent, finished, SHOWN, names.SMAPE_REPORT)
    dataset = finished[0].tags[names.DATASET]
    first, note = drawn_of(finished)
    shown = {row: first[row] for row in RECURRENT if row in first}
    draw_forecasts(parent, dataset, {row: read_table(run, names.FORECAST_DATA) for row, run in shown.items()}, note)
    curves = {row: read_table(run, names.CURVE_DATA) for row, run in shown.items() if row not in BASELINES}
    if curves:
        draw_curves(parent, dataset, curves, note)
