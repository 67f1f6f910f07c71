"""The entry ablation: what its comparison shows, what the CNN report says in words, and its section of the page."""

import math
from collections.abc import Callable, Iterator, Sequence

from analysis.claims.statements import (
    Claim,
    Curve,
    Means,
    Statements,
    above,
    all_above,
    all_below,
    all_between,
    below,
    highest,
    largest,
    lowest,
)
from analysis.entries import images
from analysis.entries.entry import Entry
from analysis.report.artifacts import Artifacts
from analysis.report.contents import Chapter, Cost
from analysis.report.parts import Part, shown_seeds
from analysis.report.sections import Figure, Section, comparison, missing, section
from analysis.stats import late_change
from analysis.tables.columns import difference
from analysis.view import OWN_MODEL, View
from pipelines import names
from pipelines.common.files import file_name
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.ablation.rows import ABLATION, ABLATION_REPORT, AUTOGRAD, MANUAL, resolve_classifier

_TABLE_2 = (names.TRAIN_LOSS, names.TRAIN_ACCURACY, names.TEST_LOSS, names.TEST_ACCURACY)
_LAST_EPOCH = (
    "Losses (mean cross entropy) and accuracies (percent of the images): after the last epoch, in eval mode, over the "
    "whole of the training and of the test set."
)
_BEST_EPOCH = "best/…: of the epoch that was best on the very set it is measured on, so better than an honest choice."

VIEW = View(
    metrics=(*_TABLE_2, names.TRAINING_TIME),
    main=names.TEST_ACCURACY,
    lowest=False,
    headline="CNNs and MLPs, {data}: test accuracy %",
    rows=ABLATION,
    row_params=("params.channels", "params.kernel", "params.hidden", "params.activation", *OWN_MODEL),
    row_settings=resolve_classifier,
    trainings={
        AUTOGRAD: "",
        MANUAL: "manual: gradients by the formulas derived in the CNN report's written part; autograd: by torch's.",
    },
    published=_TABLE_2,
    dataset=CIFAR10,
    data=images.DATA,
    published_note=f"published: of the metric on its left, {ABLATION_REPORT}; .difference: ours minus it.",
    notes={
        **dict.fromkeys(_TABLE_2, _LAST_EPOCH),
        **{names.best(metric): _BEST_EPOCH for metric in _TABLE_2},
        names.SHEET_ACCURACY: "sheet_accuracy: percent of the images of the sample sheet, two test images a class.",
        names.TRAINING_TIME: images.TRAINING_TIME,
    },
    beside=True,
)

# What the report says in words.

ROWS = VIEW.published_rows
MLPS = tuple(row for row in ROWS if not ABLATION[row].channels)
LOW, HIGH, DOUBLE = "cnn-lr-low", "cnn-lr-high", "cnn-double-channel"

LOSS_GAP = f"{names.TEST_LOSS}.minus.{names.TRAIN_LOSS}"
ACCURACY_GAP = f"{names.TRAIN_ACCURACY}.minus.{names.TEST_ACCURACY}"
SHEET_GAP = f"{names.SHEET_ACCURACY}.minus.{names.TEST_ACCURACY}"

# What the report leaves to the reader: its own "slightly" are 0.08 and 3.11 points, its "not too far" 6.42 points.
SLIGHT_LOSS, SLIGHT_ACCURACY, NOT_FAR = 0.15, 5.0, 10.0
MATCH, MATCH_LOW = 1.5, 3.0  # points within which a test accuracy counts as reproduced, and that of LOW

LOSS, ACCURACY = (names.TRAIN_LOSS, names.TEST_LOSS), (names.TRAIN_ACCURACY, names.TEST_ACCURACY)
_SETS = ("training", "test")

_FIG_5 = "CNN report, 2.3.1 on Fig. 5"
_FIG_6 = "CNN report, 2.3.1 on Fig. 6"
_FIG_7 = "CNN report, 2.3.1 on Fig. 7"
_COMPARISON = "CNN report, 2.3.2"
_EXTENDED = "ours: 2.3.1 carried over to Table 2"


def _change(metric: str) -> str:
    return f"{metric}.late_change"


def _beside_others(metric: str, row: str, decisive: Callable[[float], float]) -> tuple[Means, Means]:
    return Means(metric, (row,)), Means(metric, tuple(other for other in ROWS if other != row), decisive)


_REPORTED = (
    *(
        Claim(
            f"{metric}-falls",
            f"“both the training and testing loss values decrease through the epochs”: {part}",
            _FIG_5,
            (Means(_change(metric), ("cnn",)),),
            all_below(0),
        )
        for part, metric in zip(_SETS, LOSS, strict=True)
    ),
    Claim(
        "test-loss-slightly-higher",
        "“the testing loss is slightly higher than the training loss”",
        _FIG_5,
        (Means(LOSS_GAP, ("cnn",)),),
        all_between(0, SLIGHT_LOSS),
    ),
    *(
        Claim(
            f"{accuracy}-inverse",
            f"“the accuracy is inversely related to the loss”: {part}",
            _FIG_6,
            (Means(_change(accuracy), ("cnn",)), Means(_change(loss), ("cnn",))),
            lambda accuracy, loss: accuracy[0] * loss[0] < 0,
        )
        for part, accuracy, loss in zip(_SETS, ACCURACY, LOSS, strict=True)
    ),
    *(
        Claim(
            f"{metric}-rises",
            "“As the epochs progress the model […] is therefore capable of achieving a higher level of accuracy”: "
            f"{part}",
            _FIG_6,
            (Means(_change(metric), ("cnn",)),),
            all_above(0),
        )
        for part, metric in zip(_SETS, ACCURACY, strict=True)
    ),
    Claim(
        "train-accuracy-slightly-higher",
        "“the training accuracy is slightly higher than the test accuracy”",
        _FIG_6,
        (Means(ACCURACY_GAP, ("cnn",)),),
        all_between(0, SLIGHT_ACCURACY),
    ),
    Claim(
        "train-loss-better-everywhere",
        "in no row is the test loss lower than the training loss",
        _EXTENDED,
        (Means(LOSS_GAP, ROWS, lowest),),
        lambda gaps: min(gaps) >= 0,
    ),
    Claim(
        "train-accuracy-better-everywhere",
        "in every row the training accuracy is higher than the test accuracy",
        _EXTENDED,
        (Means(ACCURACY_GAP, ROWS, lowest),),
        all_above(0),
    ),
    Claim(
        "sheet-representative",
        "“since the accuracies are not too far from each other, the 20 images we have can be said to be representative "
        "of the test set”",
        _FIG_7,
        (Means(SHEET_GAP, ("cnn",)), Means(names.SHEET_ACCURACY, ("cnn",)), Means(names.TEST_ACCURACY, ("cnn",))),
        lambda gap, *_: abs(gap[0]) < NOT_FAR,
    ),
    *(
        Claim(
            f"lr-high-best-{part}",
            "“the best result on the training set and test set in terms of accuracy is obtained when […] the learning "
            f"rate is increased”: {part} set",
            _COMPARISON,
            _beside_others(metric, HIGH, highest),
            above,
        )
        for part, metric in zip(_SETS, ACCURACY, strict=True)
    ),
)

_FOUND = (
    Claim(
        "double-channel-best-test",
        "double-channel is the best on the test set",
        "ours",
        _beside_others(names.TEST_ACCURACY, DOUBLE, highest),
        above,
    ),
    *(
        Claim(
            f"lr-low-worst-{part}",
            f"the smaller learning rate is the worst on the {part} set",
            "ours",
            _beside_others(metric, LOW, lowest),
            below,
        )
        for part, metric in zip(_SETS, ACCURACY, strict=True)
    ),
    Claim(
        "published-matched",
        f"every published test accuracy is matched within {MATCH:g} points, that of {LOW} within {MATCH_LOW:g}",
        "ours",
        (
            Means(difference(names.TEST_ACCURACY), tuple(row for row in ROWS if row != LOW), largest),
            Means(difference(names.TEST_ACCURACY), (LOW,)),
        ),
        lambda gaps, low: max(map(abs, gaps)) <= MATCH and abs(low[0]) <= MATCH_LOW,
    ),
    Claim(
        "convolution-beats-mlp",
        f"every convolutional network but {LOW} beats every multilayer perceptron on the test set",
        "ours",
        (
            Means(names.TEST_ACCURACY, tuple(row for row in ROWS if row not in (*MLPS, LOW)), lowest),
            Means(names.TEST_ACCURACY, MLPS, highest),
        ),
        above,
    ),
)

STATEMENTS = Statements(
    view=VIEW,
    reported=_REPORTED,
    found=_FOUND,
    curves=tuple(Curve(_change(metric), metric, late_change) for metric in (*LOSS, *ACCURACY)),
    differences={
        LOSS_GAP: (names.TEST_LOSS, names.TRAIN_LOSS),
        ACCURACY_GAP: (names.TRAIN_ACCURACY, names.TEST_ACCURACY),
        SHEET_GAP: (names.SHEET_ACCURACY, names.TEST_ACCURACY),
    },
    further={(names.SHEET_ACCURACY, "cnn"): 65.0},
    notes=(
        "As published: the same rule on the figures of the CNN report's Table 2, and on the 13 of 20 images of 2.3.1; "
        "its curves are pictures.",
        VIEW.notes[names.TEST_ACCURACY],
        "late_change: mean over the last quarter of the epochs minus that over the second quarter; a curve falls where "
        "this is below zero and rises where it is above.",
        f"{LOSS_GAP} and the like: within each run. {difference(names.TEST_ACCURACY)}: ours minus published, in "
        "points.",
        f"Slightly is taken as less than {SLIGHT_LOSS:g} in loss and {SLIGHT_ACCURACY:g} points in accuracy (the "
        f"CNN report's are 0.08 and 3.11), not too far as less than {NOT_FAR:g} points (published: 6.42). Ours are "
        "20 other images; one more or less right is 5 points, and the standard error of 20 independent images at 58 % "
        "is 11 points.",
        "Of many rows the evidence names those that decide.",
    ),
    rows_option="--variants",
)


# Its section of the page.


def sections(parts: Sequence[Part], artifacts: Artifacts) -> Iterator[Section]:
    """Loss, accuracy and a sheet of images of the CNNs and MLPs, a section for each data set."""
    slug, title = "ablation", "CNNs and MLPs"
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        yield missing(slug, title, "python -m pipelines ablation")
    for part in parts:
        beside = ", beside Table 2 of the CNN report" if part.is_published else ""
        accuracy, rows = (names.TEST_ACCURACY,), part.rows
        compared = [
            comparison(f"Loss and accuracy after the last epoch on {part.data}{beside}", part, rows),
            comparison(f"Is the difference to cnn more than chance? {part.data}", part, rows, accuracy, "cnn"),
        ]
        yield section(slug, title, [part], compared, drawn(part, artifacts))


def drawn(part: Part, artifacts: Artifacts) -> Iterator[Figure | None]:
    """The figures of a section."""
    from analysis.report import figures  # here, since importing matplotlib takes half a second that --help should not

    for kind, figure in (("loss", "Fig 5"), ("accuracy", "Fig 6")):
        logged = artifacts.tables(part.drawn, names.EPOCH_DATA, ("epoch", f"train_{kind}", f"test_{kind}"))
        seeds = shown_seeds([each for each in part.drawn if each.label in logged], part.not_drawn)
        name = file_name(f"{kind}-{part.dataset}")
        yield figures.epochs(logged, kind, name, part.data, figure if part.is_published else "", seeds)
    yield _sheet(part, artifacts)


def _sheet(part: Part, artifacts: Artifacts) -> Figure | None:
    """The sample sheet of the tutorial's network, or of whatever row comes first."""
    from analysis.report import figures  # see drawn

    for drawn in sorted(part.drawn, key=lambda each: each.label != "cnn")[:1]:
        run = part.rows[part.rows["run_id"] == drawn.run_id].iloc[0]
        labels = artifacts.table(drawn.run_id, drawn.label, names.SHEET_DATA, (), ("label", "prediction"))
        pictures = artifacts.array(drawn.run_id, drawn.label, names.SHEET_IMAGES)
        if labels is not None and pictures is not None and len(labels) == len(pictures):
            accuracy = run.get(f"metrics.{names.TEST_ACCURACY}", math.nan)
            name, cited = file_name(f"sheet-{part.dataset}"), "Fig 7" if part.is_published else ""
            seeds = shown_seeds([drawn])
            return figures.sheet(drawn.label, labels, pictures, accuracy, name, part.data, cited, seeds)
    return None


ENTRY = Entry(
    "ablation",
    VIEW,
    STATEMENTS,
    Chapter(("ablation",), sections),
    Cost(
        name="cost-images",
        entries=("ablation", "pretrain"),
        metric=names.TEST_ACCURACY,
        is_accuracy=True,
        cost=names.TRAINING_TIME,
        title="classifiers of {data}: error and cost",
        cost_label="training time, s",
        error_label="test error, %",
    ),
)
