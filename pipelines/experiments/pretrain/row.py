"""One pretraining: trains, evaluates and logs a classifier, and registers it."""

import numpy as np
import pandas as pd
import torch

from pipelines import figures, names
from pipelines.data.datasets import load_images
from pipelines.data.images.batches import loss_and_accuracy
from pipelines.data.images.dataset import ImageDataset
from pipelines.experiments import tracked
from pipelines.experiments.base import Context
from pipelines.experiments.data import log_data
from pipelines.experiments.images import log_classes
from pipelines.experiments.pretrain.rows import PretrainingSettings
from pipelines.experiments.pretrain.trainer import TrainedClassifier, pretraining
from pipelines.experiments.tracked import EpochLog, log_costs
from pipelines.tracking.artifacts import log_figure, log_json, log_table, log_tensors
from pipelines.tracking.models import log_model, register
from pipelines.tracking.run import Run
from pipelines.training.loop import Progress
from pipelines.training.machine import peak_memory

CURVES = (names.TRAIN_LOSS, names.VAL_LOSS, names.VAL_ACCURACY)


def run_row(run: Run, settings: PretrainingSettings, context: Context) -> None:
    """Train and evaluate one network, log the results to `run`, and register the model.

    Args:
        run: the active run.
        settings: settings of the row.
        context: surroundings of the run.
    """
    context.reports.phase("loading data")
    dataset = load_images(settings.dataset, context.data_dir)

    trained = pretraining(settings, dataset)
    with trained.training as training:
        parts = {"training": trained.train, "validation": trained.validation, "evaluation": trained.test}
        log_data(run, dataset, {role: len(part.labels) for role, part in parts.items()})
        callbacks = [EpochLog(run, lambda progress: _validated(trained, progress))]
        tracked.train(run, training, context, _note(trained), callbacks)
        _log_curves(run, dataset.name)
        _log_test(run, dataset, trained)
        log_costs(run, training, names.IMAGES_PER_S)
        run.log_metrics({names.PEAK_MEMORY: peak_memory()})
        context.reports.phase("exporting")
        _register(run, dataset, trained)


def _validated(trained: TrainedClassifier, progress: Progress) -> dict[str, float]:
    """Loss and, on the validation part if there is one, loss and accuracy after an epoch."""
    if not len(trained.validation.labels):
        return {names.TRAIN_LOSS: progress.epoch_loss}
    with trained.training.evaluating():
        loss, accuracy = trained.loss_and_accuracy(trained.validation)
    return {names.TRAIN_LOSS: progress.epoch_loss, names.VAL_LOSS: loss, names.VAL_ACCURACY: accuracy}


def _note(trained: TrainedClassifier) -> str:
    s = trained.settings
    muon = f", but kernels by Muon of momentum {s.muon_momentum:g} to lr {s.muon_lr:g}" if s.muon_lr else ""
    summed = " for the sum of a batch's losses" if s.summed else ""
    cutout = f", a square of {s.cutout} pixels of mean colour" if s.cutout else ""
    held_out = (
        f"{len(trained.validation.labels):,} training images are held out for validation"
        if len(trained.validation.labels)
        else "No training image is held out"
    )
    return (
        f"**{s.row}**, stem {s.stem}, {trained.training.parameter_count:,} parameters, seed {s.seed}.\n\n"
        f"Trained on {len(trained.train.labels):,} images of `{s.dataset}`, moved by up to {s.shift} pixels "
        f"({s.padding}), with {s.flips} flips{cutout}: {s.epochs} epochs, batch {s.batch_size}, SGD with Nesterov "
        f"momentum {s.momentum:g} to lr {s.lr:g}{summed}{muon}, {s.annealing} annealing after {100 * s.warm_up:g} % of "
        f"the updates, weight decay {s.weight_decay:g}, label smoothing {s.smoothing:g}, {s.precision} on {s.device}, "
        f"{s.replicas} replica(s) of {s.threads} thread(s). Images are scaled to {' then '.join(map(str, s.sides))} "
        f"pixels, each for an equal share of the epochs. {held_out}; the test part is evaluated once, at the end."
        f"{s.about}"
    )


def _log_curves(run: Run, dataset: str) -> None:
    histories = {metric: dict(run.history(metric)) for metric in CURVES}
    known = [metric for metric, history in histories.items() if history]
    for metric in known:
        run.log_best(metric, max if metric == names.VAL_ACCURACY else min)
    table = pd.DataFrame({metric: histories[metric] for metric in known}).rename_axis("epoch").reset_index()
    log_table(run, table, names.EPOCH_DATA)
    steps = table["epoch"].to_numpy()
    for path, title, unit, lines in (
        (names.LOSS_FIGURE, "loss after each epoch", "cross entropy", CURVES[:2]),
        (names.ACCURACY_FIGURE, "accuracy on the validation part after each epoch", "accuracy, %", CURVES[2:]),
    ):
        shown = {metric: (steps, table[metric].to_numpy()) for metric in lines if metric in known}
        if not shown:
            continue
        log_figure(run, figures.epochs({run.tags[names.ROW]: shown}, figures.titled(title, dataset), unit), path)


def _log_test(run: Run, dataset: ImageDataset, trained: TrainedClassifier) -> None:
    with trained.training.evaluating():
        output = trained.logits(trained.test)
    loss, accuracy = loss_and_accuracy(output, trained.test.labels)
    run.log_metrics({names.TEST_LOSS: loss, names.TEST_ACCURACY: accuracy})
    for views, metric in names.TEST_ACCURACY_OF_VIEWS.items():
        averaged = trained.logits(trained.test, views)
        run.log_metrics({metric: loss_and_accuracy(averaged, trained.test.labels)[1]})
    log_classes(run, dataset, output.double().softmax(1).cpu().numpy())


def _register(run: Run, dataset: ImageDataset, trained: TrainedClassifier) -> None:
    """Log and register the model, as the champion of its name if none is better on the same validation images.

    One that was trained on all images becomes champion: there is nothing to judge it by but test images.
    """
    s = trained.settings
    # torch.export would archive a weight in channels-last order as a view of a larger tensor.
    model = trained.training.model.to("cpu").eval()
    model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in torch's stub
    sha256 = log_tensors(run, model.network.state_dict(), names.WEIGHTS)
    log_model(run, model, np.array(dataset.test_images[:2]))
    recipe = {
        names.STEM: s.stem,
        names.MEAN: list(dataset.mean),
        names.DEVIATION: list(dataset.deviation),
        names.SHA256: sha256,
    }
    log_json(run, recipe, names.WEIGHTS_RECIPE)
    metric, data = names.VAL_ACCURACY, f"{dataset.digest}-{s.validation}"
    if not s.validation:
        metric, data = names.TRAIN_LOSS, f"{dataset.digest}-all-{run.id}"
    register(run, f"{s.dataset}-{s.row}", metric, run.metrics[metric], data, sha256)
