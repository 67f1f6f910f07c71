"""Artifacts and metrics that every run on images logs: its data, the accuracy of each class, the confusion matrix."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines import figures, names
from pipelines.data.images.dataset import ImageDataset
from pipelines.tracking.artifacts import log_columns, log_dataset, log_figure, log_json, log_table
from pipelines.tracking.run import Run
from pipelines.training.metrics import class_accuracies, confusion


def log_data(run: Run, dataset: ImageDataset, images: Mapping[str, int]) -> None:
    """Log the digest and the counts of the data and, for each role such as "training", the number of images used."""
    run.set_tags({names.DATA_DIGEST: dataset.digest, names.VERIFIED: str(dataset.verified).lower()})
    for role, count in images.items():
        shape = (count, *dataset.train_images.shape[1:])
        log_dataset(run, dataset.name, dataset.digest, dataset.origin, shape, role)
    log_json(run, dataset.counts, names.DATA_COUNTS)


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
    run.log_metrics({names.per_class(names.TEST_ACCURACY, name): value for name, value in measured.items()})
    table = {"class": dataset.classes, "images": counts.sum(axis=1), names.TEST_ACCURACY: list(accuracies.values())}
    log_table(run, pd.DataFrame(table), names.CLASS_TABLE)
    matrix = pd.DataFrame(counts, columns=dataset.classes)
    matrix.insert(0, "class", dataset.classes)
    log_table(run, matrix, names.CONFUSION_DATA)
    title = figures.titled("test images by true class (row) and predicted class (column)", dataset.name)
    log_figure(run, figures.confusion(counts, dataset.classes, title), names.CONFUSION_FIGURE)
