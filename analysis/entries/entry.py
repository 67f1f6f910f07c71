"""An entry: what the analysis knows of one experiment, and nothing else does."""

from dataclasses import dataclass

from analysis.claims.statements import Statements
from analysis.report.contents import Chapter, Cost
from analysis.view import View


@dataclass(frozen=True)
class Entry:
    """What the analysis knows of the runs that the command `name` makes.

    Attributes:
        name: tag of its runs.
        view: what a comparison of them shows.
        statements: what its report says in words, if anything.
        chapter: its sections of the report; None where they are another entry's too.
        cost: its plot of error against cost; None where that is another entry's too.
    """

    name: str
    view: View
    statements: Statements | None = None
    chapter: Chapter | None = None
    cost: Cost | None = None
