"""Evaluating pretrained ResNets on a test set: accuracies and Fig 6 of the recurrent and ResNet report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines import figures, names
from pipelines.common.streams import announce
from pipelines.data.datasets import IMAGES, available_dataset
from pipelines.data.protocol import CIFAR10
from pipelines.errors import UserError
from pipelines.experiments.base import NO_TRAINING
from pipelines.experiments.resnet.row import EvaluationContext, run_row
from pipelines.experiments.resnet.rows import RESNETS, EvaluationSettings
from pipelines.experiments.resnet.weights import NoWeightsError, Weights, find, handed_over
from pipelines.launching.choose import choose
from pipelines.launching.jobs import Job
from pipelines.launching.launch import launch
from pipelines.launching.local import fan_out
from pipelines.launching.summary import finished_rows, sum_up, tell
from pipelines.processes import scratch
from pipelines.tracking.artifacts import log_figure, log_json, log_table
from pipelines.tracking.models import registered_weights
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect
from pipelines.training.machine import available_device, inference_precisions

ENTRY = "resnet"
SHOWN = (names.TEST_ACCURACY, names.TEST_LOSS, names.TEST_TOP5_ACCURACY, names.CALIBRATION_ERROR, names.IMAGES_PER_S,
         names.PARAMETERS, names.MULTIPLY_ADDS)  # fmt: skip


def run(options: dict[str, Any], within: Run | None = None) -> None:
    """Run the entry point.

    Args:
        options: its parameters by name, as `MLproject` has them.
        within: the run of a larger launch that this one belongs to.

    Raises:
        UserError: before any run is made; weights that are absent or refused among it.
        FailedRunsError: rows failed.
    """
    rows = choose("models", options["models"], list(RESNETS))
    device = available_device(options["device"])
    precision = ",".join(inference_precisions(options["precision"], device))
    dataset = available_dataset(options["dataset"], IMAGES, options["data_dir"])
    connect()
    with scratch.folder() as folder:
        found = _found(rows, dataset, options, folder)
        context = EvaluationContext(
            data_dir=options["data_dir"],
            weights={row: handed_over(weights, folder / f"{row}.safetensors") for row, weights in found.items()},
        )
        resolved = options | {"device": device, "precision": precision}
        jobs = [Job(row, _settings(row, weights, dataset, resolved)) for row, weights in found.items()]
        tags = {names.ENTRY: ENTRY, names.DATASET: dataset, names.TRAINING: NO_TRAINING}
        description = f"Pretrained ResNets on the test part of `{dataset}`: each of {len(rows)} is a nested run."
        with launch(f"{ENTRY} {dataset}", tags, options, description, within) as parent:
            log_json(parent, [{"name": job.name, "settings": job.settings.params()} for job in jobs], names.PLAN)
            # One after the other: each has all cores, and its images a second are measured.
            fan_out(parent, ENTRY, jobs, run_row, context, side=1, then=lambda: sum_up(parent, ENTRY, summarise))


def _found(rows: Sequence[str], dataset: str, options: dict[str, Any], folder: Path) -> dict[str, Weights]:
    """The weights of each row, after saying what there is to say of them.

    Raises:
        UserError: there are none, or they are refused.
    """

    def champion(name: str, alias: str) -> tuple[Path, object] | None:
        return registered_weights(name, alias, folder)

    request = (options["weights"], options["data_dir"], options["stem"], options["normalisation"])
    found, absent = {}, []
    for row in rows:
        try:
            found[row] = find(row, *request, champion, dataset, options["weights_key"])
        except NoWeightsError:
            absent.append(row)
    if absent:
        models = ",".join(absent)
        raise UserError(
            f"there are no weights of {models} for {dataset}, which nobody publishes any for; train them: "
            f"python -m pipelines pretrain --dataset {dataset} --models {models}"
        )
    for row, weights in found.items():
        for text in (f"weights of {weights.origin}, read as {weights.dialect}", *weights.notes):
            announce(f"{row}: {text}")
    return found


def _settings(row: str, weights: Weights, dataset: str, options: dict[str, Any]) -> EvaluationSettings:
    return EvaluationSettings(
        row=row,
        dataset=dataset,
        training=NO_TRAINING,
        seed=0,
        weights=options["weights"],
        origin=weights.origin,
        sha256=weights.sha256,
        dialect=weights.dialect,
        stem=weights.stem,
        shortcut=weights.shortcut,
        mean=weights.mean,
        deviation=weights.deviation,
        batch_size=options["batch_size"] or RESNETS[row].batch_size,
        device=options["device"],
        precision=options["precision"],
        weights_key=options["weights_key"],
    )


def summarise(parent: Run) -> None:
    """List the finished models in the parent's table, and draw their accuracies (Fig 6)."""
    finished = finished_rows(parent, list(RESNETS))
    if not finished:
        return
    tell(parent, finished, SHOWN, names.TEST_ACCURACY)
    draw_accuracies(parent, finished)


def draw_accuracies(run: Run, rows: Sequence[Run]) -> None:
    """Log the bar chart of Fig 6, and its data, to `run`; published figures only beside those on the same data."""
    dataset = rows[0].tags[names.DATASET]
    published = {row: residual.published.figures for row, residual in RESNETS.items()} if dataset == CIFAR10 else {}
    models = [row.tags[names.ROW] for row in rows]
    table = pd.DataFrame(
        {
            names.ROW: models,
            "measured": [row.metrics[names.TEST_ACCURACY] for row in rows],
            "published": [published.get(model, {}).get(names.TEST_ACCURACY) for model in models],
        }
    )
    log_table(run, table, names.CHART_DATA)
    series = {name: table[name].astype(float).tolist() for name in ("measured", *(["published"] if published else []))}
    title = figures.titled("accuracy on the test set", dataset, "Fig 6" if published else "")
    log_figure(run, figures.bars(models, series, title, "accuracy, %"), names.CHART_FIGURE)
