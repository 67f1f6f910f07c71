"""The ablation experiment: Table 2, Figs 5-7 and Table 1 of the ablation report."""

from collections.abc import Sequence
from typing import Any

from pipelines import names
from pipelines.data.datasets import IMAGES, available_dataset
from pipelines.errors import UserError
from pipelines.experiments.ablation.row import draw_curves, run_row
from pipelines.experiments.ablation.rows import ABLATION, MANUAL, read_settings, resolve_classifier
from pipelines.experiments.base import Context
from pipelines.launching.choose import choose
from pipelines.launching.jobs import Job
from pipelines.launching.launch import launch
from pipelines.launching.local import fan_out
from pipelines.launching.resume import resume
from pipelines.launching.summary import drawn_of, finished_rows, sum_up, tell
from pipelines.tracking.artifacts import log_json, read_table
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect
from pipelines.training.machine import available_device

ENTRY = "ablation"
SHOWN = (names.TRAIN_LOSS, names.TRAIN_ACCURACY, names.TEST_LOSS, names.TEST_ACCURACY, names.SHEET_ACCURACY,
         names.TRAINING_TIME, names.EVALUATION_TIME)  # fmt: skip


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
    rows = _rows(options["variants"], options["backprop"])
    device = available_device(options["device"])
    dataset = available_dataset(options["dataset"], IMAGES, options["data_dir"])
    jobs = [_job(row, seed, dataset, options | {"device": device}) for row in rows for seed in range(options["seeds"])]
    # The slow ones first, so that none is left to run alone at the end.
    jobs.sort(key=lambda job: sum(job.settings.channels), reverse=True)
    connect()
    tags = {names.ENTRY: ENTRY, names.DATASET: dataset, names.TRAINING: options["backprop"]}
    description = (
        f"Classifiers of `{dataset}`: {len(rows)} variants, {options['seeds']} seed(s), gradients by "
        f"{options['backprop']} back-propagation. Each variant is a nested run."
    )
    with launch(f"{ENTRY} {dataset}", tags, options, description, within) as parent:
        log_json(parent, [{"name": job.name, "settings": job.settings.params()} for job in jobs], names.PLAN)
        _fan_out(parent, jobs, options)


def _rows(variants: str, backprop: str) -> list[str]:
    """The variants asked for; of `all`, those that `backprop` can train.

    Raises:
        UserError: unknown, or a convolution by hand.
    """
    perceptrons = [row for row, classifier in ABLATION.items() if not classifier.channels]
    known = perceptrons if backprop == MANUAL and variants.strip() == "all" else list(ABLATION)
    rows = choose("variants", variants, known)
    convolutional = [row for row in rows if row not in perceptrons]
    if backprop == MANUAL and convolutional:
        raise UserError(
            f"backprop={MANUAL}: the formulas are of fully connected layers, {', '.join(convolutional)} has "
            f"convolutions; give variants={','.join(perceptrons)} or backprop=autograd"
        )
    return rows


def _job(row: str, seed: int, dataset: str, options: dict[str, Any]) -> Job:
    overrides = {name: options[name] or None for name in ("epochs", "batch_size", "lr")}
    overrides["device"] = options["device"]
    settings = resolve_classifier(
        row, dataset, options["backprop"], seed, options["fraction"], options["data_dir"], **overrides
    )
    return Job(f"{row}-seed{seed}", settings)


def _fan_out(parent: Run, jobs: Sequence[Job], options: dict[str, Any]) -> None:
    context = Context(data_dir=options["data_dir"])
    fan_out(parent, ENTRY, jobs, run_row, context, options["jobs"], then=lambda: sum_up(parent, ENTRY, summarise))


def summarise(parent: Run) -> None:
    """Draw all finished rows together on the parent run (one seed of each), and list them in its table."""
    finished = finished_rows(parent, list(ABLATION))
    if not finished:
        return
    tell(parent, finished, SHOWN, names.TEST_ACCURACY)
    first, note = drawn_of(finished)
    shown = {row: read_table(first[row], names.EPOCH_DATA) for row in ABLATION if row in first}
    draw_curves(parent, finished[0].tags[names.DATASET], shown, note)
