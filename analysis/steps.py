"""What to do next, as commands, after a result that a terminal shows."""

from collections.abc import Mapping, Sequence

from analysis.claims.judge import Judgement
from analysis.claims.statements import Statements
from analysis.diff import Comparison
from analysis.listed import Listing
from analysis.sweep import Fate
from analysis.tables.columns import ROW
from analysis.tables.table import Table
from pipelines import names
from pipelines.common.command import hint
from pipelines.common.run_ids import SHORT
from pipelines.experiments.base import NO_TRAINING
from pipelines.processes.liveness import ALIVE, GONE


def report() -> str:
    """The command that writes everything to one page."""
    return hint("python -m analysis report")


def baseline(tables: Sequence[Table]) -> str:
    """A row that the other lines of `tables` can be compared to: of those with one line in each table that has them,
    the first of the catalogue; "" where there is none, or nothing to compare."""
    rows = [list(table.lines[names.ROW]) for table in tables if names.ROW in table.lines]
    if len(rows) < len(tables) or max(map(len, rows), default=0) < 2:
        return ""
    known = (row for table in tables for row in table.view.rows)
    each_once = (row for row in known if {own.count(row) for own in rows} | {0} == {0, 1})
    return next(each_once, "")


def after_claims(
    entry: str, statements: Statements, judgements: Sequence[Judgement], elsewhere: Mapping[str, int]
) -> list[str]:
    """The commands that make the rows which claims lack, and that show the data set on which more claims are tested.

    Args:
        entry: whose claims they are.
        statements: the entry's.
        judgements: those shown.
        elsewhere: how many claims are tested on each other data set.
    """
    steps = []
    for judgement in judgements:
        trained = {"": "", NO_TRAINING: ""} | {
            training: f" {statements.training_option} {training}" if number else ""
            for number, training in enumerate(statements.view.trainings)
            if not number or statements.training_option
        }
        if judgement.missing and judgement.training in trained:
            rows = ",".join(judgement.missing)
            given = f"{statements.rows_option} {rows} --dataset {judgement.dataset}{trained[judgement.training]}"
            steps.append(f"{hint(f'python -m pipelines {entry} {given}')}  # what the claims lack")
    tested = max(judgement.tests for judgement in judgements)
    best = max(elsewhere, key=elsewhere.__getitem__, default="")
    if best and elsewhere[best] > tested:
        tests = hint(f"python -m analysis claims --entry {entry} --dataset {best}")
        steps.append(f"{tests}  # tests {elsewhere[best]} claims")
    return steps or [report()]


def after_runs(listing: Listing) -> str:
    """The command that compares the first two runs of a list, or writes the one there is to a file."""
    if len(listing.runs) < 2:
        return hint("python -m analysis export --output runs.csv")
    return hint(f"python -m analysis diff {' '.join(run.run_id[:SHORT] for run in listing.runs[:2])}")


def after_diff(comparison: Comparison, left: Mapping[str, object], right: Mapping[str, object]) -> str:
    """The table of the runs' entry, where it has both, with the parameters in which they differ."""
    parameters = [each.name for each in comparison.differences if each.part == "parameters"]
    made = {str(run.get(f"tags.{names.ENTRY}")) for run in (left, right) if run.get(ROW)}
    if len(made) != 1 or not all(run["status"] == "FINISHED" and run.get(ROW) for run in (left, right)):
        return hint("python -m analysis runs")
    columns = f" --columns {','.join(parameters)}" if parameters else ""
    return hint(f"python -m analysis compare --entry {made.pop()}{columns}")


def after_sweep(fates: Sequence[Fate], dry_run: bool) -> list[str]:
    """The commands that continue the launches of what was marked, or that mark it, or show what still runs."""
    states = {fate.state for fate in fates}
    if dry_run and GONE in states:
        return [hint("python -m analysis sweep")]
    gone = [fate for fate in fates if fate.state == GONE]
    running = {fate.run_id for fate in fates} - {fate.run_id for fate in gone}
    commands = (fate.continued for fate in gone if fate.launch not in running)
    after = hint(f"python -m analysis {'watch' if ALIVE in states else 'runs'}")
    return list(dict.fromkeys(filter(None, commands))) or [after]
