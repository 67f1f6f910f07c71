"""Trials of the ablation's study: a classifier trained on a part of the training images, judged on those held out."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from pipelines import names
from pipelines.data.datasets import load_images
from pipelines.data.images.batches import evaluate
from pipelines.data.images.dataset import hold_out
from pipelines.experiments.ablation.classifier import checked, classifier
from pipelines.experiments.ablation.rows import ImageSettings
from pipelines.experiments.ablation.search import SEARCH
from pipelines.experiments.data import log_data
from pipelines.experiments.sizes import validation_images
from pipelines.experiments.study import Study
from pipelines.experiments.trial import Report, train_trial
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback


def train_classifier(
    run: Run, settings: ImageSettings, data_dir: str, report: Report, watchers: Sequence[Callback] = ()
) -> float:
    """Train an image classifier. Test data are never read.

    Args:
        run: the active run, which gets the metrics of each epoch.
        settings: of the trial.
        data_dir: folder of the prepared data.
        report: see `Report`.
        watchers: see the training too.

    Returns:
        Accuracy, percent, after the last epoch on the training images held out, equally many of each class.

    Raises:
        CutShort: `report` said so.
        DivergedError: NaN or infinite loss.
    """
    dataset = load_images(settings.dataset, data_dir)
    parts = hold_out(dataset, validation_images(dataset.train_size))
    kept, held_out = parts["train"], parts["validation"]
    # What takes the place of the test part cannot leak it.
    part = replace(
        dataset,
        train_images=dataset.train_images[kept],
        train_labels=dataset.train_labels[kept],
        test_images=dataset.train_images[held_out],
        test_labels=dataset.train_labels[held_out],
    )
    trained = classifier(settings, part)
    validation = trained.test
    with trained.training as training:
        log_data(run, dataset, {"training": len(trained.train.labels), "validation": len(validation.labels)})

        def measure() -> dict[str, float]:
            loss, accuracy = evaluate(training.model, validation)
            return {names.VAL_LOSS: loss, names.VAL_ACCURACY: accuracy}

        return train_trial(run, training, measure, names.VAL_ACCURACY, report, watchers)


def _checked(settings: ImageSettings, data_dir: str) -> ImageSettings:
    return checked(settings, load_images(settings.dataset, data_dir))


STUDY = Study(search=SEARCH, train=train_classifier, one_process=MappingProxyType({"threads": 1}), checked=_checked)
