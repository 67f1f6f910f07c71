"""Marking of the run that `mlflow run` made, if its command was refused."""

import contextlib
from collections.abc import Sequence

from mlflow.exceptions import MlflowException

from pipelines.common import command
from pipelines.errors import UserError
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect


def mark_refused(arguments: Sequence[str], reason: str) -> None:
    """Name the run that `mlflow run` made for a command which was refused, and tag it with the reason.

    If there is no such run, or no server, nothing is done: the user has seen the error already.

    Args:
        arguments: of the command line, its name first.
        reason: why it was refused.
    """
    with contextlib.suppress(UserError, MlflowException):
        connect(existing=True)
        if run := Run.launchers():
            run.set_tags(command.refused("pipelines", arguments, reason))
