"""The entry resnet: published weights evaluated, beside the accuracies that were published for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from analysis.entries import images
from analysis.entries.entry import Entry
from analysis.report.artifacts import Artifacts
from analysis.report.contents import Chapter, Cost
from analysis.report.parts import Part, shown_seeds
from analysis.report.sections import Figure, Section, comparison, labelled, missing, section
from analysis.tables.columns import ROW
from analysis.view import View
from pipelines import names
from pipelines.common.files import file_name
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.resnet.rows import RESNETS

_WHOLE_TEST_SET = (
    "Losses (mean cross entropy) and accuracies (percent of the images): over the whole test set, in fp32."
)

VIEW = View(
    metrics=(
        names.TEST_ACCURACY,
        names.TEST_LOSS,
        names.TEST_TOP5_ACCURACY,
        names.CALIBRATION_ERROR,
        names.IMAGES_PER_S,
        names.WEIGHT_COUNT,
        names.MULTIPLY_ADDS,
    ),
    main=names.TEST_ACCURACY,
    lowest=False,
    headline="ResNets evaluated, {data}: test accuracy %",
    rows=RESNETS,
    # A row's weights are its own, and so is what comes with them.
    row_params=tuple(
        f"params.{name}" for name in ("origin", "sha256", "dialect", "stem", "shortcut", "mean", "deviation")
    ),
    published=(names.TEST_ACCURACY,),
    dataset=CIFAR10,
    data=images.DATA,
    published_note=(
        "published: ResNet-18, 34, 50: of the weights that the forecasting report loaded "
        "(github.com/huyvnphan/PyTorch_CIFAR10); the others: github.com/akamaster/pytorch_resnet_cifar10. Other "
        "weights of the same network have others."
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


def sections(parts: Sequence[Part], artifacts: Artifacts) -> Iterator[Section]:
    """ResNets evaluated and trained here, a section for each data set."""
    slug, title = "resnets", "ResNets"
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        yield missing(slug, title, "python -m pipelines resnet --models all")
    for dataset in dict.fromkeys(part.dataset for part in parts):
        own = {part.entry: part for part in parts if part.dataset == dataset}
        captions = {"resnet": "Weights evaluated on the test set", "pretrain": "Trained here"}
        compared = [comparison(f"{captions[entry]}, {part.data}", part, part.rows) for entry, part in own.items()]
        yield section(slug, title, list(own.values()), compared, drawn(own, artifacts))


def with_validation(part: Part) -> Part:
    """`part` with those of its runs alone that held images out: a last training on all images has no such curve."""
    metric = f"metrics.{names.VAL_ACCURACY}"
    return replace(part, runs=part.runs[part.runs[metric].notna()] if metric in part.runs else part.runs[:0])


def drawn(own: Mapping[str, Part], artifacts: Artifacts) -> Iterator[Figure | None]:
    """The figures of a section; `own` are its parts by their entries."""
    from analysis.report import figures  # here, since importing matplotlib takes half a second that --help should not

    if part := own.get("resnet"):
        name, cited = file_name(f"resnets-{part.dataset}"), "Fig 6" if part.is_published else ""
        yield figures.accuracies(labelled(part, part.rows), name, part.data, cited)
    if "pretrain" in own:
        yield _training(with_validation(own["pretrain"]), artifacts)


def _training(part: Part, artifacts: Artifacts) -> Figure | None:
    """The accuracy of each row on held-out images after each epoch; of stored results not every run has its curve."""
    from analysis.report import figures

    shown = replace(part, runs=part.runs[[_has_curve(run_id, artifacts) for run_id in part.runs["run_id"]]])
    if shown.runs.empty:
        return None
    of_these_rows = replace(part, runs=part.runs[part.runs[ROW].isin(shown.runs[ROW])])
    logged = artifacts.tables(shown.drawn, names.EPOCH_DATA, ("epoch", names.VAL_ACCURACY))
    others = len(of_these_rows.drawn) + of_these_rows.not_drawn - len(logged)
    seeds = shown_seeds([each for each in shown.drawn if each.label in logged], others)
    return figures.validation(logged, file_name(f"resnet-training-{part.dataset}"), part.data, seeds)


def _has_curve(run_id: str, artifacts: Artifacts) -> bool:
    return artifacts.source(run_id, names.EPOCH_DATA) is not None


ENTRY = Entry(
    "resnet",
    VIEW,
    chapter=Chapter(("resnet", "pretrain"), sections),
    cost=Cost(
        name="cost-resnets",
        entries=("resnet",),
        metric=names.TEST_ACCURACY,
        is_accuracy=True,
        cost=names.MULTIPLY_ADDS,
        unit=1e6,
        title="ResNets on {data}: error and cost of an image",
        cost_label="million multiply-adds an image",
        error_label="test error, %",
    ),
)
