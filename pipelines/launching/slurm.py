"""The launcher of SLURM: a job for each row, which a node runs as a launch does on its own machine.

submitit submits the jobs. One that is preempted or comes to its time limit is queued again by it, and the row goes on
from its checkpoint. Where there is no SLURM, submitit runs the jobs on this machine, which tries the command. What
sbatch reads from the environment (SBATCH_PARTITION, SBATCH_TIMELIMIT, ...) holds here too. A row reports by a file.
"""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit
from submitit.core.utils import FailedJobError
from submitit.helpers import DelayedSubmission

from pipelines.common.streams import announce
from pipelines.errors import FailedRunsError
from pipelines.launching.hosted import Ended, Errand, Host, Placed
from pipelines.processes.reports import Report, Reports

if TYPE_CHECKING:  # the jobs import this module, and need neither torch nor mlflow
    from pipelines.experiments.base import Context, SettingsType
    from pipelines.launching.errands import Errands
    from pipelines.launching.jobs import Job, Work

FOLDER = "slurm"  # in the working directory, which the nodes have too: jobs, their logs and reports
_LIMIT_MIN = 24 * 60  # of a job, unless SBATCH_TIMELIMIT says otherwise
_LIMITS = 1000  # that a row may come to
_POLL_S = 0.5
_GRACE_S = 30  # for rows to end before their jobs are cancelled
_PREEMPTED_S = 60  # after SIGTERM, SLURM has sent the signal by which submitit queues a job again, or ended it


@dataclass(frozen=True)
class Channel:
    """The file by which a row reports to its launch, and one by which the launch tells it to end."""

    path: Path

    def post(self, contents: Sequence[Report | str]) -> None:
        """Append what a row has reported."""
        for each in contents:
            self._append({"message": each} if isinstance(each, str) else {"report": asdict(each)})

    def end(self, ended: Ended) -> None:
        """Append the end of the row."""
        self._append({"ended": asdict(ended)})

    def read(self, start: int) -> tuple[list[Mapping[str, Any]], int]:
        """Returns what was appended since the byte `start`, in whole lines, and where that ends."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(start)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            return [json.loads(line) for line in content[:whole].splitlines()], start + whole
        return [], start

    def cancel(self) -> None:
        """Tell the row to end."""
        self._cancelled.touch()

    def await_cancel(self) -> None:
        """Return when the launch has told the row to end."""
        while not self._cancelled.exists():
            time.sleep(_POLL_S)

    @property
    def _cancelled(self) -> Path:
        return self.path.with_suffix(".cancelled")

    def _append(self, line: Mapping[str, object]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class Hosted:
    """What a job does, as submitit calls it."""

    def __init__(self, errand: Errand, channel: Channel):
        self._errand, self._channel = errand, channel
        self._host: Host | None = None

    def __call__(self) -> None:
        """Run the row."""
        threading.Thread(target=self._end_if_cancelled, daemon=True).start()
        # Not for SIGTERM, which comes before a preemption.
        self._host = Host(self._errand, self._channel.post, (signal.SIGINT,))
        ended = self._host.run()
        if ended.lost and ended.exit_code != -signal.SIGINT:
            time.sleep(_PREEMPTED_S)
        self._channel.end(ended)

    def checkpoint(self) -> DelayedSubmission:
        """End the row, which has its checkpoints; returns what submitit is to do when the job is started again."""
        if self._host is not None:
            self._host.stop()
        self._channel.post([f"{self._errand.name}: preempted, it goes on when SLURM has a place for it"])
        return DelayedSubmission(Hosted(self._errand, self._channel))

    def _end_if_cancelled(self) -> None:
        self._channel.await_cancel()
        os.kill(os.getpid(), signal.SIGINT)


@dataclass(kw_only=True)
class SlurmTask(Placed):
    """A job that was submitted.

    Attributes:
        job: as submitit has it.
        channel: by which it reports.
        read: bytes of the channel that were read.
    """

    job: submitit.Job
    channel: Channel
    read: int = 0

    def look(self) -> None:
        """Pass on what was reported, and note the end."""
        over = self.job.done()  # before reading: what it wrote last is there then
        lines, self.read = self.channel.read(self.read)
        for line in lines:
            if "ended" in line:
                self.ended = Ended(**line["ended"])
            else:
                self.reports.pass_on([Report(**line["report"]) if "report" in line else line["message"]])
        if over and self.ended is None:
            self.ended = Ended(-signal.SIGKILL, lost=f"its job {self.job.job_id} has ended as {self.job.state}")
        if self.ended:
            self.reports.close()


class Slurm:
    """Starts jobs of SLURM, see launcher.Launcher.

    Args:
        errands: makes the errands.
        executor: submits the jobs.
        folder: for the channels.
    """

    elsewhere = True
    option = " --launcher slurm"

    def __init__(self, errands: "Errands", executor: submitit.AutoExecutor, folder: Path):
        self._errands, self._executor, self._folder = errands, executor, folder

    def room(self, jobs: Sequence["Job[SettingsType]"]) -> int:
        """All of them, since they wait in SLURM's queue; on this machine, as many as there are cores for."""
        if self._executor.cluster == "slurm":
            return max(1, len(jobs))
        return max(1, (os.cpu_count() or 1) // max((job.settings.cores for job in jobs), default=1))

    def start(
        self, run_id: str, work: "Work[SettingsType]", job: "Job[SettingsType]", context: "Context", reports: Reports
    ) -> SlurmTask:
        """Submit a job."""
        # It has the environment of the launch, from sbatch: no password is written to a file.
        errand = replace(self._errands.errand(run_id, work, job, context), environment={})
        channel = Channel(self._folder / f"{run_id}-{time.time_ns()}.jsonl")
        self._executor.update_parameters(
            name=job.name, cpus_per_task=errand.cores, gpus_per_node=errand.gpus, timeout_min=_LIMIT_MIN
        )
        try:
            submitted = self._executor.submit(Hosted(errand, channel))
        except FailedJobError as error:
            raise FailedRunsError(f"{job.name}: sbatch refuses it: {' '.join(str(error).split())}") from error
        return SlurmTask(job=submitted, channel=channel, reports=reports.copy())

    def wait(self, tasks: Sequence[SlurmTask], seconds: float) -> None:
        """Return when one of `tasks` has ended, or after some seconds; passes on what they report meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            for task in tasks:
                task.look()
            if any(task.ended for task in tasks) or time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)

    def stop(self, tasks: Sequence[SlurmTask]) -> None:
        """Tell `tasks` to end, and cancel the jobs of those that have not, as they may not have begun."""
        for task in tasks:
            task.channel.cancel()
        deadline = time.monotonic() + _GRACE_S
        while (left := [task for task in tasks if task.ended is None]) and time.monotonic() < deadline:
            self.wait(left, 1.0)
        for task in left:
            task.job.cancel(check=False)


@contextmanager
def launching(errands: "Errands", require_shared: Callable[[bool], None]) -> Iterator[Slurm]:
    """Use SLURM, or where there is none this machine, within the block.

    Args:
        errands: makes the errands of the rows.
        require_shared: raises a UserError unless several nodes, which may be on several machines, can use the launch's
            stores.

    Raises:
        UserError: several machines cannot use a store.
    """
    if shutil.which("sbatch"):
        require_shared(False)  # the nodes may be this machine, as on a small cluster
        cluster = "slurm"
    else:
        announce("there is no SLURM here (sbatch): submitit runs the rows as jobs on this machine")
        cluster = "local"
    folder = Path(FOLDER).absolute()
    folder.mkdir(mode=0o700, exist_ok=True)
    yield Slurm(errands, submitit.AutoExecutor(folder, cluster, slurm_max_num_timeout=_LIMITS), folder)
