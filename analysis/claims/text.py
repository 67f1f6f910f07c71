"""Verdicts as text: markdown, JSON, and tables for a terminal."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from analysis.claims.judge import NOT_SUPPORTED, NOT_TESTED, SUPPORTED, Judgement, Verdict
from analysis.claims.statements import Statements
from analysis.escapes import markdown as escaped
from analysis.escapes import plain
from analysis.formats import markdown
from analysis.tables.notes import unverified
from pipelines.common.screen import Cell, Column, Emphasis, Table

NOTES = (
    "Verdicts compare means as they are, without a test of significance; n counts runs.",
    "Of each row the runs of one setting count: the one nearest to the catalogue's.",
)

_EMPHASIS = {SUPPORTED: Emphasis.BETTER, NOT_SUPPORTED: Emphasis.WORSE, NOT_TESTED: Emphasis.DIM}


def to_markdown(entry: str, statements: Statements, judgements: Sequence[Judgement]) -> str:
    """The verdicts as two tables for each dataset and training protocol, with footnotes once.

    A protocol whose rows alone test nothing has no tables beside one whose rows do.
    """
    parts = [part for judgement in telling(judgements) for part in _tables(entry, judgement, statements.view.dataset)]
    parts += map(escaped, _untold(judgements))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in _notes(statements, judgements))]) + "\n"


def to_json(entry: str, statements: Statements, judgements: Sequence[Judgement]) -> str:
    """The verdicts as a list of objects; `report` is null of our findings, and where the data are not the report's."""
    listed = [
        {
            "entry": entry,
            "dataset": judgement.dataset,
            "training": judgement.training,
            "claim": verdict.claim.text,
            "source": verdict.claim.source,
            "report": verdict.report if verdict in judgement.reported and compares else None,
            "ours": verdict.ours,
            "evidence": verdict.evidence,
        }
        for judgement in judgements
        for compares in [judgement.dataset == statements.view.dataset]
        for verdict in (*judgement.reported, *judgement.found)
    ]
    return json.dumps(listed, indent=2, ensure_ascii=False) + "\n"


FORMATS = {"markdown": to_markdown, "json": to_json}


def drawn(entry: str, statements: Statements, judgements: Sequence[Judgement]) -> list[Table]:
    """As `to_markdown`, for a screen."""
    tables = [table for judgement in telling(judgements) for table in _drawn(entry, judgement, statements.view.dataset)]
    notes = [*_untold(judgements), *_notes(statements, judgements)]
    return [*tables[:-1], replace(tables[-1], notes=[*tables[-1].notes, *map(plain, notes)])]


def telling(judgements: Sequence[Judgement]) -> Sequence[Judgement]:
    """Those that test a claim, or all if none does."""
    return [judgement for judgement in judgements if judgement.tests] or judgements


def _untold(judgements: Sequence[Judgement]) -> list[str]:
    """What is said of those that are not `telling`."""
    return [
        f"No claim is tested by the rows trained {judgement.training} alone; what they lack: "
        f"--training {judgement.training}."
        for judgement in judgements
        if judgement not in telling(judgements)
    ]


def _notes(statements: Statements, judgements: Sequence[Judgement]) -> list[str]:
    trainings = {judgement.training for judgement in judgements}
    return [*NOTES, *statements.notes, *statements.view.training_notes(trainings)]


def _doubts(judgement: Judgement) -> Iterator[str]:
    """What is to be known of the runs that judge."""
    if judgement.departures:
        yield f"Settings that are not the catalogue's: {'; '.join(judgement.departures)}."
    if judgement.unverified:
        yield unverified(judgement.unverified, judgement.rows)


def _other_data(dataset: str, own: str) -> str:
    return (
        f"The course report is about {own}. These are the same words about {dataset}: whether they hold here says "
        "nothing of that report."
    )


def _drawn(entry: str, judgement: Judgement, own: str) -> Iterator[Table]:
    """The verdicts on one dataset and protocol, and our own findings."""
    title = plain(f"{entry}, {judgement.dataset}, {judgement.training}")
    compares = judgement.dataset == own
    sources = list(dict.fromkeys(verdict.claim.source for verdict in judgement.reported))
    reported = [
        [
            _word(verdict.ours),
            *([_word(verdict.report)] if compares else []),
            *_said(verdict, f" [{sources.index(verdict.claim.source) + 1}]"),
        ]
        for verdict in judgement.reported
    ]
    found = [[_word(verdict.ours), *_said(verdict)] for verdict in judgement.found]
    ours, theirs = Column("by ours"), Column("as published")
    claim, finding, evidence = (Column(each, wraps=True) for each in ("claim", "finding", "evidence"))
    columns = [ours, *([theirs] if compares else []), claim, evidence]
    notes = [] if compares else [plain(_other_data(judgement.dataset, own))]
    notes.append(plain("; ".join(f"[{number}] {source}" for number, source in enumerate(sources, 1)) + "."))
    yield Table(columns, reported, title, notes)
    yield Table([ours, finding, evidence], found, f"{title}: our own findings", list(map(plain, _doubts(judgement))))


def _word(verdict: str) -> Cell:
    return Cell(verdict, _EMPHASIS[verdict])


def _said(verdict: Verdict, source: str = "") -> list[Cell]:
    return [Cell(plain(verdict.claim.text) + source), Cell(plain(verdict.evidence), Emphasis.DIM)]


def _tables(entry: str, judgement: Judgement, own: str) -> Iterator[str]:
    """The verdicts on one dataset and protocol, with the report's own where that is its dataset `own`."""
    dataset = escaped(judgement.dataset)
    compares = judgement.dataset == own
    yield f"## {entry}, {dataset}, {escaped(judgement.training)}"
    if not compares:
        yield _other_data(dataset, own)
    header = ["claim", "source", *(["as published"] if compares else []), "by ours", "evidence"]
    yield markdown(header, [_reported(verdict, compares) for verdict in judgement.reported])
    yield "### Our own findings"
    found = [[verdict.claim.text, verdict.ours, verdict.evidence] for verdict in judgement.found]
    yield markdown(["finding", "by ours", "evidence"], found)
    yield from map(escaped, _doubts(judgement))


def _reported(verdict: Verdict, compares: bool) -> list[str]:
    claim = verdict.claim
    return [claim.text, claim.source, *([verdict.report] if compares else []), verdict.ours, verdict.evidence]
