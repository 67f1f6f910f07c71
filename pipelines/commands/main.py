"""The whole chain: data, every experiment, the comparison, the report."""

import subprocess
import sys
from typing import Any

from pipelines import names
from pipelines.common.streams import announce
from pipelines.data.protocol import CIFAR10, PJM, SAMPLE
from pipelines.errors import UnsentError
from pipelines.experiments.ablation import experiment as ablation
from pipelines.experiments.pretrain import experiment as pretrain
from pipelines.experiments.recurrent import experiment as recurrent
from pipelines.experiments.resnet import experiment as resnet
from pipelines.launching.launch import launch
from pipelines.processes.parents import announce_parent
from pipelines.studies import command as tune
from pipelines.tracking.server import connect

# What each preset asks of the entry points; the rest are their defaults.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "demo": {
        recurrent.ENTRY: {"dataset": SAMPLE},
        ablation.ENTRY: {"dataset": SAMPLE},
        pretrain.ENTRY: {"dataset": SAMPLE, "models": "resnet20"},
        resnet.ENTRY: {"dataset": SAMPLE, "models": "resnet20"},
        tune.ENTRY: {"study": "ablation", "dataset": SAMPLE, "n_trials": 4, "workers": 2},
    },
    "report": {
        recurrent.ENTRY: {"dataset": PJM, "seeds": 3},
        ablation.ENTRY: {"dataset": CIFAR10, "seeds": 3},
        pretrain.ENTRY: {"dataset": CIFAR10, "models": "resnet18,resnet34,resnet50"},
        resnet.ENTRY: {"dataset": CIFAR10},
        tune.ENTRY: {"study": "recurrent", "dataset": PJM, "space": "wide", "n_trials": 30, "workers": 2},
    },
}
RUN = {entry.ENTRY: entry.run for entry in (recurrent, ablation, pretrain, resnet, tune)}


def run(options: dict[str, Any], defaults: dict[str, dict[str, Any]]) -> None:
    """Run every experiment of a preset under one parent run, then print the comparison and write the report.

    Args:
        options: `preset`.
        defaults: of the entry points' own parameters, by entry point.
    """
    preset = options["preset"]
    connect()
    description = f"The `{preset}` preset: every experiment, each a nested run with its rows below it."
    unsent: list[str] = []
    with launch(f"main {preset}", {names.ENTRY: "main", names.PRESET: preset}, options, description) as parent:
        for entry, wanted in PRESETS[preset].items():
            announce(f"{entry}: " + ", ".join(f"{key}={value}" for key, value in wanted.items()))
            try:
                RUN[entry](defaults[entry] | wanted, parent)
            except UnsentError as error:
                unsent.append(str(error))
        if unsent:
            raise UnsentError("; ".join(unsent))
    print(_analysis("compare"))
    print(_analysis("report"))
    print("Browse the runs:  make ui   (then open http://127.0.0.1:5000)")


def _analysis(*arguments: str) -> str:
    """Output of `python -m analysis`, which reads nothing but the tracking server."""
    announce_parent()
    command = [sys.executable, "-m", "pipelines.processes.with_parent", "analysis", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
