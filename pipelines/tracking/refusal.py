"""Noting on the run that `mlflow run` made why its command was refused."""

import contextlib
import shlex
from collections.abc import Sequence

from mlflow.exceptions import MlflowException

from pipelines import names
from pipelines.common import addresses
from pipelines.errors import UserError
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect


def mark_refused(arguments: Sequence[str], reason: str) -> None:
    """Name the run that `mlflow run` made for a command which was refused, and tag it with the reason.

    Where there is none, or no server, nothing is done: the user has been told.

    Args:
        arguments: of the command line, its name first.
        reason: why it was refused.
    """
    with contextlib.suppress(UserError, MlflowException):
        connect(existing=True)
        if run := Run.launchers():
            line = shlex.join(["python", "-m", "pipelines", *arguments])
            named = " ".join([*arguments[:1], "refused"])
            run.set_tags(
                {
                    names.RUN_NAME: named,
                    names.FAILURE: addresses.redacted(reason),
                    names.COMMAND: addresses.redacted(line),
                }
            )
