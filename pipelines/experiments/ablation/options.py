"""Options of the ablation experiment; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.seeds import require_width
from pipelines.common.choices import OneOf
from pipelines.common.program import Example
from pipelines.data.datasets import IMAGES, REPORTED, known
from pipelines.experiments.ablation.rows import ABLATION, AUTOGRAD, MANUAL
from pipelines.experiments.own_rows import Selection, selected


@dataclass(frozen=True, kw_only=True)
class AblationOptions(Options):
    """Train the CNN and MLP variants: Table 2, Figs 5-7 and Table 1 of the CNN report."""

    examples: ClassVar[Sequence[Example]] = (
        Example("Two variants on the embedded sample", "--dataset sample --variants cnn,mlp-2"),
        Example("Another learning rate, three seeds", "--variants cnn --lr 0.01 --seeds 3"),
        Example("Gradients by the derived formulas", "--variants mlp-2,mlp-3 --backprop manual"),
    )

    dataset: str = common.dataset(*known(IMAGES), reported=REPORTED[IMAGES])
    variants: str = common.own_rows(ABLATION)
    rows: str = common.rows_file()
    epochs: int = common.epochs()
    batch_size: int = common.batch_size("Images in each update.")
    lr: float = common.lr()
    fraction: float = common.fraction("Share of the training images to train on, the first ones.")
    backprop: str = option(
        AUTOGRAD,
        OneOf([AUTOGRAD, MANUAL]),
        "Where gradients come from: PyTorch (autograd), or the derived formulas (manual), which the mlp rows have.",
    )
    seeds: int | Literal["auto"] = common.seeds_or_auto()
    width: float = common.width()
    needed: bool = common.needed()
    dry_run: bool = common.dry_run()
    jobs: int = common.jobs()
    launcher: str = common.launcher()
    device: str = common.device()
    data_dir: str = common.data_dir()
    resume: str = common.resume()
    force: bool = common.force()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_width(self.seeds, self.width)
        # A launch that is continued has the rows that it was planned with.
        if not self.resume:
            _ = self.selected

    @cached_property
    def selected(self) -> Selection:
        """The rows to run."""
        return selected("ablation", "variants", self.variants, type(self).variants, self.rows)
