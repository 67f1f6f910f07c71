"""Training ResNets: for when no weights are to be had, or better ones are wanted. The best goes into the registry."""

from collections.abc import Sequence
from typing import Any

from pipelines import names
from pipelines.data.datasets import IMAGES, available_dataset
from pipelines.experiments.base import Context
from pipelines.experiments.pretrain.row import run_row
from pipelines.experiments.pretrain.rows import read_settings, resolve_pretraining
from pipelines.experiments.resnet.rows import RESNETS
from pipelines.launching.choose import choose
from pipelines.launching.jobs import Job
from pipelines.launching.launch import launch
from pipelines.launching.local import fan_out
from pipelines.launching.resume import resume
from pipelines.launching.summary import finished_rows, sum_up, tell
from pipelines.tracking.artifacts import log_json
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect
from pipelines.training.machine import available_device, available_precision

ENTRY = "pretrain"
SHOWN = (names.VAL_LOSS, names.VAL_ACCURACY, names.TEST_LOSS, names.TEST_ACCURACY, names.TRAINING_TIME,
         names.IMAGES_PER_S)  # fmt: skip


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
        resume(ENTRY, options, IMAGES, read_settings, lambda parent, jobs: _fan_out(parent, jobs, options))
        return
    # All that may be wrong with the input comes before the tracking server: connecting makes a database.
    rows = choose("models", options["models"], list(RESNETS))
    device = available_device(options["device"])
    machine = {"device": device, "precision": available_precision(options["precision"], device)}
    dataset = available_dataset(options["dataset"], IMAGES, options["data_dir"])
    jobs = [_job(row, seed, dataset, options | machine) for row in rows for seed in range(options["seeds"])]
    connect()
    tags = {names.ENTRY: ENTRY, names.DATASET: dataset}
    description = (
        f"ResNets trained on `{dataset}`: {len(rows)} model(s), {options['seeds']} seed(s). Each is a nested run; the "
        "best of each model, by its validation accuracy, is the champion of its name in the model registry."
    )
    with launch(f"{ENTRY} {dataset}", tags, options, description, within) as parent:
        log_json(parent, [{"name": job.name, "settings": job.settings.params()} for job in jobs], names.PLAN)
        _fan_out(parent, jobs, options)


def _job(row: str, seed: int, dataset: str, options: dict[str, Any]) -> Job:
    overrides = {name: options[name] or None for name in ("epochs", "batch_size", "lr", "sides")}
    overrides |= {"device": options["device"], "precision": options["precision"]}
    settings = resolve_pretraining(row, dataset, seed, options["fraction"], options["data_dir"], **overrides)
    return Job(f"{row}-seed{seed}", settings)


def _fan_out(parent: Run, jobs: Sequence[Job], options: dict[str, Any]) -> None:
    # One after the other: each has all cores.
    context = Context(data_dir=options["data_dir"])
    fan_out(parent, ENTRY, jobs, run_row, context, side=1, then=lambda: sum_up(parent, ENTRY, summarise))


def summarise(parent: Run) -> None:
    """List all finished rows in the table of the parent run."""
    if finished := finished_rows(parent, list(RESNETS)):
        tell(parent, finished, SHOWN, names.TEST_ACCURACY)
