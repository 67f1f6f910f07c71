"""The same launch on SLURM, which submitit's local executor stands for: the same runs, preempted or stopped or not."""

import pickle
import re
import signal

import psutil
import pytest
from support.launches import ENDLESS, WAY_OUT_S, checkpoint_of, complaint, require_nothing_left, statuses, until
from support.place import ROOT
from support.same import result

from pipelines import names
from pipelines.experiments.base import Context, Settings
from pipelines.launching.hosted import Errand
from pipelines.launching.jobs import Job
from pipelines.launching.launchers import is_installed
from pipelines.processes.reports import Reports

pytestmark = pytest.mark.skipif(not is_installed("submitit"), reason="there is no submitit: pip install -e '.[slurm]'")

PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
(LAUNCH,) = re.findall(r"^nnreg (recurrent .+ --launcher slurm)$", PAGE, re.MULTILINE)
PARENT, ROW = "recurrent sample", "gru-2-seed0"


def _job_of(launch: int) -> psutil.Process:
    """The process that SLURM would send its signals to."""
    below = psutil.Process(launch).children(recursive=True)
    return next(each for each in below if "submitit.core._submit" in each.cmdline())


@pytest.mark.slow
def test_a_row_that_is_preempted_goes_on_with_the_bits_of_an_undisturbed_one(place, small):
    longer = (*small, "--models", "gru-2", "--epochs", "120")
    process = place.start(*LAUNCH.split(), *longer[1:])
    row = until(checkpoint_of(place, ROW), process)
    _job_of(process.pid).send_signal(signal.SIGUSR2)
    assert process.wait(240) == 0, place.stderr
    assert "there is no SLURM here (sbatch): submitit runs the rows as jobs on this machine" in place.stderr
    assert re.search(r"^gru-2 .*: preempted, it goes on when SLURM has a place for it$", place.stderr, re.MULTILINE)
    require_nothing_left(place)
    assert place.runs()[ROW].info.run_id == row.info.run_id
    preempted = result(place, ROW)
    assert [step for step, _ in preempted[-1][names.TRAIN_LOSS]] == list(range(1, 121))
    place.client.delete_run(row.info.run_id)
    assert place.invoke(*longer) == 0, place.stderr
    assert preempted == result(place, ROW)


@pytest.mark.slow
def test_a_signal_to_the_launch_ends_its_jobs(place, small):
    process = place.start(*small, "--models", "gru-2", "--epochs", str(ENDLESS), "--launcher", "slurm")
    until(checkpoint_of(place, ROW), process)
    process.terminate()
    assert process.wait(WAY_OUT_S) == 128 + signal.SIGTERM
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "KILLED", ROW: "KILLED"}
    going_on = f"python -m pipelines recurrent --resume {place.runs()[PARENT].info.run_id} --launcher slurm"
    assert complaint(place) == f"error: stopped by signal 15; to go on: {going_on}"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM that takes jobs and never runs them, and the working directory."""
    for name, says in (("sbatch", "Submitted batch job 12"), ("srun", ""), ("sacct", "JobID|State\n12|PENDING")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\nprintf '{says}\n'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_as_tracking_server_is_refused_where_there_is_slurm(slurm, place, refused):
    line = refused(place.folder, place.uri, "recurrent", "--dataset", "sample", "--launcher", "slurm")
    assert line.startswith(
        f"error: launcher=slurm: sqlite:///{place.database} is a file, which several nodes cannot write"
    )
    assert place.runs() == {}


class _Errands:
    """An errand with two cores, a GPU and a password."""

    def errand(self, run_id, work, job, context):
        return Errand(
            job.name, run_id, (), {"MLFLOW_TRACKING_PASSWORD": "kept-from-files"}, 2, 1, 1, pickle.dumps(None)
        )


def test_a_job_asks_for_the_cores_and_gpus_of_its_row_and_has_no_password(slurm):
    from pipelines.launching.slurm import launching

    job = Job("gru-2", Settings(row="gru-2", dataset="sample", training="none", seed=0))
    with launching(_Errands(), lambda apart: None) as launcher:
        assert launcher.room([job] * 40) == 40
        task = launcher.start("a" * 32, print, job, Context(data_dir="data"), Reports())
        launcher.wait([task], 0)
    assert task.exit_code is None
    script = (slurm / "slurm" / "12_submission.sh").read_text()
    for line in ("--cpus-per-task=2", "--gpus-per-node=1", "--job-name=gru-2", "--signal=USR2"):
        assert f"#SBATCH {line}" in script
    written = b"".join(path.read_bytes() for path in (slurm / "slurm").iterdir())
    assert b"kept-from-files" not in written
