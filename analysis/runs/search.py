"""Search of the tracking server for runs, in MLflow's syntax: conditions, pages, and experiments."""

import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from analysis.errors import InputError
from analysis.runs import earlier
from analysis.server import is_empty, reach, settled, unreadable, uri
from pipelines import names
from pipelines.common.server import one_line
from pipelines.common.streams import announce
from pipelines.errors import meant

# Runs in one request; fewer from a server, since a busy one takes 9 s for 1000, which exceeds the time limit.
PAGE = 1000
SERVER_PAGE = 250

# Runs that finish while we read come last and shift no page.
OLDEST_FIRST = "attributes.start_time ASC"
NEWEST_FIRST = "attributes.start_time DESC"

# Part of MLflow's error for a run without a start time, which it cannot read; and the condition that excludes these.
_NO_START, _HAS_START = "start_time cannot be None", f"attributes.start_time >= {-(2**63)}"

_UNQUOTED_PARAM = re.compile(r"(\bparam(?:eter)?s?\.(?:`[^`]+`|\"[^\"]+\"|[\w.-]+)\s*!?=\s*)([^\s'\"]+)")


def search(filter_string: str, experiment: str = "", order: str = OLDEST_FIRST, limit: int = 0) -> Iterator[Run]:
    """Runs that are not deleted, a page at a time; all at once where metrics in the condition or order had other names.

    MLflow's search knows no "or", so each spelling is a search of its own.
    """
    if is_empty():
        return
    client = reach()
    experiments = experiment_ids(client, experiment)
    spelled = earlier.spellings(filter_string, order)
    if len(spelled) == 1:
        yield from pages(client, experiments, filter_string, order, limit)
        return
    conditions = dict.fromkeys(condition for condition, _ in spelled)
    found = {run.info.run_id: run for condition in conditions for run in pages(client, experiments, condition)}
    yield from _ordered(found.values(), spelled[0][1])[: limit or None]


def _ordered(runs: Iterable[Run], order: str) -> list[Run]:
    """Sort runs as the server does by such an `order`, those without a value last."""
    column, _, direction = order.rpartition(" ")
    kind, dot, key = column.replace("`", "").partition(".")

    def value(run: Run) -> Any:
        if kind == "metrics":
            metrics = run.data.metrics
            number = metrics.get(key, metrics.get(names.earlier(key), math.nan))
            return None if math.isnan(number) else number
        if kind in ("params", "tags"):
            return getattr(run.data, kind).get(key)
        return getattr(run.info, key if dot else kind)

    valued = [run for run in runs if value(run) is not None]
    missing = [run for run in runs if value(run) is None]
    return sorted(valued, key=value, reverse=direction == "DESC") + missing


def pages(
    client: MlflowClient, experiments: Sequence[str], filter_string: str, order: str = OLDEST_FIRST, limit: int = 0
) -> Iterator[Run]:
    """Runs of these experiments that are not deleted, a page at a time.

    Args:
        client: one whose server has answered.
        experiments: their ids.
        filter_string: in MLflow's search syntax.
        order: in MLflow's syntax.
        limit: how many runs; 0 for all.

    Raises:
        InputError: bad filter, or a tracking server that cannot be read.
    """
    token = None
    left = limit or sys.maxsize
    page_size = SERVER_PAGE if settled().startswith("http") else PAGE
    while experiments and left:
        try:
            page = client.search_runs(
                list(experiments), filter_string, max_results=min(page_size, left), order_by=[order], page_token=token
            )
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise InputError(
                    f"bad filter, MLflow's search does not take it: {one_line(error)} (a name with a space, a hyphen "
                    "or the like stands in backticks, after its kind: params.`x y` = 1, metrics.`f1-score` > 0.5)"
                ) from error
            if _NO_START in str(error) and _HAS_START not in filter_string:
                # Nothing of this page was given yet, so that its offset is right for the others too.
                announce("left out: runs without a start time, which MLflow does not read")
                filter_string = " and ".join(filter(None, (filter_string, _HAS_START)))
                continue
            raise unreadable(error) from error
        yield from page
        left -= len(page)
        token = page.token
        if not token:
            return


def experiment_ids(client: MlflowClient, name: str = "") -> list[str]:
    """Ids of all experiments, or of the one of that name.

    Raises:
        InputError: there is none of that name.
    """
    ids: dict[str, str] = {}
    token = None
    while True:
        page = client.search_experiments(max_results=SERVER_PAGE, page_token=token)
        ids |= {experiment.name: experiment.experiment_id for experiment in page}
        token = page.token
        if not token:
            break
    if not name:
        return list(ids.values())
    if name not in ids:
        raise InputError(f"experiment: {name!r} is not at {uri()}; {meant(name, sorted(ids))}")
    return [ids[name]]


def conditions(entry: str, where: str, since: str) -> list[str]:
    """What is asked of runs, each in MLflow's search syntax: the arguments are those of frames.find."""
    met = []
    if entry != "all":
        met.append(f"tags.{names.ENTRY} = '{entry}'")
    if since:
        met.append(f"attributes.start_time >= {milliseconds(since)}")
    if where:
        met.append(_UNQUOTED_PARAM.sub(r"\1'\2'", where))
    return met


def milliseconds(date: str) -> int:
    """Milliseconds since 1970 of an ISO date or time, see `moment`."""
    return int(moment(date).timestamp() * 1000)


def moment(date: str) -> datetime:
    """The time of an ISO date or time, local unless it has an offset.

    Raises:
        InputError: it is none.
    """
    try:
        return datetime.fromisoformat(date).astimezone()
    except (ValueError, OverflowError) as error:
        raise InputError(f"since: {date!r} is not an ISO date; write e.g. 2026-11-22") from error
