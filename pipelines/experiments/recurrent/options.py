"""Options of the recurrent experiment; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.cli.seeds import require_width
from pipelines.cli.types import MOST_DROPOUT, MOST_UNITS
from pipelines.common.choices import Finite, Integer, OneOf
from pipelines.common.program import Example
from pipelines.data.datasets import LOAD, REPORTED, known
from pipelines.experiments.own_rows import Selection, selected
from pipelines.experiments.recurrent.rows import DENSE, GROUPS, RECURRENT, WINDOW


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions(Options):
    """Train RNN, LSTM and GRU forecasters and their baselines: Table 1 and Figs 7-10 of the forecasting report."""

    examples: ClassVar[Sequence[Example]] = (
        Example("A network and a baseline on the embedded sample", "--dataset sample --models gru-2,linear-ar"),
        Example("Another width and learning rate, three seeds", "--models gru-2 --hidden 64 --lr 0.003 --seeds 3"),
        Example("The networks of relative changes, the linear model beside them", "--models relative,linear-ar-hourly"),
        Example("One row as the forecasting report trained it", "--models lstm-2 --training window"),
    )

    dataset: str = common.dataset(*known(LOAD), reported=REPORTED[LOAD])
    models: str = common.own_rows(RECURRENT, groups=GROUPS)
    rows: str = common.rows_file()
    training: str = option(
        DENSE,
        OneOf([DENSE, WINDOW]),
        "Of the published networks. dense: a target at every hour, at a fraction of the cost; window: one for each 90 "
        "hours, as the forecasting report did.",
    )
    epochs: int = common.epochs()
    batch_size: int = common.batch_size("Segments (dense) or windows in each update.")
    lr: float = common.lr()
    hidden: int = option(0, Integer(0, MOST_UNITS), "Units in each recurrent layer.", own=0)
    dropout: float = option(-1, Finite(0, MOST_DROPOUT, own=-1), "Dropout between the layers, from 0 to 0.99.", own=-1)
    fraction: float = common.fraction("Share of the training windows to train on, the latest ones.")
    seeds: int | Literal["auto"] = common.seeds_or_auto()
    width: float = common.width()
    needed: bool = common.needed()
    dry_run: bool = common.dry_run()
    jobs: int = common.jobs()
    launcher: str = common.launcher()
    device: str = common.device()
    precision: str = common.precision()
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
        return selected("recurrent", "models", self.models, type(self).models, self.rows)
