"""The command `main`: runs all experiments of a preset, then the comparison and the report."""

import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from pipelines import names
from pipelines.commands.options import DEMO, REPORT, MainOptions
from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.data.protocol import CIFAR10, PJM, SAMPLE
from pipelines.errors import UnsentError
from pipelines.experiments.index import ENTRIES, experiment_of, options_of
from pipelines.launching.ending import pointers
from pipelines.launching.launch import launch
from pipelines.launching.launch import run as run_experiment
from pipelines.processes.parents import announce_parent
from pipelines.studies import command as tune
from pipelines.studies.options import TuneOptions
from pipelines.terminal.display import conclude, doing
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect

_NETWORKS = "airbench94,resnet18,resnet34,resnet50"  # the quickest to a good accuracy, and those of the course report

# Options of the entry points that each preset runs, in this order; the other options have their defaults.
PRESETS: Mapping[str, Mapping[str, Mapping[str, str | int]]] = {
    DEMO: {
        "recurrent": {"dataset": SAMPLE, "models": "report,gru-relative,mlp-lags,baselines"},
        "ablation": {"dataset": SAMPLE},
        "pretrain": {"dataset": SAMPLE, "models": "resnet20"},
        "resnet": {"dataset": SAMPLE, "models": "resnet20"},
        "tune": {"study": "ablation", "dataset": SAMPLE, "n_trials": 4, "workers": 2, "finalists": 1},
    },
    REPORT: {
        "recurrent": {"dataset": PJM, "seeds": 3},
        "ablation": {"dataset": CIFAR10, "seeds": 3},
        "pretrain": {"dataset": CIFAR10, "models": _NETWORKS},
        "resnet": {"dataset": CIFAR10, "models": _NETWORKS},
        "tune": {"study": "recurrent", "dataset": PJM, "space": "wide", "n_trials": 30, "workers": 2},
    },
}


def run(options: MainOptions) -> None:
    """Run every experiment of a preset under one parent run, then print the comparison and write the report."""
    preset = options.preset
    connect()
    description = f"The `{preset}` preset: every experiment, each a nested run with its rows below it."
    tags = {names.ENTRY: "main", names.PRESET: preset}
    unsent: list[str] = []
    with launch("main", f"main {preset}", tags, options, description) as parent:
        for entry, values in PRESETS[preset].items():
            announce(f"{entry}: " + ", ".join(f"{key}={value}" for key, value in values.items()))
            try:
                _run_entry(entry, values, parent)
            except UnsentError as error:
                unsent.append(str(error))
        if unsent:
            raise UnsentError("; ".join(unsent))
    doing("writing the report")
    made = _analysis("report", capture=True)
    # On the terminal itself, whose width it is drawn for, once the display has left that.
    conclude(partial(_analysis, "compare"))
    conclude(made)
    following = {DEMO: hint("python -m pipelines prepare"), REPORT: hint("python -m analysis claims --entry recurrent")}
    conclude(pointers(look=parent, next=following[preset]))
    doing("")


def _run_entry(entry: str, values: Mapping[str, str | int], parent: Run) -> None:
    if entry in ENTRIES:
        run_experiment(experiment_of(entry), options_of(entry).of(values), parent)
    else:
        tune.run(TuneOptions.of(values), parent)


def _analysis(*arguments: str, capture: bool = False) -> str:
    """Run `python -m analysis`, which reads only the tracking server.

    With `capture` it leaves the terminal, which a display has, alone: its messages are announced, and its output is
    returned.
    """
    announce_parent()
    command = [sys.executable, "-m", "pipelines.processes.with_parent", "analysis", *arguments]
    done = subprocess.run(command, check=False, capture_output=capture, text=True)
    if done.stderr:
        announce(done.stderr.rstrip())
    done.check_returncode()
    return done.stdout or ""
