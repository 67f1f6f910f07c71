"""The launcher of a Ray cluster: a task for each row, which a node runs as a launch does on its own machine.

Ray places the tasks, and nothing of ours goes through its object store: each node reads the data itself. It retries
none: a row is continued from its checkpoint, which its run has.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read when Ray is imported: it would print what its daemons say on standard output, where results are.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")

import ray
from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import pipelines.errors
from pipelines.errors import UserError
from pipelines.launching.hosted import Ended, Errand, Host, Placed, needs_gpu
from pipelines.processes.reports import Report, Reports
from pipelines.processes.signals import signals_later

if TYPE_CHECKING:  # the workers of a cluster import this module, and need neither torch nor mlflow
    from pipelines.experiments.base import Context, SettingsType
    from pipelines.launching.errands import Errands
    from pipelines.launching.jobs import Job, Work

ADDRESS = "RAY_ADDRESS"
_POLL_S = 0.2  # between two looks at the tasks
_GRACE_S = 30  # for tasks to end before their workers are killed
_STORE_BYTES = 80 << 20  # Ray's least: nothing goes through it

# Of the folder that goes to the nodes, in the form of .gitignore: what may be large, or is of no use there.
LEFT_OUT = ("/.git", "/.venv", "/data", "/mlruns", "/mlartifacts", "/spool", "/report", "/slurm", "*.db", "*.db-*")
_ROOT = Path(pipelines.errors.__file__).parents[1]


class Mailbox:
    """An actor that holds what rows have reported until the launch collects it."""

    def __init__(self) -> None:
        self._posted: list[tuple[int, Sequence[Report | str]]] = []

    def post(self, number: int, contents: Sequence[Report | str]) -> None:
        """Take what the task of that number has reported."""
        self._posted.append((number, contents))

    def collect(self) -> list[tuple[int, Sequence[Report | str]]]:
        """Hand over what was posted, in that order."""
        posted, self._posted = self._posted, []
        return posted


def host(errand: Errand, number: int, mailbox: Any) -> Ended:
    """Run a job on the node that Ray has chosen: the function of the tasks."""
    _forget_main()
    return Host(errand, lambda contents: mailbox.post.remote(number, contents)).run()


def _forget_main() -> None:
    """Keep multiprocessing from importing the main module of Ray's worker, and with it Ray, in each row's process."""
    import __main__

    vars(__main__).pop("__file__", None)


@dataclass(kw_only=True)
class RayTask(Placed):
    """A job that was given to Ray.

    Attributes:
        number: by which its reports are told from those of other tasks.
        reference: to its end.
    """

    number: int
    reference: Any


class Ray:
    """Starts jobs on a Ray cluster, see launcher.Launcher.

    Signals wait while Ray is asked anything, since it loses what a handler raises.

    Args:
        errands: makes the errands.
    """

    elsewhere = True
    option = " --launcher ray"

    def __init__(self, errands: "Errands"):
        self._errands, self._numbers = errands, count()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        # Of a task with a GPU Ray would end the worker, which has a server that rows are forked from.
        self._host = ray.remote(max_retries=0, max_calls=0)(host)

    @signals_later()
    def room(self, jobs: Sequence["Job[SettingsType]"]) -> int:
        """Number of such jobs at a time for which the cluster has cores and GPUs now."""
        cores = max((_cores(job.settings.cores) for job in jobs), default=1)
        have = ray.cluster_resources()
        fitting = int(have.get("CPU", 1) // cores)
        if any(needs_gpu(job.settings) for job in jobs):
            fitting = min(fitting, int(have.get("GPU", 0)))
        return max(1, fitting)

    @signals_later()
    def start(
        self, run_id: str, work: "Work[SettingsType]", job: "Job[SettingsType]", context: "Context", reports: Reports
    ) -> RayTask:
        """Give a job to Ray."""
        errand = self._errands.errand(run_id, work, job, context)
        task = self._host.options(num_cpus=_cores(errand.cores), num_gpus=errand.gpus, name=job.name)
        number = next(self._numbers)
        return RayTask(number=number, reference=task.remote(errand, number, self._mailbox), reports=reports.copy())

    def wait(self, tasks: Sequence[RayTask], seconds: float) -> None:
        """Return when one of `tasks` has ended, or after some seconds; passes on what they report meanwhile."""
        deadline = time.monotonic() + seconds
        while not self._look(tasks) and time.monotonic() < deadline:
            time.sleep(_POLL_S)

    def stop(self, tasks: Sequence[RayTask]) -> None:
        """Cancel `tasks`, and kill the workers of those that have not recorded their end after some time."""
        for kills in (False, True):
            left = [task for task in tasks if task.ended is None]
            with signals_later():
                for task in left:
                    ray.cancel(task.reference, force=kills)
            deadline = time.monotonic() + _GRACE_S
            while any(task.ended is None for task in left) and time.monotonic() < deadline:
                self.wait(left, 1.0)

    @signals_later()
    def _look(self, tasks: Sequence[RayTask]) -> bool:
        """Pass on what was reported; returns whether a task has ended."""
        running = {task.number: task for task in tasks if task.ended is None}
        # Looked at first: what a task has reported before its end is there then.
        ended = [task for task in running.values() if ray.wait([task.reference], timeout=0)[0]]
        with contextlib.suppress(RayError):
            for number, contents in ray.get(self._mailbox.collect.remote()):
                if number in running:
                    running[number].reports.pass_on(contents)
        for task in ended:
            task.ended = _end_of(task.reference)
            task.reports.close()
        return any(task.ended for task in tasks)


def _cores(wanted: int) -> int:
    """So many cores, or all those of the largest node if it has fewer."""
    most = max((node["Resources"].get("CPU", 0) for node in _nodes()), default=0)
    return max(1, min(wanted, int(most)))


def _end_of(reference: Any) -> Ended:
    try:
        return ray.get(reference)
    except TaskCancelledError:
        return Ended(-signal.SIGTERM)
    except (RayTaskError, RuntimeEnvSetupError) as error:
        return Ended(1, verdict=f"its node could not run it: {_reason(error)}")
    except RayError as error:  # the worker or its node is gone
        return Ended(-signal.SIGKILL, lost=_reason(error))


def _reason(error: Exception) -> str:
    """What an error's text says happened: its first sentence, of a traceback the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if isinstance(error, RayTaskError) else lines[0].partition(". ")[0].rstrip(".")


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


@contextmanager
def launching(errands: "Errands", require_shared: Callable[[bool], None]) -> Iterator[Ray]:
    """Use the cluster of RAY_ADDRESS, or one of its own on this machine, within the block.

    Args:
        errands: makes the errands of the rows.
        require_shared: raises a UserError unless several nodes, which may be on several machines, can use the launch's
            stores.

    Raises:
        UserError: the cluster cannot be used.
    """
    begun = not ray.is_initialized()
    try:
        if begun:
            _begin(os.environ.get(ADDRESS, ""))
        nodes = _nodes()
        if len(nodes) > 1:
            require_shared(len({node["NodeManagerAddress"] for node in nodes}) > 1)
        yield Ray(errands)
    finally:
        if begun:
            ray.shutdown()


def _begin(address: str) -> None:
    """Connect to a cluster, or start one."""
    if address.startswith("ray://"):
        raise UserError(f"{ADDRESS}={address}: launch on a node of the cluster, with {ADDRESS}=auto")
    given: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address and address != "local":
        given |= {"address": address, "runtime_env": runtime_env()}
    else:
        # Whoever starts a cluster decides about these.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        given |= {"address": "local", "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        # Ray leaves a handler of its own for SIGTERM, which would not let the rows record their end.
        with signals_later():
            ray.init(**given)
    except Exception as error:  # Ray raises anything
        where = f"{ADDRESS}={address}" if address else "a cluster on this machine"
        raise UserError(f"launcher=ray: cannot use {where} ({_reason(error)}): check `ray status`") from error


def runtime_env() -> dict[str, object]:
    """What the nodes of a cluster get: the checkout or, where this project is installed, as it has to be on the nodes
    then, the working directory, which may have networks of a user's own."""
    folder = _ROOT if (_ROOT / "pyproject.toml").exists() else Path.cwd()
    return {"working_dir": str(folder), "excludes": list(LEFT_OUT)}
