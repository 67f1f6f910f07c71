"""One row of the ablation experiment: trains, evaluates and logs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines import figures, names
from pipelines.data.datasets import load_images
from pipelines.data.images.batches import EVALUATION_BATCH, evaluate, logits
from pipelines.data.images.dataset import ImageDataset
from pipelines.data.protocol import CIFAR10
from pipelines.experiments import tracked
from pipelines.experiments.ablation.classifier import TrainedClassifier, classifier
from pipelines.experiments.ablation.rows import (
    MANUAL,
    SHEET_CLASSES,
    SHEET_PER_CLASS,
    SHEET_SEED,
    ClassifierSettings,
    ImageSettings,
    OwnClassifierSettings,
)
from pipelines.experiments.base import Context, OwnModelSettings
from pipelines.experiments.data import log_data
from pipelines.experiments.images import log_classes
from pipelines.experiments.own_models import log_own_model, log_source
from pipelines.experiments.tracked import EpochLog, log_costs
from pipelines.tracking.artifacts import log_array, log_figure, log_table
from pipelines.tracking.models import log_model
from pipelines.tracking.run import Run
from pipelines.training.machine import peak_memory

LOSSES = (names.TRAIN_LOSS, names.TEST_LOSS)
ACCURACIES = (names.TRAIN_ACCURACY, names.TEST_ACCURACY)


def run_row(run: Run, settings: ImageSettings, context: Context) -> None:
    """Train and evaluate one row, and log the results to `run`.

    Args:
        run: the active run.
        settings: settings of the row.
        context: surroundings of the run.
    """
    context.reports.phase("loading data")
    dataset = load_images(settings.dataset, context.data_dir)
    if isinstance(settings, OwnClassifierSettings):
        log_source(run, settings)
    trained = classifier(settings, dataset)
    with trained.training as training:
        log_data(run, dataset, {"training": len(trained.train.labels), "evaluation": len(trained.test.labels)})
        callbacks = [EpochLog(run, lambda progress: _measured(trained))]
        tracked.train(run, training, context, _note(trained, len(dataset.classes)), callbacks)
        _log_curves(run, settings.row, dataset.name)
        log_costs(run, training, names.IMAGES_PER_S)
        output = logits(training.model, trained.test, EVALUATION_BATCH)
        probabilities = output.double().softmax(1).cpu().numpy()
        log_classes(run, dataset, probabilities)
        _log_sheet(run, dataset, probabilities.argmax(1))
        run.log_metrics({names.PEAK_MEMORY: peak_memory()})
        context.reports.phase("exporting")
        log = log_own_model if isinstance(settings, OwnClassifierSettings) else log_model
        log(run, training.model.cpu().eval(), np.array(dataset.test_images[:2]))


def _measured(trained: TrainedClassifier) -> dict[str, float]:
    """Loss and accuracy on all training and all test images, for curves; nothing is chosen by them."""
    with trained.training.evaluating():
        train_loss, train_accuracy = evaluate(trained.training.model, trained.train)
        test_loss, test_accuracy = evaluate(trained.training.model, trained.test)
    return {
        names.TRAIN_LOSS: train_loss,
        names.TRAIN_ACCURACY: train_accuracy,
        names.TEST_LOSS: test_loss,
        names.TEST_ACCURACY: test_accuracy,
    }


def _note(trained: TrainedClassifier, classes: int) -> str:
    s = trained.settings
    pixels = "0.5 and 0.5" if s.normalisation == "half" else "the training part's channels"
    return (
        f"**{_form(s, classes)}**, "
        f"{trained.training.parameter_count:,} parameters, seed {s.seed}.\n\n"
        f"Trained on {len(trained.train.labels):,} images of `{s.dataset}`: {s.epochs} epochs, batch "
        f"{s.batch_size}, SGD, lr {s.lr:g}, momentum {s.momentum:g}, cross entropy, on {s.device}, {s.threads} "
        f"thread(s). Pixels normalised by mean and deviation {pixels}. Momentum and normalisation are inferred: the "
        "CNN report does not state them. Loss and accuracy are measured after each epoch on the whole of both sets."
        + ("\n\nGradients by the hand-derived formulas, without autograd." if s.training == MANUAL else "")
        + s.about
    )


def _form(s: ImageSettings, classes: int) -> str:
    if isinstance(s, OwnModelSettings):
        return s.called
    assert isinstance(s, ClassifierSettings)
    convolutions = f"{s.kernel}x{s.kernel} of {', '.join(map(str, s.channels))} channels"
    what = f"CNN, convolutions {convolutions}, then " if s.channels else "MLP, "
    return f"{what}{'-'.join(map(str, (*s.hidden, classes)))}, {s.activation}"


def _log_curves(run: Run, row: str, dataset: str) -> None:
    for metric in LOSSES:
        run.log_best(metric)
    for metric in ACCURACIES:
        run.log_best(metric, max)
    in_order_of_table_2 = (names.TRAIN_LOSS, names.TRAIN_ACCURACY, names.TEST_LOSS, names.TEST_ACCURACY)
    columns = {metric: dict(run.history(metric)) for metric in in_order_of_table_2}
    table = pd.DataFrame(columns).rename_axis("epoch").reset_index()
    log_table(run, table, names.EPOCH_DATA)
    draw_curves(run, dataset, {row: table})


def draw_curves(run: Run, dataset: str, tables: Mapping[str, pd.DataFrame], note: str = "") -> None:
    """Log a figure of the losses and one of the accuracies on both sets during training, with all rows (Figs 5 and 6).

    Args:
        run: gets the figures.
        dataset: name of the data set.
        tables: row to its table, as logged under names.EPOCH_DATA.
        note: addition to the titles.
    """
    for metrics, path, text, figure, unit in (
        (LOSSES, names.LOSS_FIGURE, "loss after each epoch", "Fig 5", "mean cross entropy"),
        (ACCURACIES, names.ACCURACY_FIGURE, "accuracy after each epoch", "Fig 6", "accuracy, %"),
    ):
        title = figures.titled(text, dataset, figure if dataset == CIFAR10 else "", note)
        lines = {
            part: {row: (table["epoch"].to_numpy(), table[metric].to_numpy()) for row, table in tables.items()}
            for part, metric in zip(("training set", "test set"), metrics, strict=True)
        }
        if len(tables) == 1:
            # A single row has one panel with both sets, as in the report.
            ((row, _),) = tables.items()
            lines = {row: {part: line[row] for part, line in lines.items()}}
        log_figure(run, figures.epochs(lines, title, unit), path)


def _log_sheet(run: Run, dataset: ImageDataset, predictions: np.ndarray) -> None:
    """Log test images of up to ten classes, the same for all rows, with their predictions (Fig 7 and Table 1)."""
    drawn = sheet_images(np.asarray(dataset.test_labels))
    labels, predicted = dataset.test_labels[drawn], predictions[drawn]
    accuracy = 100 * float(np.mean(labels == predicted))
    run.log_metrics({names.SHEET_ACCURACY: accuracy})
    table = pd.DataFrame(
        {
            "image": drawn,
            "label": [dataset.classes[label] for label in labels],
            "prediction": [dataset.classes[label] for label in predicted],
        }
    )
    log_table(run, table, names.SHEET_DATA)
    images = dataset.test_images[drawn].transpose(0, 2, 3, 1)
    log_array(run, images, names.SHEET_IMAGES)
    whole = 100 * float(np.mean(predictions == dataset.test_labels))
    text = f"accuracy {accuracy:.0f} % on these {len(drawn)} test images, {whole:.1f} % on all"
    title = figures.titled(text, dataset.name, "Fig 7" if dataset.name == CIFAR10 else "")
    log_figure(
        run, figures.sheet(images, table["label"].tolist(), table["prediction"].tolist(), title), names.SHEET_FIGURE
    )


def sheet_images(labels: np.ndarray) -> np.ndarray:
    """Draw images of SHEET_CLASSES classes at random: their indices in `labels`, (n,), class by class.

    There are SHEET_PER_CLASS of each, or all that it has; of more classes those that are evenly spread over the list.
    """
    rng = np.random.default_rng(SHEET_SEED)
    classes = np.unique(labels)
    chosen = classes[np.linspace(0, len(classes) - 1, min(len(classes), SHEET_CLASSES)).round().astype(int)]
    of_class = (np.flatnonzero(labels == label) for label in chosen)
    return np.concatenate([rng.choice(images, min(SHEET_PER_CLASS, len(images)), replace=False) for images in of_class])
