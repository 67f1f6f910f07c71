"""No process of a launch is left when who started it is killed, at whatever moment; a stopped one is not waited for."""

import contextlib
import os
import signal
import socket
import subprocess

import psutil
import pytest
from support.launches import ENDLESS, checkpoint_of, complaint, require_nothing_left, run_of, statuses, until
from support.place import ROOT

PARENT = "recurrent sample"
ROW = "gru-2-seed0"
TRAINING = {"dataset": "sample", "models": "gru-2", "hidden": 8, "epochs": ENDLESS}


def project(place, entry: str, parameters: dict):
    given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    return place.fork("run", str(ROOT), "-e", entry, "--env-manager", "local", *given, module="mlflow")


def command_of(place, entry: str):
    """The process that `mlflow run` starts, from its first moment."""

    def found():
        for process in place.processes():
            try:
                if ["-m", "pipelines", entry] == process.cmdline()[1:4]:
                    return process
            except psutil.Error:
                continue
        return None

    return found


def imports_torch(place):
    """The command while its imports take their time: a library of torch is in its memory, and there is no run yet."""

    def found():
        command = command_of(place, "recurrent")()
        try:
            return command and any("torch" in library.path for library in command.memory_maps()) and command
        except psutil.Error:
            return None

    return found


def ended(place, name):
    return lambda: (run := place.runs().get(name)) and run.info.status == "FINISHED" and run


MOMENTS = {
    "the command's first moment": ("recurrent", TRAINING, lambda place: command_of(place, "recurrent")),
    "the command's imports": ("recurrent", TRAINING, imports_torch),
    "the rows start": ("recurrent", TRAINING, lambda place: run_of(place, ROW)),
    "the summary": (
        "recurrent",
        {"dataset": "sample", "models": "persistence"},
        lambda place: ended(place, "persistence"),
    ),
    "the demo's first launch": ("main", {"preset": "demo"}, lambda place: run_of(place, "main demo")),
}


@pytest.mark.fault(4)
@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_when_mlflow_run_is_killed(place, moment):
    entry, parameters, reached = MOMENTS[moment]
    process = project(place, entry, parameters)
    until(reached(place), process)
    process.kill()
    process.wait()
    require_nothing_left(place)
    assert "Traceback" not in place.stderr


@pytest.mark.fault(4)
@pytest.mark.slow
def test_no_preparation_goes_on_when_mlflow_run_is_killed(place):
    """It waits for a server that answers nothing, so it would go on for long."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place._environment |= dict.fromkeys(
            ("https_proxy", "http_proxy"), f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        process = project(place, "prepare", {"dataset": "pjm", "data_dir": place.folder / "data"})
        silent.settimeout(240)
        with silent.accept()[0]:
            process.kill()
            process.wait()
            require_nothing_left(place)
    assert "Traceback" not in place.stderr


@pytest.mark.fault(4)
@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 2, 4])
def test_nothing_is_left_when_the_launcher_is_killed_as_its_rows_start(place, small, seconds):
    """The server that forks rows imports for seconds, and sees only then that nobody asks it any more."""
    process = place.start(*small, "--models", "gru-2", "--epochs", str(ENDLESS))
    until(run_of(place, PARENT), process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()
    require_nothing_left(place)


@pytest.mark.slow
def test_a_stopped_row_is_ended_and_the_others_are_not(place, small):
    place.alter({"pipelines.processes.watchdog.POLL_S": 0.5, "pipelines.processes.watchdog.STOPPED_S": 2})
    options = ("--models", "gru-2,persistence", "--jobs", "2", "--epochs", str(ENDLESS))
    process = place.fork(*small, *options, module="support.altered")
    row = until(checkpoint_of(place, ROW), process)
    os.kill(int(row.data.tags["pid"]), signal.SIGSTOP)
    assert process.wait(240) == 1
    require_nothing_left(place)
    assert statuses(place) == {PARENT: "FAILED", ROW: "KILLED", "persistence": "FINISHED"}
    failure = place.runs()[ROW].data.tags["failure"]
    assert "it was stopped (SIGSTOP) for more than 2 s" in failure
    assert f"to go on: python -m pipelines recurrent --resume {row.info.run_id}" in failure
    assert f"--resume {place.runs()[PARENT].info.run_id}" in complaint(place)
