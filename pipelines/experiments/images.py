"""Artifacts and metrics that every run on images logs: its data, the accuracy of each class, the confusion matrix."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines import figures, names
from pipelines.data.datasets import load_images
from pipelines.data.images.dataset import ImageDataset
from pipelines.data.protocol import DATA_DIR
from pipelines.errors import UserError
from pipelines.tracking.artifacts import log_array, log_columns, log_figure, log_table, read_columns
from pipelines.tracking.run import Run
from pipelines.training.metrics import class_accuracies, confusion


def log_classes(run: Run, dataset: ImageDataset, probabilities: np.ndarray) -> None:
    """Log the prediction of each image, the accuracy of each class and the confusion matrix.

    Args:
        run: gets them.
        dataset: with n test images of C classes.
        probabilities: (n, C), of the classes of the test images.
    """
    columns = {"label": np.asarray(dataset.test_labels, np.int16)} | {
        f"{names.PROBABILITY}{name}": probabilities[:, number].astype(np.float32)
        for number, name in enumerate(dataset.classes)
    }
    log_columns(run, pd.DataFrame(columns), names.PREDICTIONS)
    counts = confusion(dataset.test_labels, probabilities.argmax(1), dataset.classes)
    accuracies = class_accuracies(counts, dataset.classes)
    # A class without images has no accuracy.
    measured = {name: value for name, value in accuracies.items() if not math.isnan(value)}
    if len(dataset.classes) <= names.MOST_PARTS:
        run.log_metrics({names.per_class(names.TEST_ACCURACY, name): value for name, value in measured.items()})
    table = {"class": dataset.classes, "images": counts.sum(axis=1), names.TEST_ACCURACY: list(accuracies.values())}
    log_table(run, pd.DataFrame(table), names.CLASS_TABLE)
    matrix = pd.DataFrame(counts, columns=dataset.classes)
    matrix.insert(0, "class", dataset.classes)
    log_table(run, matrix, names.CONFUSION_DATA)
    title = figures.titled("test images by true class (row) and predicted class (column)", dataset.name)
    log_figure(run, figures.confusion(counts, dataset.classes, title), names.CONFUSION_FIGURE)


def draw_flips(parent: Run, rows: Mapping[str, Run], note: str = "") -> None:
    """Log which test images the first of `rows` classifies right and each other wrong, and the other way round.

    Nothing is logged where there are none, or the images are not there: a summary may be made up for elsewhere.

    Args:
        parent: gets the table, with a line for each such image of each pair, and the first of them, also as a figure.
        rows: row to a run of it, which has logged its predictions; all on one data set.
        note: addition to the title.
    """
    name = next(iter(rows.values())).tags[names.DATASET]
    try:
        dataset = load_images(name, parent.params.get("data_dir", DATA_DIR).strip("'"))
    except UserError:
        return
    alike = {row: run for row, run in rows.items() if run.tags[names.DATA_DIGEST] == dataset.digest}
    predicted = {row: _predicted(run) for row, run in alike.items()}
    known = {row: classes for row, classes in predicted.items() if classes is not None}
    if len(known) < 2:
        return
    (base, own), *others = known.items()
    labels = np.asarray(dataset.test_labels)
    tables = []
    for row, classes in others:
        sides = [np.flatnonzero((one == labels) & (other != labels)) for one, other in ((own, classes), (classes, own))]
        tables += [
            _flips(base, row, right, images, dataset, own, classes)
            for right, images in zip((base, row), sides, strict=True)
        ]
    table = pd.concat(tables)
    if table.empty:
        return
    shown = figures.flips_shown(table)["image"].tolist()
    images = np.stack([np.asarray(dataset.test_images[image]).transpose(1, 2, 0) for image in shown])
    log_table(parent, table, names.FLIPS_DATA)
    log_array(parent, images, names.FLIPS_IMAGES)
    title = figures.titled("test images that one row classifies right and the other wrong", dataset.name, note=note)
    log_figure(parent, figures.flips(table, images, title), names.FLIPS_FIGURE)


def _predicted(run: Run) -> np.ndarray | None:
    """Predicted classes of the test images, as the run logged them; an earlier version did not."""
    table = read_columns(run, names.PREDICTIONS)
    return None if table is None else table.filter(like=names.PROBABILITY).to_numpy().argmax(1)


def _flips(
    base: str, row: str, right: str, images: np.ndarray, dataset: ImageDataset, own: np.ndarray, classes: np.ndarray
) -> pd.DataFrame:
    named = np.array(dataset.classes)
    return pd.DataFrame(
        {
            "row": row,
            "against": base,
            "right": right,
            "image": images,
            "label": named[np.asarray(dataset.test_labels)[images]],
            "prediction": named[classes[images]],
            "prediction_of_the_other": named[own[images]],
        }
    )
