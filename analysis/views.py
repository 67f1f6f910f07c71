"""What the comparison of each entry shows, in which order, and what its report published."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines import names
from pipelines.data.protocol import CIFAR10, PJM, SAMPLE
from pipelines.experiments.ablation.rows import ABLATION, ABLATION_REPORT, MANUAL
from pipelines.experiments.recurrent.rows import DENSE, RECURRENT, RECURRENT_REPORT, WINDOW
from pipelines.experiments.resnet.rows import RESNETS


@dataclass(frozen=True)
class View:
    """What the comparison of an entry shows: its metrics, its catalogue rows in order, and what the report published.

    Attributes:
        metrics: columns of the table.
        main: metric in which a row is compared to its published figure and to a baseline.
        rows: the entry's part of the catalogue.
        row_params: parameters that say what the row's own name says too.
        published: metrics with published figures; these stand only beside runs on `dataset`, the report's own.
        dataset: name of that dataset.
        data: what datasets are called in a title, by name.
        published_note: footnote on the published figures.
        notes: footnote by metric; one that several metrics share is printed once.
        beside: whether in markdown published figures and differences stand next to ours, rather than after all of ours.
    """

    metrics: tuple[str, ...]
    main: str
    rows: Mapping[str, object] = field(default_factory=dict)
    row_params: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    dataset: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    published_note: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    beside: bool = False

    def called(self, dataset: str) -> str:
        """What a dataset is called in a title."""
        return self.data.get(dataset, dataset or "data without a name")

    def figure(self, row: str, dataset: str, metric: str) -> float:
        """The published figure, NaN where there is none that compares."""
        published = getattr(self.rows.get(row), "published", None)
        return published.figures.get(metric, math.nan) if published and dataset == self.dataset else math.nan


_RECURRENT = View(
    metrics=(names.TRAINING_TIME, names.EVALUATION_TIME, names.SMAPE, names.SMAPE_REPORT),
    main=names.SMAPE_REPORT,
    rows=RECURRENT,
    row_params=("params.cell", "params.layers", "params.method"),
    published=(names.TRAINING_TIME, names.EVALUATION_TIME, names.SMAPE_REPORT),
    dataset=PJM,
    data={PJM: "PJM", SAMPLE: "England and Wales (sample)"},
    published_note=(
        f"published: {RECURRENT_REPORT}, one run, its times on a GPU; ours are those of the host that ran."
    ),
    notes={
        names.SMAPE: "smape: 100/n Σ |F−A| / ((|F|+|A|)/2) in percent, from 0 to 200, mean over the series.",
        names.SMAPE_REPORT: (
            "smape_report: a quarter of smape, because the tutorial that the report follows codes it so."
        ),
    },
)

_IMAGES = {CIFAR10: "CIFAR-10", SAMPLE: "8×8 digits (sample)"}
_TABLE_2 = (names.TRAIN_LOSS, names.TRAIN_ACCURACY, names.TEST_LOSS, names.TEST_ACCURACY)
_LAST_EPOCH = (
    "Losses (mean cross entropy) and accuracies (percent of the images): after the last epoch, in eval mode, over the "
    "whole of the training and of the test set."
)
_BEST_EPOCH = ".best: of the epoch that was best on the very set it is measured on, so better than an honest choice."
_ABLATION = View(
    metrics=(*_TABLE_2, names.TRAINING_TIME),
    main=names.TEST_ACCURACY,
    rows=ABLATION,
    row_params=("params.channels", "params.kernel", "params.hidden", "params.activation"),
    published=_TABLE_2,
    dataset=CIFAR10,
    data=_IMAGES,
    published_note=f"published: of the metric on its left, {ABLATION_REPORT}; .difference: ours minus it.",
    notes={
        **dict.fromkeys(_TABLE_2, _LAST_EPOCH),
        **{names.best(metric): _BEST_EPOCH for metric in _TABLE_2},
        names.SHEET_ACCURACY: "sheet_accuracy: percent of the images of the sample sheet, two test images a class.",
        names.TRAINING_TIME: "training_time_s: without evaluation, on the host that ran, with whatever ran beside.",
    },
    beside=True,
)

_WHOLE_TEST_SET = (
    "Losses (mean cross entropy) and accuracies (percent of the images): over the whole test set, in fp32."
)
_RESNET = View(
    metrics=(
        names.TEST_ACCURACY,
        names.TEST_LOSS,
        names.TEST_TOP5_ACCURACY,
        names.CALIBRATION_ERROR,
        names.IMAGES_PER_S,
        names.PARAMETERS,
        names.MULTIPLY_ADDS,
    ),
    main=names.TEST_ACCURACY,
    rows=RESNETS,
    # A row's weights are its own, and so is what comes with them.
    row_params=tuple(
        f"params.{name}" for name in ("origin", "sha256", "dialect", "stem", "shortcut", "mean", "deviation")
    ),
    published=(names.TEST_ACCURACY,),
    dataset=CIFAR10,
    data=_IMAGES,
    published_note=(
        "published: ResNet-18, 34, 50: of the weights that the report loaded (github.com/huyvnphan/PyTorch_CIFAR10); "
        "the others: github.com/akamaster/pytorch_resnet_cifar10. Other weights of the same network have others."
    ),
    notes={
        **dict.fromkeys((names.TEST_ACCURACY, names.TEST_LOSS, names.TEST_TOP5_ACCURACY), _WHOLE_TEST_SET),
        names.CALIBRATION_ERROR: "test_calibration_error: expected calibration error, 15 bins, percentage points.",
        names.IMAGES_PER_S: (
            "images_per_s: evaluated, batch norms folded, in int8 or bf16 where that accuracy agrees with fp32's to "
            "0.05 points."
        ),
    },
    beside=True,
)
_PRETRAIN = View(
    metrics=(names.VAL_ACCURACY, names.TEST_ACCURACY, names.TEST_LOSS, names.TRAINING_TIME, names.IMAGES_PER_S),
    main=names.TEST_ACCURACY,
    rows=RESNETS,
    row_params=("params.stem", "params.shortcut"),
    published=(names.TEST_ACCURACY,),
    dataset=CIFAR10,
    data=_IMAGES,
    published_note="published: of other trainings of the same networks, see the entry resnet.",
    notes={
        names.VAL_ACCURACY: "val_accuracy: after the last epoch, on training images that were held out.",
        names.TEST_ACCURACY: "test_accuracy, test_loss: measured once, at the end.",
        names.TRAINING_TIME: "training_time_s: without evaluation, on the host that ran, with whatever ran beside.",
    },
    beside=True,
)

VIEWS: Mapping[str, View] = {
    "recurrent": _RECURRENT,
    "ablation": _ABLATION,
    "resnet": _RESNET,
    "pretrain": _PRETRAIN,
}

# Nothing is said of autograd, which goes without saying unless there is another.
TRAINING_NOTES = {
    DENSE: "dense: trained on a target at every hour of contiguous segments, not the report's protocol.",
    WINDOW: "window: trained on one target for each 90-hour window, the report's protocol.",
    MANUAL: "manual: gradients by the formulas derived in the report's written part; autograd: by torch's.",
}
