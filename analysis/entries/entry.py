"""An entry: everything in the analysis that is specific to one experiment."""

from dataclasses import dataclass

from analysis.claims.statements import Statements
from analysis.report.contents import Chapter, Cost
from analysis.view import View


@dataclass(frozen=True)
class Entry:
    """Everything in the analysis that is specific to the runs of one command.

    Attributes:
        name: of the command, which its runs have as a tag.
        view: what a comparison of them shows.
        statements: what its course report says in words, if anything.
        chapter: its sections of the report; None where they are another entry's too.
        cost: its plot of error against cost; None where that is another entry's too.
    """

    name: str
    view: View
    statements: Statements | None = None
    chapter: Chapter | None = None
    cost: Cost | None = None
