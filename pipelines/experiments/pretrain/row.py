"""One pretraining: trains, evaluates and logs a ResNet, and registers it."""

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
from pipelines.experiments.pretrain.trainer import TrainedResNet, pretraining
from pipelines.experiments.tracked import EpochLog, log_costs
from pipelines.tracking.artifacts import log_figure, log_json, log_table, log_tensors
from pipelines.tracking.models import log_model, register
from pipelines.tracking.run import Run
from pipelines.training.loop import Progress
from pipelines.training.machine import peak_memory

CURVES = (names.TRAIN_LOSS, names.VAL_LOSS, names.VAL_ACCURACY)


def run_row(run: Run, settings: PretrainingSettings, context: Context) -> None:
    """Train and evaluate one ResNet, log the results to `run`, and register the model.

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


def _validated(trained: TrainedResNet, progress: Progress) -> dict[str, float]:
    """Loss and accuracy on the validation part after an epoch."""
    with trained.training.evaluating():
        loss, accuracy = trained.loss_and_accuracy(trained.validation)
    return {names.TRAIN_LOSS: progress.epoch_loss, names.VAL_LOSS: loss, names.VAL_ACCURACY: accuracy}


def _note(trained: TrainedResNet) -> str:
    s = trained.settings
    return (
        f"**{s.row}**, stem {s.stem}, {trained.training.parameter_count:,} parameters, seed {s.seed}.\n\n"
        f"Trained on {len(trained.train.labels):,} images of `{s.dataset}`, cropped and flipped at random: "
        f"{s.epochs} epochs, batch {s.batch_size}, SGD with Nesterov momentum {s.momentum:g}, OneCycle to lr {s.lr:g}, "
        f"weight decay {s.weight_decay:g}, label smoothing {s.smoothing:g}, {s.precision} on {s.device}, {s.threads} "
        f"threads. Images are scaled to {' then '.join(map(str, s.sides))} pixels, each for an equal share of the "
        f"epochs. {len(trained.validation.labels):,} training images are held out for validation; the test part "
        f"is evaluated once, at the end.{s.about}"
    )


def _log_curves(run: Run, dataset: str) -> None:
    for metric in (names.TRAIN_LOSS, names.VAL_LOSS):
        run.log_best(metric)
    run.log_best(names.VAL_ACCURACY, max)
    table = pd.DataFrame({metric: dict(run.history(metric)) for metric in CURVES}).rename_axis("epoch").reset_index()
    log_table(run, table, names.EPOCH_DATA)
    steps = table["epoch"].to_numpy()
    for path, title, unit, lines in (
        (names.LOSS_FIGURE, "loss after each epoch", "cross entropy", CURVES[:2]),
        (names.ACCURACY_FIGURE, "accuracy on the validation part after each epoch", "accuracy, %", CURVES[2:]),
    ):
        shown = {metric: (steps, table[metric].to_numpy()) for metric in lines}
        log_figure(run, figures.epochs({run.tags[names.ROW]: shown}, figures.titled(title, dataset), unit), path)


def _log_test(run: Run, dataset: ImageDataset, trained: TrainedResNet) -> None:
    with trained.training.evaluating():
        output = trained.logits(trained.test)
    loss, accuracy = loss_and_accuracy(output, trained.test.labels)
    run.log_metrics({names.TEST_LOSS: loss, names.TEST_ACCURACY: accuracy})
    log_classes(run, dataset, output.double().softmax(1).cpu().numpy())


def _register(run: Run, dataset: ImageDataset, trained: TrainedResNet) -> None:
    """Log and register the model, as the champion of its name if none is better on the same validation images."""
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
    accuracy = run.metrics[names.VAL_ACCURACY]
    data = f"{dataset.digest}-{s.validation}"
    register(run, f"{s.dataset}-{s.row}", names.VAL_ACCURACY, accuracy, data, sha256)
