"""Errors where there is nothing to compare, each with a remedy that fits: no runs, none finished, no such entry."""

import re
from collections import Counter
from collections.abc import Sequence

import click
import pandas as pd

from analysis.entries import tune
from analysis.entries.index import VIEWS
from analysis.errors import InputError, NothingFoundError
from analysis.tables.columns import FEW, PARTS
from analysis.tables.order import distinct
from pipelines import names
from pipelines.common.command import hint
from pipelines.errors import meant, nearest

# Entries whose runs are no rows: what they make stands under the entries of VIEWS.
_WITHOUT_ROWS = ("main", "report", "reproduce")


# A condition of MLflow's search on one parameter, tag or metric: its kind, name, operator and value.
_CONDITION = re.compile(
    r"\b(tags?|params?|parameters?|metrics?)\.(`[^`]+`|\"[^\"]+\"|[\w./-]+)"
    r"\s*(!=|<=|>=|=|<|>|I?LIKE\b)\s*('[^']*'|\"[^\"]*\"|[^\s'\"]+)",
    re.IGNORECASE,
)
_KINDS = {"tag": "tags", "param": "params", "parameter": "params", "parameters": "params", "metric": "metrics"}
_KINDS |= {kind: kind for kind in ("tags", "params", "metrics")}


def nothing(entry: str, narrowed: bool, experiment: str = "", asked: str = "") -> click.ClickException:
    """Error where no finished run of `entry` was found.

    Args:
        entry: as requested.
        narrowed: whether where or since restricted the runs.
        experiment: the only experiment that was read, if any.
        asked: what was asked for that no run has, see `unmet`.
    """
    from analysis.server import uri  # here, since importing mlflow takes seconds that --help should not

    place = f"the experiment {experiment} at {uri()}" if experiment else uri()
    if entry in _WITHOUT_ROWS:
        return NothingFoundError(
            f"{entry} has no rows of its own to compare{_there(entry, experiment)}: give --entry all, or one of "
            f"{', '.join(VIEWS)}"
        )
    if entry not in ("all", tune.NAME, *VIEWS) and (error := unknown(entry, experiment)):
        return error
    found = (
        f"no finished {'trials' if entry == tune.NAME else 'runs'}{'' if entry == 'all' else f' of {entry}'} at {place}"
    )
    if asked:
        return NothingFoundError(f"{found} meet where: {asked}")
    if narrowed:
        return NothingFoundError(f"{found} meet where and since: widen these{_remedy(entry)}")
    return NothingFoundError(f"{found}{_there(entry, experiment)}{_remedy(entry)}")


def unmet(where: str, runs: pd.DataFrame) -> str:
    """What a condition asks for that none of `runs` has, with what there is instead; "" where each part is met by some.

    Args:
        where: in MLflow's search syntax.
        runs: as of frames.find, without the condition.
    """
    for kind, quoted, operator, wanted in _CONDITION.findall(where):
        kind, name, value = _KINDS[kind.lower()], quoted.strip('`"'), wanted.strip("'\"")
        called = "parameter" if kind == "params" else kind[:-1]
        there = {str(column) for column in runs if runs[column].notna().any()}
        own = sorted(column.removeprefix(f"{kind}.") for column in there if column.startswith(f"{kind}."))
        shown = [each for each in own if not each.startswith("mlflow.")]
        if name not in own and names.present(name) not in own:
            return f"none has the {called} {name!r:.60}; {_offered(name, shown)}"
        if kind != "metrics" and operator == "=":
            values = [str(each) for each in distinct(runs[f"{kind}.{name}"]) if each != ""]
            if value not in values:
                return f"none has the {called} {name} {value!r:.60}; {_offered(value, values)}"
    return ""


def _offered(name: str, known: Sequence[str]) -> str:
    """The nearest of those `known`, and up to FEW of them."""
    more = f" and {len(known) - FEW} more" if len(known) > FEW else ""
    near = nearest(name, known)
    return f"{near}{'T' if near else 't'}here are {', '.join(known[:FEW])}{more}"


def _remedy(entry: str) -> str:
    """The command that makes runs of an entry, where it is one of this project's."""
    if entry == "all":
        return f"; make some with: {hint('python -m pipelines recurrent')} (of other projects: --experiment NAME)"
    return f"; make some with: {hint(f'python -m pipelines {entry}')}" if entry in (tune.NAME, *VIEWS) else ""


def _there(entry: str, experiment: str) -> str:
    """The runs of `entry` that there are, none of which was found, as `` (2 rows FAILED, 1 launch FINISHED)``."""
    from analysis.runs import records

    counts: Counter[tuple[str, str]] = Counter()
    for record in records.every(entry, experiment=experiment):
        kind = next((kind for column, kind in PARTS.items() if record.get(column) is not None), "launch")
        counts[kind, str(record["status"])] += 1
    listed = [f"{count} {_plural(kind, count)} {status}" for (kind, status), count in counts.items()]
    return f" ({', '.join(listed)})" if listed else ""


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 else {"launch": "launches"}.get(kind, f"{kind}s")


def unknown(entry: str, experiment: str) -> InputError | None:
    """Error for an entry that no run on the server names; None where there is one."""
    from analysis.runs import records

    recorded = (record.get(f"tags.{names.ENTRY}") for record in records.every(experiment=experiment))
    there = sorted({str(each) for each in recorded if each is not None})
    if entry in there:
        return None
    known = dict.fromkeys(["all", *VIEWS, tune.NAME, *there])
    return InputError(
        f"entry: unknown entry {entry!r:.60}; {meant(entry, known)}. "
        f"Entries on this server: {', '.join(there) or 'none'}"
    )
