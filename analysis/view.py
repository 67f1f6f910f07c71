"""Views: metrics, rows and published figures that the comparison of an entry shows."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pipelines.experiments.base import Settings, published_figure

# A row's settings by the catalogue, from row, dataset, training, seed and fraction.
RowSettings = Callable[[str, str, str, int, float], Settings]

# Parameters that follow from the name of a row with a model of the user's own.
OWN_MODEL = ("params.model", "params.arguments", "params.model_sha256")


@dataclass(frozen=True)
class View:
    """Contents of an entry's comparison: its metrics, its catalogue rows in order, and the published figures.

    Attributes:
        metrics: columns of the table; where there are none, all that the runs have.
        main: metric in which a row is compared to its published figure and to a baseline.
        lowest: whether the lowest of these is the best; None where neither it nor the highest is known to be.
        headline: caption of a table of the best rows; ``{data}`` stands for what the data are called.
        rows: the entry's part of the catalogue.
        row_params: parameters that follow from the row's name.
        row_settings: the catalogue's settings of a row; None where runs are not held against them.
        trainings: ways of training a row, the one that represents it in the report first, with a footnote on each; an
            empty one is not printed.
        published: metrics with published figures; these stand only beside runs on `dataset`, the report's own.
        dataset: name of that dataset.
        data: what datasets are called in a title, by name.
        published_note: footnote on the published figures.
        notes: footnote by metric; one that several metrics share is printed once.
        beside: whether in markdown published figures and differences stand next to ours, rather than after all of ours.
    """

    metrics: tuple[str, ...] = ()
    main: str = ""
    lowest: bool | None = None
    headline: str = ""
    rows: Mapping[str, object] = field(default_factory=dict)
    row_params: tuple[str, ...] = ()
    row_settings: RowSettings | None = None
    trainings: Mapping[str, str] = field(default_factory=dict)
    published: tuple[str, ...] = ()
    dataset: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    published_note: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    beside: bool = False

    @property
    def published_rows(self) -> tuple[str, ...]:
        """The rows that have published figures, in the order of the catalogue: those that a report is about."""
        return with_figures(self.rows)

    def called(self, dataset: str) -> str:
        """Name of a dataset in titles."""
        return self.data.get(dataset, dataset or "data without a name")

    def figure(self, row: str, dataset: str, metric: str) -> float:
        """The published figure, NaN where there is none that compares."""
        figure = published_figure(self.rows.get(row), metric) if dataset == self.dataset else None
        return math.nan if figure is None else figure

    def training_notes(self, trainings: Collection[str]) -> list[str]:
        """The footnotes on those of the ways of training that are among `trainings`."""
        return [note for training, note in self.trainings.items() if note and training in trainings]


def with_figures(rows: Mapping[str, object]) -> tuple[str, ...]:
    """Names of those of the catalogue's `rows` that have published figures."""
    return tuple(name for name, row in rows.items() if getattr(row, "published", None))


def general(views: Mapping[str, View]) -> View:
    """View of an entry that has none of its own: all its metrics, with the footnotes of `views` on ways of training."""
    return View(trainings={training: note for view in views.values() for training, note in view.trainings.items()})
