"""The statements of each report, judged by the runs on its own data only."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from analysis.claims.judge import curves, judge
from analysis.claims.statements import Statements
from analysis.claims.text import NOTES
from analysis.report.parts import Part
from analysis.report.sections import Section, Table, notes
from analysis.tables.cells import Cells
from analysis.tables.columns import TRAINING
from pipelines.experiments.base import NO_TRAINING


def section(parts: Sequence[Part], statements: Mapping[str, Statements]) -> Section:
    """The section with a table of verdicts for each entry and way of training that tests something."""
    judged = [part for part in parts if part.entry in statements and len(part.rows)]
    found = [each for part in judged if part.is_published for each in _judged(part, statements[part.entry])]
    shown = [each for each in found if isinstance(each, Table)]
    untested = [each for each in found if isinstance(each, str)]
    elsewhere = [
        f"`python -m analysis claims --entry {part.entry} --dataset {shlex.quote(part.dataset)}`"
        for part in judged
        if not part.is_published
    ]
    views = [each.view for each in statements.values()]
    own = " and ".join(dict.fromkeys(view.called(view.dataset) for view in views))
    text = [f"What the course reports say in words of {own}, judged by their own tables and by our runs on these."]
    text += untested if found else ["There are no runs on these data."]
    if elsewhere:
        text.append(f"Whether the same words hold on other data: {'; '.join(elsewhere)}.")
    return Section("claims", "The course reports' statements", tuple(text), tuple(shown))


def _judged(part: Part, statements: Statements) -> Iterator[Table | str]:
    """A table of verdicts for each way of training, or a sentence where its rows test nothing."""
    from analysis.runs.histories import histories  # here, since importing mlflow takes seconds

    for judged in judge(statements, part.chosen, curves(statements, part.chosen, histories)):
        caption = f"{part.entry}, {part.data}, {judged.training}"
        if not judged.tests:
            yield f"No statement is tested by the rows of {caption}."
            continue
        header = ("claim, or what we find", "as published", "by ours", "evidence")
        lines = [(each.claim.text, each.report, each.ours, each.evidence) for each in judged.reported + judged.found]
        trained = part.chosen[part.chosen[TRAINING].isin((judged.training, NO_TRAINING))]
        yield Table(caption, Cells(header, lines, 0), (*NOTES, *notes(part, trained)))
