"""One pretraining, from its settings to its model in the registry."""

import time

import numpy as np
import pandas as pd
import torch

from pipelines import figures, names
from pipelines.data.images import cifar10
from pipelines.experiments.base import Context
from pipelines.experiments.images import log_data
from pipelines.experiments.pretrain.rows import PretrainingSettings
from pipelines.experiments.pretrain.trainer import Pretraining
from pipelines.experiments.tracked import Checkpoints
from pipelines.tracking.artifacts import log_figure, log_json, log_table, log_tensors
from pipelines.tracking.checkpoints import load_checkpoint
from pipelines.tracking.models import log_model, register
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback, Progress
from pipelines.training.machine import peak_memory
from pipelines.training.progress import ProgressBar

CURVES = (names.TRAIN_LOSS, names.VAL_LOSS, names.VAL_ACCURACY)


def run_row(run: Run, settings: PretrainingSettings, context: Context) -> None:
    """Train one ResNet, with everything logged to `run`, and register it if it is the best so far.

    Args:
        run: the active run.
        settings: of the row.
        context: where it runs.
    """
    dataset = cifar10.load(settings.dataset, context.data_dir)

    def shrunk(micro_batch: int) -> None:
        run.log_metrics({names.MICRO_BATCH: micro_batch}, step=pretraining.progress.update)

    with Pretraining(settings, dataset, shrunk) as pretraining:
        parts = {
            "training": pretraining.train,
            "validation": pretraining.validation,
            "evaluation": pretraining.test,
        }
        log_data(run, dataset, {role: len(part.labels) for role, part in parts.items()})
        saved = load_checkpoint(run)
        if saved is not None:
            pretraining.restore(saved)
        # Also of a run that was stopped before its first checkpoint: its first points are there.
        run.recall()
        _describe(run, dataset, pretraining, resumed=saved is not None)
        callbacks = [
            _Validation(run, pretraining),
            Checkpoints(run, pretraining),
            ProgressBar(f"{settings.row} seed {settings.seed}", context.slot),
        ]
        pretraining.fit(callbacks)
        _log_curves(run, dataset.name)
        _log_end(run, pretraining)
        _register(run, dataset, pretraining)


class _Validation(Callback):
    """Loss and accuracy on the validation part after each epoch."""

    def __init__(self, run: Run, pretraining: Pretraining):
        self._run, self._pretraining = run, pretraining

    def on_epoch(self, progress: Progress) -> None:
        began = time.perf_counter()
        loss, accuracy = self._pretraining.loss_and_accuracy(self._pretraining.validation)
        self._pretraining.evaluation_seconds += time.perf_counter() - began
        measured = {names.TRAIN_LOSS: progress.epoch_loss, names.VAL_LOSS: loss, names.VAL_ACCURACY: accuracy}
        self._run.log_metrics(measured, step=progress.epoch)
        self._run.flush()


def _describe(run: Run, dataset: cifar10.ImageDataset, pretraining: Pretraining, resumed: bool) -> None:
    s = pretraining.settings
    parameters = sum(parameter.numel() for parameter in pretraining.model.parameters())
    run.log_metrics({names.PARAMETERS: parameters})
    note = (
        f"**{s.row}**, stem {s.stem}, {parameters:,} parameters, seed {s.seed}.\n\n"
        f"Trained on {len(pretraining.train.labels):,} images of `{s.dataset}`, cropped and flipped at random: "
        f"{s.epochs} epochs, batch {s.batch_size}, SGD with Nesterov momentum {s.momentum:g}, OneCycle to lr {s.lr:g}, "
        f"weight decay {s.weight_decay:g}, label smoothing {s.smoothing:g}, {s.precision} on {s.device}, {s.threads} "
        f"threads. Images are scaled to {' then '.join(map(str, s.sides))} pixels, each for an equal share of the "
        f"epochs. {len(pretraining.validation.labels):,} training images are held out for validation; the test part "
        "is evaluated once, at the end." + ("\n\nContinued from a checkpoint." if resumed else "")
    )
    run.set_tags({names.DESCRIPTION: note})


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


def _log_end(run: Run, pretraining: Pretraining) -> None:
    progress = pretraining.progress
    began = time.perf_counter()
    test_loss, test_accuracy = pretraining.loss_and_accuracy(pretraining.test)
    run.log_metrics(
        {
            names.TEST_LOSS: test_loss,
            names.TEST_ACCURACY: test_accuracy,
            names.TRAINING_TIME: progress.seconds,
            names.EVALUATION_TIME: pretraining.evaluation_seconds + time.perf_counter() - began,
            names.IMAGES_PER_S: progress.items / progress.seconds,
            names.PEAK_MEMORY: peak_memory(),
        }
    )


def _register(run: Run, dataset: cifar10.ImageDataset, pretraining: Pretraining) -> None:
    """Log the model, and make it the champion of its name if no other is better on the same validation images."""
    s = pretraining.settings
    # torch.export's archive takes a weight that is channels last for a view of a larger one.
    model = pretraining.model.to("cpu", memory_format=torch.contiguous_format).eval()
    sha256 = log_tensors(run, model.network.state_dict(), names.WEIGHTS)
    log_model(run, model, np.array(dataset.test_images[:2]))
    recipe = {names.STEM: s.stem, names.MEAN: list(dataset.mean), names.DEVIATION: list(dataset.deviation)}
    recipe |= {names.SHA256: sha256}
    log_json(run, recipe, names.WEIGHTS_RECIPE)
    accuracy = run.metrics[names.VAL_ACCURACY]
    data = f"{dataset.digest}-{s.validation}"
    register(run, f"{s.dataset}-{s.row}", names.VAL_ACCURACY, accuracy, data, sha256)
