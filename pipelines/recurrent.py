"""The recurrent experiment: Table 1 and Figs 7-10 of the recurrent report, with the baselines it lacks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipelines import names, tracking
from pipelines.catalogue import BASELINES, DENSE, PJM, RECURRENT, SAMPLE, resolve
from pipelines.data import energy
from pipelines.data.windows import DenseTask, latest
from pipelines.errors import UserError
from pipelines.recurrent_row import draw_curves, draw_forecasts, run_row
from pipelines.runner import Job, announce, choose, fan_out, launch, supervised

ENTRY = "recurrent"


def run(options: dict[str, Any], within: tracking.Run | None = None) -> None:
    """Run the entry point.

    Args:
        options: its parameters by name, as `MLproject` has them.
        within: the run of a larger launch that this one belongs to.

    Raises:
        UserError: before any run is made.
        RuntimeError: rows failed.
    """
    if options["resume"]:
        _resume(options)
        return
    # All that may be wrong with the input comes before the tracking server: connecting makes a database.
    rows = choose("models", options["models"], list(RECURRENT))
    device, precision = device_and_precision(options["device"], options["precision"])
    dataset = available_dataset(options["dataset"], options["data_dir"])
    resolved = options | {"device": device, "precision": precision}
    jobs = [_job(row, seed, dataset, resolved) for row in rows for seed in _seeds(row, options["seeds"])]
    _require_enough_data(jobs, dataset, options)
    tracking.connect()
    tags = {names.ENTRY: ENTRY, names.DATASET: dataset, names.TRAINING: options["training"]}
    description = (
        f"Forecasts of the next hour's load on `{dataset}`, {options['training']} training, "
        f"{len(rows)} rows, {options['seeds']} seed(s). Each row is a nested run."
    )
    with launch(f"{ENTRY} {dataset}", tags, options, description, within) as parent:
        parent.log_json([{"name": job.name, "settings": job.settings} for job in jobs], names.PLAN)
        _fan_out(parent, jobs, options)


def available_dataset(given: str, data_dir: str) -> str:
    """The data set to use: `auto` is the report's where it has been prepared, else the sample, and says so.

    Raises:
        UserError: `pjm` is asked for, not prepared, and cannot be downloaded; or `auto` finds it damaged.
    """
    if given == "auto":
        if (Path(data_dir) / PJM / energy.META_FILE).exists():
            energy.load(PJM, data_dir)
            return PJM
        announce(
            "dataset=auto: no PJM data in "
            f"{data_dir}, using the embedded sample; for the real series: "
            f"python -m pipelines prepare --dataset pjm --data-dir {data_dir}"
        )
        return SAMPLE
    if not energy.is_prepared(given, data_dir):
        try:
            energy.prepare(given, data_dir)
        except UserError as error:
            command = f"python -m pipelines prepare --dataset {given} --data-dir {data_dir}"
            raise UserError(f"dataset={given} is not prepared, and `{command}` says: {error}") from error
    return given


def device_and_precision(device: str, precision: str) -> tuple[str, str]:
    """What `auto` stands for here: a GPU if there is one, and bf16 where the hardware computes in it.

    Raises:
        UserError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={device} is not to be had here: give device=auto or device=cpu") from error
    if precision == "auto":
        if device == "cpu":
            capabilities = torch.cpu.get_capabilities()
            has_bf16 = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
        else:
            has_bf16 = torch.cuda.is_bf16_supported()
        precision = "bf16" if has_bf16 else "fp32"
    return device, precision


def _job(row: str, seed: int, dataset: str, options: dict[str, Any]) -> Job:
    if row in BASELINES:
        return Job(row, resolve(row, dataset, options["training"], 0, options["fraction"]))
    overrides = {name: options[name] or None for name in ("epochs", "batch_size", "lr", "hidden")}
    overrides["dropout"] = None if options["dropout"] < 0 else options["dropout"]
    settings = resolve(row, dataset, options["training"], seed, options["fraction"], **overrides)
    settings |= {"device": options["device"], "precision": options["precision"]}
    return Job(f"{row}-seed{seed}", settings, settings["threads"] * settings["replicas"])


def _require_enough_data(jobs: Sequence[Job], dataset: str, options: dict[str, Any]) -> None:
    parts = energy.split(energy.load(dataset, options["data_dir"]))
    train = latest(parts["train"], options["fraction"])
    for settings in (job.settings for job in jobs):
        if settings["training"] == DENSE:
            # It counts its items before it touches a row.
            DenseTask(torch.empty(0), train, settings["segment"], settings["burn_in"], settings["loss"])


def _seeds(row: str, count: int) -> Sequence[int]:
    return [0] if row in BASELINES else range(count)


def _fan_out(parent: tracking.Run, jobs: Sequence[Job], options: dict[str, Any]) -> None:
    try:
        fan_out(parent, ENTRY, jobs, run_row, {"data_dir": options["data_dir"]}, options["jobs"])
    finally:
        summarise(parent)


def summarise(parent: tracking.Run) -> None:
    """Draw all finished rows together on the parent run (one seed of each), and list them in its table."""
    finished = [run for run in parent.children() if run.status == tracking.FINISHED]
    if not finished:
        return
    results, curves, forecasts = [], {}, {}
    for child in finished:
        tags, metrics = child.tags, child.metrics
        row = tags[names.ROW]
        shown = (
            names.SMAPE,
            names.SMAPE_REPORT,
            names.MAE_MW,
            names.RMSE_MW,
            names.TRAINING_TIME,
            names.EVALUATION_TIME,
        )
        results.append({names.ROW: row, names.SEED: tags[names.SEED]} | {name: metrics.get(name) for name in shown})
        if row not in forecasts:
            forecasts[row] = child.read_table(names.FORECAST_DATA)
            if row not in BASELINES:
                curves[row] = child.read_table(names.CURVE_DATA)
    order = list(RECURRENT)
    table = pd.DataFrame(results).sort_values(by=[names.ROW, names.SEED], key=_catalogue_order)
    parent.log_table(table, names.COMPARISON)
    draw_forecasts(parent, {row: forecasts[row] for row in order if row in forecasts})
    if curves:
        draw_curves(parent, {row: curves[row] for row in order if row in curves})


def _catalogue_order(column: pd.Series) -> pd.Series:
    return column.map(list(RECURRENT).index) if column.name == names.ROW else column


def _resume(options: dict[str, Any]) -> None:
    """Continue a run, or all rows of a launch that have not finished, with the settings they were started with."""
    tracking.connect(existing=True)
    asked = tracking.Run.existing(options["resume"])
    parent = asked.parent or asked
    plan = parent.read_json(names.PLAN)
    if plan is None or parent.tags.get(names.ENTRY) != ENTRY:
        raise UserError(f"resume={asked.id}: not a run of {ENTRY}: give the id of one of its rows or of their parent")
    begun = {child.tags[names.RUN_NAME]: child for child in parent.children()}
    jobs = []
    for job in plan:
        child = begun.get(job["name"])
        wanted = asked.id == parent.id or (child is not None and child.id == asked.id)
        if wanted and (child is None or child.status != tracking.FINISHED):
            settings = job["settings"]
            cores = settings.get("threads", 1) * settings.get("replicas", 1)
            jobs.append(Job(job["name"], settings, cores, child.id if child else ""))
    if not jobs:
        raise UserError(f"resume={asked.id}: nothing is left to do, all its rows have finished")
    if working := next((run for run in (parent, *begun.values()) if run.is_alive), None):
        raise UserError(f"resume={asked.id}: process {working.tags[names.PID]} is at work on it: wait, or end it first")
    _require_same_data(parent, begun.values(), jobs[0].settings["dataset"], options["data_dir"])
    with supervised():
        if launched := os.environ.get("MLFLOW_RUN_ID"):
            note = f"Continued {len(jobs)} row(s) of run {parent.id}, where the results are."
            tracking.Run(launched).set_tags({names.RESUMES: parent.id, names.DESCRIPTION: note})
        with parent.active():
            _fan_out(parent, jobs, options)


def _require_same_data(parent: tracking.Run, begun: Sequence[tracking.Run], name: str, data_dir: str) -> None:
    if not energy.is_prepared(name, data_dir):
        raise UserError(f"{name} is not prepared in {data_dir}: python -m pipelines prepare --dataset {name}")
    digest = energy.load(name, data_dir).digest
    other = [child for child in begun if child.tags.get(names.DATA_DIGEST, digest) != digest]
    if other:
        raise UserError(f"resume={parent.id}: the data in {data_dir} are not those it was trained on (other digest)")
