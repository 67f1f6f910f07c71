"""What runs are sorted by: a metric, or a name as MLflow's search has it, with ``-`` before it for descending."""

import itertools
from collections.abc import Iterable, Iterator

from mlflow.entities import Run

from analysis.runs.search import search
from analysis.runs.values import is_kept
from analysis.tables.columns import unknown
from pipelines import names

_KINDS = ("metrics", "params", "tags")
_ATTRIBUTES = {"start_time", "end_time", "status", "run_name", "run_id"}


def order(sort: str) -> str:
    """The order by `sort` in MLflow's search syntax."""
    kind, key = _kind(sort)
    return f"{f'{kind}.`{key}`' if kind else key} {'DESC' if sort.startswith('-') else 'ASC'}"


def sortable(found: Iterator[Run], sort: str, condition: str, experiment: str) -> Iterator[Run]:
    """The runs `found`, sorted; the first lacks what they are sorted by only if all do, and then that is refused."""
    kind, key = _kind(sort)
    first = list(itertools.islice(found, 1))
    for run in first:
        if kind and not {key, names.present(key), names.earlier(key)} & getattr(run.data, kind).keys():
            raise unknown("sort", sort.removeprefix("-"), _sortables(search(condition, experiment)))
    return itertools.chain(first, found)


def _kind(sort: str) -> tuple[str, str]:
    """Kind and name of what to sort by; the kind of MLflow's own attributes is ""."""
    name = sort.removeprefix("-")
    if name.removeprefix("attributes.") in _ATTRIBUTES:
        return "", name.removeprefix("attributes.")
    kind, _, key = name.partition(".")
    return (kind, key) if key and kind in _KINDS else ("metrics", name)


def _sortables(runs: Iterable[Run]) -> set[str]:
    """What `runs` can be sorted by, as `--sort` takes it."""
    full = {(kind, key) for run in runs for kind in _KINDS for key in getattr(run.data, kind)}
    named = {names.present(key) if kind == "metrics" else f"{kind}.{key}" for kind, key in full}
    return _ATTRIBUTES | {name for name in named if is_kept(name)}
