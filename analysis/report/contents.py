"""Contents of a report, handed in: which entries it is about, their sections, costs and flaws."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.claims.statements import Statements
from analysis.report.artifacts import Artifacts
from analysis.report.flaws import Flaw
from analysis.report.parts import Part
from analysis.report.sections import Section
from analysis.view import View


@dataclass(frozen=True)
class Chapter:
    """Sections on the parts of some entries, one for each data set, or one that says how to make runs."""

    entries: tuple[str, ...]
    sections: Callable[[Sequence[Part], Artifacts], Iterable[Section]]


@dataclass(frozen=True)
class Cost:
    """A plot of error against cost of the rows of some entries, for each data set.

    Attributes:
        name: of the figure.
        entries: whose rows are compared.
        metric: the error, or an accuracy in percent, of which the error is what is missing to 100.
        is_accuracy: whether it is one.
        cost: metric that is the cost.
        unit: of the cost on the axis.
        title: of the plot; ``{data}`` stands for what the data are called.
        cost_label: of the axis.
        error_label: of the axis.
    """

    name: str
    entries: tuple[str, ...]
    metric: str
    is_accuracy: bool
    cost: str
    title: str
    cost_label: str
    error_label: str
    unit: float = 1.0


@dataclass(frozen=True)
class Contents:
    """Everything that a report is handed about its subject.

    Attributes:
        about: its first sentence.
        views: entry to its view, in the order of the report.
        statements: entry to what its report says in words, of those that say something.
        chapters: sections on the entries.
        costs: plots of error against cost.
        flaws: of the published protocols and texts.
        reports: name of a course report to the entries that it is about.
    """

    about: str
    views: Mapping[str, View]
    statements: Mapping[str, Statements]
    chapters: tuple[Chapter, ...]
    costs: tuple[Cost, ...]
    flaws: tuple[Flaw, ...]
    reports: Mapping[str, tuple[str, ...]]
