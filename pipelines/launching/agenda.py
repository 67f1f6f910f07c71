"""The jobs of a launch: those to run, those that earlier launches have finished, and those that are added."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

from pipelines import names
from pipelines.cli.seeds import MOST
from pipelines.common.streams import announce
from pipelines.errors import AwayError
from pipelines.experiments.base import NO_TRAINING, SettingsType
from pipelines.launching.experiment import Experiment
from pipelines.launching.intervals import wanted, width
from pipelines.launching.jobs import Job, with_seed
from pipelines.launching.needed import announce_earlier, earlier, log_reused
from pipelines.launching.planned import log_plan
from pipelines.launching.summary import finished_rows, main_values
from pipelines.tracking.run import Run


class Agenda(Generic[SettingsType]):
    """The jobs of a launch, which its plan lists.

    Args:
        experiment: what is launched.
        parent: the launch's run.
        data_dir: folder of the prepared data.
        digest: of the data, where runs that earlier launches have finished are taken; else "".
        jobs: those that the plan has already, of a launch that is continued.
        reused: the runs of earlier launches that stand for some of these, by the name of the job.
    """

    def __init__(
        self,
        experiment: Experiment[Any, SettingsType],
        parent: Run,
        data_dir: str,
        digest: str = "",
        jobs: Iterable[Job[SettingsType]] = (),
        reused: Mapping[str, Run] | None = None,
    ):
        self._experiment, self._parent, self._data_dir, self._digest = experiment, parent, data_dir, digest
        self._jobs, self._reused = list(jobs), dict(reused or {})
        self._said: dict[str, int] = {}  # number of seeds of each row that was last announced

    def add(self, jobs: Sequence[Job[SettingsType]]) -> list[Job[SettingsType]]:
        """Add jobs to the plan; returns those of them that are to be run.

        Raises:
            AwayError: the tracking server does not answer.
        """
        self._jobs += jobs
        if self._digest:
            found = earlier(self._experiment.name, jobs, self._digest)
            announce_earlier(found, len(jobs), self._experiment.name, self._data_dir)
            self._reused |= found.finished
            log_reused(self._parent, self._reused)
        log_plan(self._parent, self._jobs, self._reused)
        return [job for job in jobs if job.name not in self._reused]

    def grow(self) -> list[Job[SettingsType]]:
        """Add seeds to the rows whose means are not known well enough; returns the jobs that are to be run.

        A row with a seed that has failed is left as it is.
        """
        narrow = float(self._parent.tags.get(names.WIDTH, 0))
        try:
            while narrow and (new := self._further_seeds(narrow)):
                if to_run := self.add(new):
                    return to_run
        except AwayError as error:
            announce(f"{error}: no seeds are added; --needed true with the same options goes on when it is back")
        return []

    def _further_seeds(self, narrow: float) -> list[Job[SettingsType]]:
        values = main_values(self._experiment, finished_rows(self._parent, list(self._experiment.rows)))
        rows: dict[str, list[Job[SettingsType]]] = {}
        for job in self._jobs:
            if job.settings.training != NO_TRAINING:
                rows.setdefault(job.settings.row, []).append(job)
        new = []
        for row, jobs in rows.items():
            known = values.get(row, [])
            if len(known) == len(jobs):
                more = [with_seed(jobs[0], seed) for seed in range(len(jobs), wanted(known, narrow))]
                if self._said.get(row) != len(known):
                    announce(f"{row}: {_state(known, narrow, len(more))}")
                self._said[row] = len(known)
                new += more
        return new


def _state(values: Sequence[float], narrow: float, more: int) -> str:
    """What the finished seeds of a row tell, and what follows."""
    reached = width(values)
    if reached < narrow:
        end = f"narrower than {narrow:g}"
    else:
        end = f"{more} more to come" if more else f"not narrower than {narrow:g}, but {MOST} seeds are the most"
    return f"{len(values)} seeds, 95 % interval {reached:.3g} wide, {end}"
