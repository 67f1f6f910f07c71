"""The ablation experiment: Table 2, Figs 5-7 and Table 1 of the CNN report."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import names
from pipelines.cli.seeds import described, first_seeds
from pipelines.data.datasets import IMAGES, available_dataset, load_images
from pipelines.data.protocol import CIFAR10
from pipelines.errors import UserError
from pipelines.experiments.ablation.classifier import checked
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.ablation.row import draw_curves, run_row
from pipelines.experiments.ablation.rows import (
    ABLATION,
    AUTOGRAD,
    MANUAL,
    ClassifierSettings,
    ImageSettings,
    read_settings,
    resolve_classifier,
)
from pipelines.experiments.base import Context, changed, departures
from pipelines.experiments.images import draw_flips
from pipelines.experiments.own_models import require_model
from pipelines.experiments.own_rows import ALL, MODEL, Selection, require_all
from pipelines.launching.experiment import Experiment, Plan
from pipelines.launching.jobs import job
from pipelines.launching.launch import run as launch
from pipelines.launching.summary import drawn_of, logged_tables
from pipelines.tracking.run import Run
from pipelines.training.machine import available_device


def run(**options: Any) -> str:
    """Run the experiment from Python, with the options of the command line by name.

    A script must call it under ``if __name__ == "__main__"``, since the processes of the rows import the script.

    >>> launched = run(dataset="sample", variants="mlp-2", epochs=1, fraction=0.1)

    Returns:
        The id of the launch's run.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    return launch(EXPERIMENT, AblationOptions.of(options))


def plan(options: AblationOptions, folder: Path) -> Plan[ImageSettings]:
    """Plan a launch.

    Raises:
        UserError: an option is invalid, or the data are missing.
    """
    selected = options.selected
    rows = _rows(options)
    device = available_device(options.device)
    dataset = available_dataset(options.dataset, IMAGES, options.data_dir)
    given = options.overrides() | {"device": device}
    own = require_all(
        selected,
        {row: _own(row, dataset, options) for row in rows},
        lambda each: checked(each, load_images(dataset, options.data_dir)),
    )
    settings = [
        changed(own[row], seed=seed, fraction=options.fraction, **given)
        for row in rows
        for seed in range(first_seeds(options.seeds))
    ]
    # The slowest first, so that none of them runs alone at the end.
    settings.sort(key=_width, reverse=True)
    return Plan(
        dataset=dataset,
        jobs=[job(each, departures(each, own[each.row])) for each in settings],
        context=Context(data_dir=options.data_dir),
        description=f"Classifiers of `{dataset}`: {len(rows)} variants, {described(options.seeds, options.width)}, "
        f"gradients by {options.backprop} back-propagation. Each variant is a nested run.",
        training=options.backprop,
        rows_file=selected.text,
    )


def _own(row: str, dataset: str, options: AblationOptions) -> ImageSettings:
    """The settings of a row, without those that replace its own."""

    def of(like: str) -> ClassifierSettings:
        return resolve_classifier(like, dataset, options.backprop, 0, 1.0, options.data_dir)

    own = options.selected.settings(row, of)
    assert isinstance(own, ImageSettings)
    return own


def _width(settings: ImageSettings) -> float:
    """What the time of a row goes by: the channels of its network; nothing is known of one of the user's own."""
    return sum(settings.channels) if isinstance(settings, ClassifierSettings) else math.inf


def _rows(options: AblationOptions) -> Sequence[str]:
    """The requested variants; for `all`, those that `backprop` can train.

    Raises:
        UserError: a variant has convolutions, and `backprop` is manual.
    """
    rows = options.selected.rows
    if options.backprop != MANUAL:
        return rows
    beyond = {row: why for row in rows if (why := _beyond_formulas(row, options.selected))}
    if options.variants.strip() == ALL and len(beyond) < len(rows):
        return [row for row in rows if row not in beyond]
    if beyond:
        known = ",".join(row for row, classifier in ABLATION.items() if not classifier.channels)
        raise UserError(
            f"backprop={MANUAL}: the formulas are of fully connected layers, {', '.join(beyond)} has "
            f"{' or '.join(dict.fromkeys(beyond.values()))}; give variants={known} or backprop=autograd"
        )
    return rows


def _beyond_formulas(row: str, selected: Selection) -> str:
    """What a row has that the formulas of the gradients are not of; "" if they are of all that it has."""
    own = selected.own.get(row)
    if own and MODEL in own.changes:
        return "a model of its own"
    channels = own.changes.get("channels", ABLATION[own.like].channels) if own else ABLATION[row].channels
    return "convolutions" if channels else ""


def draw(parent: Run, finished: Sequence[Run]) -> None:
    """Log figures of all finished rows, one seed of each, to the parent run."""
    first, note = drawn_of(finished)
    dataset = finished[0].tags[names.DATASET]
    draw_curves(parent, dataset, logged_tables(first, names.EPOCH_DATA), note)
    draw_flips(parent, first, note)


EXPERIMENT = Experiment(
    name="ablation",
    options=AblationOptions,
    rows=ABLATION,
    data=IMAGES,
    metrics=(
        names.TRAIN_LOSS,
        names.TRAIN_ACCURACY,
        names.TEST_LOSS,
        names.TEST_ACCURACY,
        names.SHEET_ACCURACY,
        names.TRAINING_TIME,
        names.EVALUATION_TIME,
    ),
    main=names.TEST_ACCURACY,
    usual=AUTOGRAD,
    parameters=("training", "lr", "epochs", "batch_size", "fraction"),
    curves=(names.TEST_ACCURACY, names.TEST_LOSS, names.TRAIN_LOSS),
    published_on=CIFAR10,
    baseline="cnn",
    plan=plan,
    work=run_row,
    read=read_settings,
    require=require_model,
    draw=draw,
)
