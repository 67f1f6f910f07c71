"""What fan_out makes of a launcher whose machines go away."""

from dataclasses import dataclass

import pytest

from pipelines import names
from pipelines.errors import UNSENT, FailedRunsError, UnsentError
from pipelines.experiments.base import Context, Settings
from pipelines.launching.fan_out import _left, fan_out
from pipelines.launching.jobs import Job
from pipelines.processes.reports import Report
from pipelines.tracking.run import FINISHED, KILLED, Run

JOB = Job("gru-2", Settings(row="gru-2", dataset="sample", training="none", seed=0))


@dataclass
class Ended:
    exit_code: int
    lost: str = ""
    verdict: str = ""


class Elsewhere:
    """A launcher whose tasks have ended at once, one after the other as is given."""

    elsewhere, option = True, " --launcher slurm"

    def __init__(self, *ends):
        self.ends, self.runs = list(ends), []

    def room(self, jobs):
        return 1

    def start(self, run_id, work, job, context, reports):
        self.runs.append(run_id)
        end = self.ends.pop(0)
        if end.exit_code == 0:
            Run(run_id).end(FINISHED)
        return end

    def wait(self, tasks, seconds):
        pass

    def stop(self, tasks):
        pass


@pytest.fixture
def launched(place, at):
    """Runs a job on a launcher; returns its run as the tracking server has it."""
    at(place.folder, place.uri)
    parent = Run.launch("launch", {})

    def run(*ends, **options):
        launcher = Elsewhere(*ends)
        try:
            fan_out(parent, "recurrent", [JOB], print, Context(data_dir="data"), 0, launcher=launcher, **options)
        finally:
            assert launcher.ends == []
            assert len(set(launcher.runs)) == 1
        return place.runs()["gru-2"]

    return run


def test_a_row_that_is_lost_is_continued_in_its_own_run_which_says_why(launched):
    run = launched(Ended(-9, "its node is gone"), Ended(0))
    assert run.info.status == "FINISHED"
    assert run.data.tags[names.CONTINUED_AFTER] == "its node is gone"


def test_a_row_that_is_lost_twice_has_failed(launched, place):
    with pytest.raises(FailedRunsError, match="1 of 1 runs failed: gru-2"):
        launched(Ended(-9, "its node is gone"), Ended(-9, "its node is gone", "its node is gone"))
    assert place.runs()["gru-2"].info.status == KILLED
    assert place.runs()["gru-2"].data.tags[names.FAILURE] == "its node is gone"


def test_a_row_that_failed_goes_on_with_the_launcher_of_its_launch(launched, place):
    with pytest.raises(FailedRunsError):
        launched(Ended(-9, verdict="it ran out of memory"), resumable=True)
    run = place.runs()["gru-2"]
    going_on = f"python -m pipelines recurrent --resume {run.info.run_id} --launcher slurm"
    assert run.data.tags[names.FAILURE] == f"it ran out of memory; to go on: {going_on}"


def test_results_that_wait_on_a_node_are_told(launched):
    with pytest.raises(UnsentError, match=r"1 of its runs are not wholly .*: gru-2; .* send it from there: .* replay"):
        launched(Ended(UNSENT))


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        (Report("training", 3, 6), "stopped, epoch 3 of 6 is kept"),
        (Report("training", 0, 6), "stopped, in its first epoch"),
        (Report("loading data"), "stopped"),
        (
            Report("training for validation", 3, 6, follows=True),
            "stopped, its training is kept, and 3 of 6 epochs of what followed (training for validation)",
        ),
    ],
)
def test_what_is_kept_of_a_row_that_is_stopped_is_said(reached, said):
    assert _left(reached, resumable=True) == said
    assert _left(reached, resumable=False) == "stopped"
