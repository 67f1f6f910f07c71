"""Verdicts as markdown."""

from collections.abc import Iterator, Sequence

from analysis.claims.judge import Judgement, Verdict
from analysis.claims.statements import Statements
from analysis.escapes import markdown as escaped
from analysis.formats import markdown
from analysis.tables.notes import unverified

NOTES = (
    "Verdicts compare means as they are, without a test of significance; n counts runs.",
    "Of each row the runs of one setting count: the one nearest to the catalogue's.",
)


def to_markdown(entry: str, statements: Statements, judgements: Sequence[Judgement]) -> str:
    """The verdicts as two tables for each dataset and training protocol, with footnotes once.

    A protocol whose rows alone test nothing has no tables beside one whose rows do.
    """
    telling = [judgement for judgement in judgements if judgement.tested] or judgements
    parts = [part for judgement in telling for part in _tables(entry, judgement, statements.view.dataset)]
    parts += [
        f"No claim is tested by the rows trained {judgement.training} alone; what they lack: "
        f"--training {escaped(judgement.training)}."
        for judgement in judgements
        if judgement not in telling
    ]
    trainings = {judgement.training for judgement in judgements}
    notes = [*NOTES, *statements.notes, *statements.view.training_notes(trainings)]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def _tables(entry: str, judgement: Judgement, own: str) -> Iterator[str]:
    """The verdicts on one dataset and protocol, with the report's own where that is its dataset `own`."""
    dataset = escaped(judgement.dataset)
    compares = judgement.dataset == own
    yield f"## {entry}, {dataset}, {escaped(judgement.training)}"
    if not compares:
        yield (
            f"The report is about {own}. These are the same words about {dataset}: whether they hold here says nothing "
            "of the report."
        )
    header = ["claim", "source", *(["by the report"] if compares else []), "by ours", "evidence"]
    yield markdown(header, [_reported(verdict, compares) for verdict in judgement.reported])
    yield "### Our own findings"
    found = [[verdict.claim.text, verdict.ours, verdict.evidence] for verdict in judgement.found]
    yield markdown(["finding", "by ours", "evidence"], found)
    if judgement.departures:
        yield escaped(f"Settings that are not the catalogue's: {'; '.join(judgement.departures)}.")
    if judgement.unverified:
        yield escaped(unverified(judgement.unverified, judgement.rows))


def _reported(verdict: Verdict, compares: bool) -> list[str]:
    claim = verdict.claim
    return [claim.text, claim.source, *([verdict.report] if compares else []), verdict.ours, verdict.evidence]
