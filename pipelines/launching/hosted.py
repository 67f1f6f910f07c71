"""The host of a row on a node of a cluster: a process there that forks the row's, as a launch does on its own machine.

It waits only, so that it needs neither torch nor mlflow; what the row's process is to do comes to it pickled.
"""

import os
import pickle
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from pipelines.common.launcher import RUN_ID
from pipelines.common.streams import announce_by
from pipelines.errors import Interrupted
from pipelines.processes import children
from pipelines.processes.children import Child
from pipelines.processes.reports import Report, Reports
from pipelines.processes.signals import SIGNALS, interruptible
from pipelines.tracking import spool

EVERY_S = 0.25  # between two posts of reports
THREADS = "OMP_NUM_THREADS"

# Takes what a row has reported to the launch.
Post = Callable[[Sequence[Report | str]], None]


@dataclass(frozen=True)
class Errand:
    """A job for a node.

    Attributes:
        name: of the job.
        run_id: of its run.
        modules: that its process needs, imported by the server that it is forked from.
        environment: variables that the node gets from the launch.
        cores: number that it keeps busy.
        threads: of each of its processes.
        gpus: number that it needs.
        task: what its process does, a pickled children.Task.
    """

    name: str
    run_id: str
    modules: tuple[str, ...]
    environment: Mapping[str, str]
    cores: int
    threads: int
    gpus: int
    task: bytes


@dataclass(frozen=True)
class Ended:
    """The end of a job on a node.

    Attributes:
        exit_code: as of launcher.Task.
        verdict: the reason why its process was killed on purpose, or "".
        lost: the reason why it was cut short though nobody meant it to be, or "".
    """

    exit_code: int
    verdict: str = ""
    lost: str = ""


@dataclass(kw_only=True)
class Placed:
    """A job that was given to a cluster, see launcher.Task.

    Attributes:
        reports: of its progress.
        ended: its end, once it is known.
    """

    reports: Reports
    ended: Ended | None = None

    @property
    def exit_code(self) -> int | None:
        """None while it waits or runs."""
        return self.ended.exit_code if self.ended else None

    @property
    def verdict(self) -> str:
        """Why it was killed or cut short, or ""."""
        return self.ended.verdict or self.ended.lost if self.ended else ""

    @property
    def lost(self) -> str:
        """Why it was cut short though nobody meant it to be, or ""."""
        return self.ended.lost if self.ended else ""


def needs_gpu(settings: object) -> bool:
    """Whether a row needs a GPU."""
    return str(getattr(settings, "device", "")).startswith("cuda")


class Host:
    """Runs one job on this node.

    Args:
        errand: the job.
        post: takes what it reports.
        signals: that stop it.
    """

    def __init__(self, errand: Errand, post: Post, signals: Sequence[int] = SIGNALS):
        self._errand, self._post, self._signals = errand, post, signals
        self._child: Child | None = None

    def run(self) -> Ended:
        """Run the job to its end."""
        announce_by(lambda text: self._post([text]))
        # The run is that of another machine's `mlflow run`, and would be taken for the parent of what is logged here.
        os.environ.pop(RUN_ID, None)
        os.environ.update(self._errand.environment, **{THREADS: str(self._errand.threads)})
        reader, writer = Pipe(duplex=False)
        with reader:
            try:
                with interruptible(*self._signals):
                    with writer:
                        child = self._begin(Reports(writer))
                    while child.exit_code is None:
                        children.watch([child], EVERY_S)
                        self._pass_on(reader)
            except Interrupted as interrupted:
                self.stop()
                return Ended(-interrupted.signal_number, lost=_lost(-interrupted.signal_number))
            finally:
                self._pass_on(reader)
        if child.exit_code != 0 and spool.folder_of(self._errand.run_id).exists():
            from pipelines.tracking.unsent import send_left  # takes seconds to import, and hardly ever has to

            send_left(self._errand.run_id)
        return Ended(child.exit_code, child.verdict, "" if child.verdict else _lost(child.exit_code))

    def stop(self) -> None:
        """End the job's process, which records its end."""
        if self._child is not None:
            children.stop([self._child])

    def _begin(self, reports: Reports) -> Child:
        task = Pickled(self._errand.task)
        self._child = children.start(self._errand.name, task, reports, *self._errand.modules)
        return self._child

    def _pass_on(self, reader: Connection) -> None:
        """Post all messages, and of the reports the last one."""
        contents: list[Report | str] = []
        try:
            while reader.poll():
                contents.append(reader.recv())
        except EOFError:  # the row has ended
            pass
        last = next((each for each in reversed(contents) if isinstance(each, Report)), None)
        if kept := [each for each in contents if isinstance(each, str) or each is last]:
            self._post(kept)


def _lost(exit_code: int) -> str:
    """Why a job was cut short, "" if it has ended by itself."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    return f"signal {number} ended it on {socket.gethostname()}" if number > 0 else ""


@dataclass(frozen=True)
class Pickled:
    """A task that is unpickled by the process that does it, which has what that needs."""

    content: bytes

    def __call__(self, reports: Reports) -> None:
        """Do it."""
        pickle.loads(self.content)(reports)
