"""Runs modules one after the other in this process, each as ``python -m MODULE ARGUMENTS`` in a folder would do it.

They share the imports, which take most of the time of a small launch. A form feed on stdout and on stderr ends each.

    python -m support.in_turn '[["folder with an mlflow.db", "module", "argument", ...], ...]'
"""

import contextlib
import json
import os
import runpy
import sys
from collections.abc import Sequence

import mlflow

from pipelines.processes.forked import forkserver


@contextlib.contextmanager
def going_on_after_success():
    try:
        yield
    except SystemExit as end:
        if end.code:
            raise


def run(asked: Sequence[Sequence[str]]) -> None:
    # Else the server of all rows has the imports of the first launch alone.
    forkserver("support.rows", "pipelines.tracking.preload")
    for folder, module, *arguments in asked:
        os.chdir(folder)
        uri = f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(uri)
        # What modules have put into the environment as they were imported stays there.
        os.environ |= {"MLFLOW_TRACKING_URI": uri, "XDG_STATE_HOME": f"{folder}/state"}
        sys.argv = [module, *arguments]
        with going_on_after_success():
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        for stream in (sys.stdout, sys.stderr):
            print("\f", end="", file=stream, flush=True)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
