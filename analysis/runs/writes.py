"""What the analysis writes to the tracking server: marks of runs whose command is gone or was refused, and reports."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlflow.exceptions import MlflowException

from analysis.errors import InputError
from analysis.server import reach, settled, uri
from pipelines import names
from pipelines.common import addresses, command, launcher
from pipelines.common.server import one_line


def kill(run_id: str, reason: str) -> None:
    """Marks a run KILLED, with `reason` in its tag FAILURE."""
    client = reach()
    client.set_tag(run_id, names.FAILURE, reason)
    client.set_terminated(run_id, "KILLED")


def mark_refused(arguments: Sequence[str], reason: str) -> None:
    """Names the run that `mlflow run` made for a command which was refused, and tags it with the reason.

    Without one, or without a server, nothing is done: the command has printed its error.

    Args:
        arguments: of the command line, its name first.
        reason: why it was refused.
    """
    run_id = os.environ[launcher.RUN_ID]
    with contextlib.suppress(InputError, MlflowException):
        client = reach()
        run = client.get_run(run_id)
        if run.info.status == "RUNNING" and any(tag.startswith(names.PROJECT_TAGS) for tag in run.data.tags):
            for tag, value in command.refused("analysis", arguments, reason).items():
                client.set_tag(run_id, tag, value)


def log_report(folder: Path, files: Iterable[Path], command: str) -> str:
    """Logs `files` of `folder`, which `command` made, as artifacts of a run of their own, and returns its id.

    Raises:
        InputError: the server or its store of artifacts does not take them; the run is then FAILED.
    """
    client = reach()
    found = client.get_experiment_by_name(names.EXPERIMENT)
    if found is None:
        location = addresses.artifact_location(settled(), names.EXPERIMENT)
        experiment = client.create_experiment(names.EXPERIMENT, location)
    else:
        experiment = found.experiment_id
    note = "Comparison of the runs there were, as a page: report.html."
    tags = {names.ENTRY: "report", names.DESCRIPTION: note, names.COMMAND: command}
    run_id = client.create_run(experiment, run_name="report", tags=tags).info.run_id
    try:
        for file in files:
            inside = file.relative_to(folder).parent.as_posix()
            client.log_artifact(run_id, str(file), None if inside == "." else inside)
    except (MlflowException, OSError) as error:
        client.set_terminated(run_id, "FAILED")
        raise InputError(f"{folder} is written, but {uri()} does not take it: {one_line(error)}") from error
    client.set_terminated(run_id, "FINISHED")
    return run_id
