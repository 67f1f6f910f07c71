"""Evaluation of pretrained ResNets on a test set: accuracies and Fig 6 of the forecasting report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines import figures, names
from pipelines.common.choices import choose
from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.data.datasets import IMAGES, available_dataset, load_images
from pipelines.data.files.meta import elsewhere
from pipelines.data.protocol import CIFAR10
from pipelines.errors import UserError
from pipelines.experiments.base import NO_TRAINING, published_figure
from pipelines.experiments.images import draw_flips
from pipelines.experiments.resnet.find import find
from pipelines.experiments.resnet.locate import NoWeightsError
from pipelines.experiments.resnet.options import ResnetOptions
from pipelines.experiments.resnet.row import EvaluationContext, run_row
from pipelines.experiments.resnet.rows import RESNETS, EvaluationSettings, read_settings
from pipelines.experiments.resnet.weights import Weights, handed_over
from pipelines.launching.experiment import Experiment, Plan
from pipelines.launching.jobs import job
from pipelines.launching.launch import run as launch
from pipelines.tracking.artifacts import log_figure, log_table
from pipelines.tracking.models import registered_weights
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect, is_set_up
from pipelines.training.machine import available_device, inference_precisions


def run(**options: Any) -> str:
    """Run the experiment from Python, with the options of the command line by name.

    A script must call it under ``if __name__ == "__main__"``, since the processes of the rows import the script.

    >>> launched = run(dataset="sample", models="resnet20", precision="fp32")

    Returns:
        The id of the launch's run.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    return launch(EXPERIMENT, ResnetOptions.of(options))


def plan(options: ResnetOptions, folder: Path) -> Plan[EvaluationSettings]:
    """Plan a launch, and write the weights of each row to `folder`.

    Raises:
        UserError: an option is invalid, or data or weights are missing or invalid.
    """
    rows = choose(options.models, list(RESNETS))
    device = available_device(options.device)
    precision = ",".join(inference_precisions(options.precision, device))
    dataset = available_dataset(options.dataset, IMAGES, options.data_dir)
    # Needed for the champions, which are in the registry. A dry run makes no database for them.
    if is_set_up() or not options.dry_run:
        connect()
    found = _find_weights(rows, dataset, options, folder)
    return Plan(
        dataset=dataset,
        jobs=[
            job(settings_of(row, weights, dataset, options, device, precision), _overridden(row, options))
            for row, weights in found.items()
        ],
        context=EvaluationContext(
            data_dir=options.data_dir,
            weights={row: handed_over(weights, folder / f"{row}.safetensors") for row, weights in found.items()},
        ),
        description=f"Pretrained ResNets on the test part of `{dataset}`: each of {len(rows)} is a nested run.",
        training=NO_TRAINING,
    )


def _overridden(row: str, options: ResnetOptions) -> dict[str, object]:
    """The options that say what is evaluated, where they are not the defaults; of a path, the last part."""
    given = {name: getattr(options, name) for name in ("weights", "weights_key", "stem", "normalisation")}
    given = {name: Path(value).name for name, value in given.items() if value != getattr(ResnetOptions(), name)}
    batch_size = options.batch_size or RESNETS[row].batch_size
    return given | ({"batch_size": batch_size} if batch_size != RESNETS[row].batch_size else {})


def _find_weights(rows: Sequence[str], dataset: str, options: ResnetOptions, folder: Path) -> dict[str, Weights]:
    """Find the weights of each row, and announce where they are from.

    Raises:
        UserError: there are none for a row, or they are invalid.
    """

    def champion(name: str, alias: str) -> tuple[Path, object] | None:
        return registered_weights(name, alias, folder) if is_set_up() else None

    classes = len(load_images(dataset, options.data_dir).classes)
    request = (options.weights, options.data_dir, options.stem, options.normalisation)
    found, absent = {}, []
    for row in rows:
        try:
            found[row] = find(row, *request, champion, dataset, options.weights_key, classes)
        except NoWeightsError:
            absent.append(row)
    if absent:
        models = ",".join(absent)
        given = f"--dataset {dataset} --models {models}{elsewhere(options.data_dir)}"
        remedy = hint(f"python -m pipelines pretrain {given}")
        raise UserError(f"there are no weights of {models} for {dataset}, and none are published; train them: {remedy}")
    for row, weights in found.items():
        for text in (f"weights of {weights.origin}, read as {weights.dialect}", *weights.notes):
            announce(f"{row}: {text}")
    return found


def surroundings(settings: EvaluationSettings, data_dir: str, folder: Path) -> EvaluationContext:
    """Find the weights of an earlier evaluation again, and write them to `folder`.

    Raises:
        UserError: they are not there any more, or are others.
    """
    row = settings.row

    def champion(name: str, alias: str) -> tuple[Path, object] | None:
        return registered_weights(name, alias, folder)

    normalisation = ",".join(map(str, (*settings.mean, *settings.deviation)))
    request = (row, settings.weights, data_dir, settings.stem, normalisation, champion, settings.dataset)
    weights = find(*request, settings.weights_key)
    if weights.sha256 != settings.sha256:
        raise UserError(
            f"weights={settings.weights} are other weights of {row} now: sha256 {weights.sha256[:12]} of "
            f"{weights.origin}, then {settings.sha256[:12]} of {settings.origin}"
        )
    return EvaluationContext(data_dir=data_dir, weights={row: handed_over(weights, folder / f"{row}.safetensors")})


def settings_of(
    row: str, weights: Weights, dataset: str, options: ResnetOptions, device: str, precision: str
) -> EvaluationSettings:
    """Resolve the full settings of the evaluation of one ResNet.

    Args:
        row: key of rows.RESNETS.
        weights: weights of the row.
        dataset: name of the data set.
        options: options of the launch.
        device: "cpu" or a CUDA device.
        precision: precisions to try, the fastest first, comma separated.
    """
    return EvaluationSettings(
        row=row,
        dataset=dataset,
        training=NO_TRAINING,
        seed=0,
        weights=options.weights,
        origin=weights.origin,
        sha256=weights.sha256,
        dialect=weights.dialect,
        stem=weights.stem,
        shortcut=weights.shortcut,
        mean=weights.mean,
        deviation=weights.deviation,
        batch_size=options.batch_size or RESNETS[row].batch_size,
        device=device,
        precision=precision,
        weights_key=options.weights_key,
    )


def draw(parent: Run, finished: Sequence[Run]) -> None:
    """Log the accuracies of all finished rows, and the images that they classify differently, to the parent run."""
    draw_accuracies(parent, finished)
    draw_flips(parent, {run.tags[names.ROW]: run for run in finished})


def draw_accuracies(run: Run, rows: Sequence[Run]) -> None:
    """Log the bar chart of Fig 6 and its data to `run`; with published figures only if they are of the same data."""
    dataset = rows[0].tags[names.DATASET]
    models = [row.tags[names.ROW] for row in rows]
    compares = dataset == CIFAR10
    published = [published_figure(RESNETS[model], names.TEST_ACCURACY) if compares else None for model in models]
    table = pd.DataFrame(
        {
            names.ROW: models,
            "measured": [row.metrics[names.TEST_ACCURACY] for row in rows],
            "published": published,
        }
    )
    log_table(run, table, names.CHART_DATA)
    series = {name: table[name].astype(float).tolist() for name in ("measured", *(["published"] if compares else []))}
    title = figures.titled("accuracy on the test set", dataset, "Fig 6" if compares else "")
    log_figure(run, figures.bars(models, series, title, "accuracy, %"), names.CHART_FIGURE)


EXPERIMENT = Experiment(
    name="resnet",
    options=ResnetOptions,
    rows=RESNETS,
    data=IMAGES,
    metrics=(
        names.TEST_ACCURACY,
        names.TEST_LOSS,
        names.TEST_TOP5_ACCURACY,
        names.CALIBRATION_ERROR,
        names.IMAGES_PER_S,
        names.WEIGHT_COUNT,
        names.MULTIPLY_ADDS,
    ),
    main=names.TEST_ACCURACY,
    parameters=("weights", "stem", "precision", "batch_size"),
    published_on=CIFAR10,
    plan=plan,
    work=run_row,
    surroundings=surroundings,
    read=read_settings,
    draw=draw,
)
