"""Differences between two runs, and how much is alike."""

import itertools
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import escapes
from analysis.escapes import plain
from analysis.formats import markdown
from analysis.stats import MISSING, number
from analysis.tables.cells import shortened
from pipelines import names
from pipelines.common.screen import Align, Cell, Column, Emphasis, Table

_CODE = {"mlflow.source.git.commit", "mlflow.source.git.dirty", "mlflow.source.name", "mlflow.source.type"}
_DATA = {names.DATASET, names.DATA_DIGEST, names.VERIFIED}
# Tags of the process, which differ between any two runs.
_PASSING = {
    names.CHECKPOINT,
    names.CLAIM,
    names.PID,
    names.PROCESS_START,
    names.PROCESS_TICKS,
    names.BOOT,
    names.PID_NAMESPACE,
}


@dataclass(frozen=True)
class Difference:
    """A value that two runs do not share, in the `part` of a run called `name`; None where a run has none."""

    part: str
    name: str
    left: object
    right: object

    @property
    def change(self) -> float:
        """Right minus left, NaN unless both are numbers."""
        left, right = number(self.left), number(self.right)
        return math.nan if left is None or right is None else right - left


@dataclass(frozen=True)
class Comparison:
    """Two runs by id and name, their differences by part and name, and for each part how many values are alike."""

    left: str
    right: str
    differences: tuple[Difference, ...]
    alike: Mapping[str, int]


SHARED = "…"  # for what two command lines share
PARTS = ("run", "parameters", "metrics", "data", "code", "environment")


def compare(left: Mapping[str, object], right: Mapping[str, object]) -> Comparison:
    """Compares two flat records, as records.one gives them, in all but their ids, times and processes."""
    differences, alike = [], dict.fromkeys(PARTS, 0)
    for column in sorted({*left, *right}):
        part, name = _part(column)
        if not part or (part == "parameters" and all(_is_tag_too(name, record) for record in (left, right))):
            continue
        ours, theirs = _present(left.get(column)), _present(right.get(column))
        if ours == theirs:
            alike[part] += ours is not None
        else:
            differences.append(Difference(part, name, ours, theirs))
    differences.sort(key=lambda difference: (PARTS.index(difference.part), difference.name))
    return Comparison(_called(left), _called(right), tuple(differences), alike)


def to_markdown(comparison: Comparison) -> str:
    """A table for each part that differs, and a line on what is alike."""
    parts = [f"# {escapes.markdown(_title(comparison))}"]
    for part in PARTS:
        own = [difference for difference in comparison.differences if difference.part == part]
        if own:
            parts.append(f"## {part}\n\n{_table(own)}")
    return "\n\n".join([*parts, _alike(comparison)]) + "\n"


def to_json(comparison: Comparison) -> str:
    """The differences as objects at full precision; what is missing or not finite is null."""
    listed = [
        {"part": each.part, "name": each.name, "left": _finite(each.left), "right": _finite(each.right)}
        for each in comparison.differences
    ]
    whole = {
        "left": comparison.left,
        "right": comparison.right,
        "differences": listed,
        "alike": dict(comparison.alike),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


FORMATS = {"markdown": to_markdown, "json": to_json}


def drawn(comparison: Comparison) -> Table:
    """The differences for a screen, the runs side by side; of metrics, whether the right one is better."""
    left, right = (Column(plain(run), wraps=True) for run in (comparison.left, comparison.right))
    columns = [Column("part"), Column("name"), left, right, Column("right - left", Align.RIGHT, rank=1)]
    lines, before = [], ""
    for each in comparison.differences:
        values = [Cell(text, Emphasis.DIM if text == MISSING else Emphasis.NONE) for text in map(plain, _both(each))]
        change = Cell("" if math.isnan(each.change) else f"{each.change:+.4g}", _merit(each))
        lines.append([Cell("" if each.part == before else each.part), Cell(plain(each.name)), *values, change])
        before = each.part
    return Table(columns if lines else [], lines, plain(_title(comparison)), [_alike(comparison)])


def _title(comparison: Comparison) -> str:
    return f"{comparison.left} and {comparison.right}"


def _alike(comparison: Comparison) -> str:
    alike = ", ".join(f"{count} {part}" for part, count in comparison.alike.items() if count)
    shortened = any(text.startswith(SHARED) for each in comparison.differences for text in _both(each))
    note = f" {SHARED} in a {names.COMMAND}: what both lines have." if shortened else ""
    return f"Alike: {alike or 'nothing'}.{note}"


def _merit(difference: Difference) -> Emphasis:
    """Whether the right run is better, where that is known of a metric."""
    lowest = names.lowest_is_best(difference.name) if difference.part == "metrics" else None
    if lowest is None or math.isnan(difference.change):
        return Emphasis.NONE
    return Emphasis.BETTER if (difference.change < 0) == lowest else Emphasis.WORSE


def _part(column: str) -> tuple[str, str]:
    """The part of a run that a column belongs to, none for what differs by nature, and its name there."""
    kind, _, name = column.partition(".")
    if kind == "params":
        return "parameters", name
    if kind == "metrics":
        return "metrics", name
    if kind == "tags":
        if name in _PASSING or name == names.PARENT_RUN:
            return "", name
        identity = {names.ENTRY, names.ROW, names.SEED, names.TRAINING, names.STUDY}
        sets = (("data", _DATA), ("code", _CODE), ("run", identity))
        return next((part for part, own in sets if name in own), "environment"), name
    if column == "datasets":
        return "data", column
    return ("run", column) if column in ("experiment", "status") else ("", column)


def _is_tag_too(name: str, record: Mapping[str, object]) -> bool:
    """Whether a parameter is what the run's tag of that name says, which stands under another part."""
    return f"tags.{name}" in record and record.get(f"params.{name}") == record[f"tags.{name}"]


def _present(value: object) -> object:
    """`value`, None for what is missing; NaN, which equals nothing, as its name."""
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return None if value is None or value is pd.NaT else value


def _called(record: Mapping[str, object]) -> str:
    return f"{record['run_name'] or 'run'} ({str(record['run_id'])[:8]})"


def _table(differences: Sequence[Difference]) -> str:
    numeric = all(not math.isnan(difference.change) for difference in differences)
    header = ["", "left", "right", *(["right - left"] if numeric else [])]
    lines = [[each.name, *_both(each), *([f"{each.change:+.4g}"] if numeric else [])] for each in differences]
    return markdown(header, lines, numeric=3 if numeric else 0)


def _both(difference: Difference) -> tuple[str, str]:
    left, right = difference.left, difference.right
    if difference.name == names.COMMAND and isinstance(left, str) and isinstance(right, str):
        return _own(left, right), _own(right, left)
    return _shown(left), _shown(right)


def _own(line: str, other: str) -> str:
    """What a command line has and the `other` has not, in full: options with their values, and the command."""
    theirs = _clauses(other)
    own = [clause for clause in _clauses(line) if clause not in theirs]
    return " ".join(own if own == _clauses(line) else [SHARED, *own])


def _clauses(line: str) -> list[str]:
    """A command line's command and options, each option with its values."""
    try:
        words = shlex.split(line)
    except ValueError:  # no command line of ours
        return [line]
    starts = [0, *(at for at, word in enumerate(words) if at and word.startswith("--")), len(words)]
    return [shlex.join(words[start:end]) for start, end in itertools.pairwise(starts)]


def _shown(value: object) -> str:
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else shortened(str(value))


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
