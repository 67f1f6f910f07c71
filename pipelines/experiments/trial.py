"""One trial of a study: a network trained on the training part less what is held out, judged on that after each epoch.

It knows nothing of how its settings were chosen. Test data are never read.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from pipelines import names
from pipelines.data.energy import series as energy
from pipelines.data.energy.windows import DenseTask, Part, latest, spread
from pipelines.data.images import cifar10
from pipelines.data.protocol import LOOKBACK, VALIDATION_FRACTION
from pipelines.experiments.ablation.classifier import Classification
from pipelines.experiments.ablation.rows import ClassifierSettings
from pipelines.experiments.images import log_data
from pipelines.experiments.recurrent.forecaster import Forecasting
from pipelines.experiments.recurrent.rows import NetworkSettings
from pipelines.experiments.spaces import VALIDATION_IMAGES, VALIDATION_WINDOWS
from pipelines.tracking.artifacts import log_dataset
from pipelines.tracking.run import CutShort, Run
from pipelines.training.loop import Callback, Progress

# Given the epoch and the metric after it, tells whether the trial is to be given up.
Report = Callable[[int, float], bool]


def train_forecaster(
    run: Run, settings: NetworkSettings, data_dir: str, report: Report, watchers: Sequence[Callback] = ()
) -> float:
    """Train a recurrent forecaster.

    Args:
        run: the active run, which gets the metrics of each epoch.
        settings: of the trial.
        data_dir: folder of the prepared data.
        report: see `Report`.
        watchers: see the training too.

    Returns:
        sMAPE (percent, 0-200, mean over the series) after the last epoch, on VALIDATION_WINDOWS windows of those held
        out, which are the last tenth of each series' training windows.

    Raises:
        CutShort: `report` said so.
        DivergedError: NaN or infinite loss.
    """
    dataset = energy.load(settings.dataset, data_dir)
    train, validation = forecaster_parts(dataset, settings.fraction)
    run.set_tags({names.DATA_DIGEST: dataset.digest, names.VERIFIED: str(dataset.verified).lower()})
    for role, part in (("training", train), ("validation", validation)):
        shape = (sum(map(len, part)), LOOKBACK, len(dataset.values[0]))
        log_dataset(run, dataset.name, dataset.digest, ", ".join(dataset.series), shape, role)
    with Forecasting(settings, dataset, train) as forecasting:

        def measure() -> dict[str, float]:
            return {names.VAL_SMAPE: forecasting.metrics(validation)[names.SMAPE]}

        return _train(run, forecasting, measure, names.VAL_SMAPE, report, watchers)


def forecaster_parts(dataset: energy.EnergyDataset, fraction: float) -> tuple[Part, Part]:
    """The latest `fraction` (0-1] of the targets to train on, and the targets to validate on."""
    parts = energy.split(dataset, VALIDATION_FRACTION)
    return latest(parts["train"], fraction), spread(parts["validation"], VALIDATION_WINDOWS)


def require_enough_windows(settings: NetworkSettings, data_dir: str) -> None:
    """Raise a UserError where the settings' fraction of the data is too little to train a forecaster on."""
    train, _ = forecaster_parts(energy.load(settings.dataset, data_dir), settings.fraction)
    # It counts its items before it touches a row.
    DenseTask(torch.empty(0), train, settings.segment, settings.burn_in, settings.loss)


def train_classifier(
    run: Run, settings: ClassifierSettings, data_dir: str, report: Report, watchers: Sequence[Callback] = ()
) -> float:
    """Train an image classifier.

    Args and raises as of `train_forecaster`.

    Returns:
        Accuracy, percent, after the last epoch on the training images held out, equally many of each class.
    """
    dataset = cifar10.load(settings.dataset, data_dir)
    parts = cifar10.split(dataset, VALIDATION_IMAGES[dataset.name])
    kept, held_out = parts["train"], parts["validation"]
    # What takes the place of the test part cannot leak it.
    part = replace(
        dataset,
        train_images=dataset.train_images[kept],
        train_labels=dataset.train_labels[kept],
        test_images=dataset.train_images[held_out],
        test_labels=dataset.train_labels[held_out],
    )
    with Classification(settings, part) as classification:
        validation = classification.test
        log_data(run, dataset, {"training": len(classification.train.labels), "validation": len(validation.labels)})

        def measure() -> dict[str, float]:
            return dict(
                zip((names.VAL_LOSS, names.VAL_ACCURACY), classification.loss_and_accuracy(validation), strict=True)
            )

        return _train(run, classification, measure, names.VAL_ACCURACY, report, watchers)


TRAIN = {"recurrent": train_forecaster, "ablation": train_classifier}


def _train(
    run: Run,
    trained: Forecasting | Classification,
    measure: Callable[[], dict[str, float]],
    metric: str,
    report: Report,
    watchers: Sequence[Callback],
) -> float:
    run.log_metrics({names.PARAMETERS: sum(parameter.numel() for parameter in trained.model.parameters())})
    validation = _Validation(run, measure, metric, report)
    trained.fit([*watchers, validation])
    run.log_metrics({names.TRAINING_TIME: trained.progress.seconds})
    return validation.value


class _Validation(Callback):
    """The validation metrics after each epoch, reported as long as the trial is worth it."""

    def __init__(self, run: Run, measure: Callable[[], dict[str, float]], metric: str, report: Report):
        self._run, self._measure, self._metric, self._report = run, measure, metric, report
        self.value = float("nan")

    def on_epoch(self, progress: Progress) -> None:
        measured = self._measure()
        self._run.log_metrics({names.TRAIN_LOSS: progress.epoch_loss, **measured}, step=progress.epoch)
        self._run.flush()
        self.value = measured[self._metric]
        if self._report(progress.epoch, self.value):
            self._run.log_metrics({names.TRAINING_TIME: progress.seconds})
            self._run.set_tags({names.PRUNED: progress.epoch})
            raise CutShort(f"given up after epoch {progress.epoch}")
