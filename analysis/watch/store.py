"""Reading of the tracking server for a live page, again and again: cheap where nothing is new."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException

from analysis.errors import InputError
from analysis.runs import search
from analysis.server import is_empty, reach, unreadable, uri
from analysis.watch import progress
from analysis.watch.seen import RUNNING, Beat, Found, Point, Seen
from pipelines import names
from pipelines.common import addresses
from pipelines.processes.liveness import SILENT_S

# A plan is logged a moment after its launch begins: it is asked for again at most so long after, so many seconds apart.
_PLANNED_S, _PLAN_EVERY_S = 120, 5
_PLAN_WAIT_S = 2  # for a store of artifacts, which may be out of reach from here; its answer counts when it comes

# Without a reading for so long, a heartbeat may have been missed: what was known of it does not count.
_MISSED_S = SILENT_S / 2

# Runs that are read at most of those that ended lately.
_MOST_ENDED = 500


class Store:
    """Reads the runs under way and those that ended lately.

    What cannot change is read once: the other runs of a launch until one of them begins or ends, plans, and the history
    of a metric until it has a new value.

    Args:
        experiment: name of the only experiment to read; empty for all.
        recent_s: for how long runs that ended are read.
        clock: the time of day, seconds since 1970.
    """

    def __init__(self, experiment: str = "", recent_s: float = 600, clock: Callable[[], float] = time.time):
        self._experiment, self._recent_s, self._clock = experiment, recent_s, clock
        self._client: MlflowClient | None = None
        self._members: dict[str, tuple[frozenset[tuple[str, str]], tuple[Seen, ...]]] = {}
        self._parents: dict[str, Seen] = {}
        self._histories: dict[tuple[str, str], tuple[Point, tuple[Point, ...]]] = {}
        self._plans: dict[str, tuple[str, ...]] = {}
        self._asked: dict[str, float] = {}
        self._claims: dict[str, tuple[str, Beat]] = {}
        self._read_at = 0.0

    def read(self) -> Found:
        """What there is now.

        Raises:
            UnreachableError: the server does not answer.
            InputError: there is no such experiment.
        """
        try:
            return self._read()
        except InputError:
            self._client = None
            raise
        except Exception as error:  # a backend raises whatever its driver raises
            self._client = None
            raise unreadable(error) from error

    def _read(self) -> Found:
        if self._client is None:
            if is_empty():
                return Found(empty=True, address=uri())
            self._client = reach()
        client, now = self._client, self._clock()
        experiments = search.experiment_ids(client, self._experiment)
        seen = {run.run_id: run for run in _search(client, experiments, f"attributes.status = '{RUNNING}'")}
        lately = f"attributes.end_time >= {int((now - self._recent_s) * 1000)}"
        for run in _search(client, experiments, lately, "attributes.end_time DESC", _MOST_ENDED):
            seen.setdefault(run.run_id, run)
        for parent in self._parents_of(client, seen):
            seen[parent.run_id] = parent
        for launch in [run for run in seen.values() if run.is_launch]:
            for run in self._members_of(client, experiments, launch, seen):
                seen.setdefault(run.run_id, run)
        running = [run for run in seen.values() if run.status == RUNNING]
        launches = {run.tags.get(names.PARENT_RUN, run.run_id) for run in running} & set(seen)
        return Found(
            runs=tuple(seen.values()),
            histories=dict(self._histories_of(client, running)),
            plans={launch: self._plan(seen[launch], now) for launch in launches},
            beats=self._beats(running, now),
            address=uri(),
        )

    def _parents_of(self, client: MlflowClient, seen: Mapping[str, Seen]) -> list[Seen]:
        """The parents of runs, and theirs, that are not among the runs: they ended some time ago."""
        found, queue = dict[str, Seen](), list(seen.values())
        while queue:
            parent = queue.pop().tags.get(names.PARENT_RUN)
            if parent and parent not in seen and parent not in found:
                if parent not in self._parents:
                    try:
                        self._parents[parent] = _seen(client.get_run(parent))
                    except MlflowException as error:
                        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                            raise
                        continue
                found[parent] = self._parents[parent]
                queue.append(found[parent])
        # One that goes on is among the running.
        self._parents = {parent: run for parent, run in self._parents.items() if parent not in seen}
        return list(found.values())

    def _members_of(
        self, client: MlflowClient, experiments: list[str], launch: Seen, seen: Mapping[str, Seen]
    ) -> tuple[Seen, ...]:
        """The nested runs of a launch, those that ended long ago among them."""
        now = frozenset(
            (run.run_id, run.status) for run in seen.values() if run.tags.get(names.PARENT_RUN) == launch.run_id
        )
        before, members = self._members.get(launch.run_id, (None, ()))
        if now != before:
            members = tuple(_search(client, experiments, f"tags.`{names.PARENT_RUN}` = '{launch.run_id}'"))
            self._members[launch.run_id] = now, members
        return members

    def _histories_of(
        self, client: MlflowClient, running: Iterable[Seen]
    ) -> Iterator[tuple[tuple[str, str], tuple[Point, ...]]]:
        """The histories that a page needs, each by its run and metric."""
        for run in running:
            for metric in sorted({progress.curve_of(run), progress.pace_of(run)} - {""}):
                key, last = (run.run_id, metric), run.latest[metric]
                known, points = self._histories.get(key, (None, ()))
                if known != last:
                    found = {point.step: _point(point) for point in client.get_metric_history(*key)}
                    points = tuple(found[step] for step in sorted(found))
                    self._histories[key] = last, points
                yield key, points

    def _plan(self, launch: Seen, now: float) -> tuple[str, ...]:
        """The names of the rows and seeds in a launch's plan; none where it has no plan, or it is out of reach."""
        run_id = launch.run_id
        asked = self._asked.get(run_id)
        again = asked is not None and asked - launch.began < _PLANNED_S and now - asked >= _PLAN_EVERY_S
        if run_id not in self._plans and (asked is None or again):
            self._asked[run_id] = now
            asking = threading.Thread(target=self._ask_plan, args=(run_id,), daemon=True)
            asking.start()
            asking.join(_PLAN_WAIT_S)
        return self._plans.get(run_id, ())

    def _ask_plan(self, run_id: str) -> None:
        if planned := _planned(run_id):
            self._plans[run_id] = planned

    def _beats(self, running: Iterable[Seen], now: float) -> dict[str, Beat]:
        """The heartbeats of the launches that are claimed."""
        if now - self._read_at > _MISSED_S:
            self._claims.clear()
        self._read_at = now
        claims = {run.run_id: run.tags[names.CLAIM] for run in running if names.CLAIM in run.tags}
        for run_id, claim in claims.items():
            before, beat = self._claims.get(run_id, (claim, Beat(now)))
            self._claims[run_id] = claim, beat if claim == before else Beat(beat.first_read, now)
        return {run_id: self._claims[run_id][1] for run_id in claims}


def _search(
    client: MlflowClient, experiments: list[str], condition: str, order: str = search.OLDEST_FIRST, limit: int = 0
) -> Iterator[Seen]:
    return map(_seen, search.pages(client, experiments, condition, order, limit))


def _seen(run: Run) -> Seen:
    """A run as a page needs it; what it says of itself has no secrets."""
    info = run.info
    return Seen(
        run_id=info.run_id,
        name=info.run_name or info.run_id,
        status=info.status,
        began=(info.start_time or 0) / 1000,
        ended=info.end_time / 1000 if info.end_time else None,
        tags={name: addresses.redacted(str(text)) for name, text in run.data.tags.items()},
        params={name: addresses.redacted(str(text)) for name, text in run.data.params.items()},
        latest={metric.key: _point(metric) for metric in run.data.to_proto().metrics},
    )


def _point(metric: Metric) -> Point:
    return Point(metric.step, metric.value, metric.timestamp / 1000)


def _planned(run_id: str) -> tuple[str, ...]:
    """The names in a launch's plan of what it runs itself; anyone who can log artifacts may have written it."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        plan = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{names.PLAN}"))
        return tuple(str(each["name"]) for each in plan if "run" not in each)
    except (MlflowException, OSError, ValueError, TypeError, KeyError):
        return ()
