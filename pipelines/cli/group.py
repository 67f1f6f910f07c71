"""A command line that prints each error as one line."""

import os
import sys
from typing import Any

import click

from pipelines.common import launcher, streams
from pipelines.common.addresses import redacted
from pipelines.common.program import Program
from pipelines.errors import (
    UNSENT,
    AwayError,
    FailedRunsError,
    FaultsError,
    Interrupted,
    UnreachableError,
    UnsentError,
    UserError,
)
from pipelines.processes import signals


class OneLineGroup(Program):
    """A group that prints an error as one line on stderr, with exit code 2 for a UserError and 1 for failed runs."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command."""
        streams.take_any_text()
        try:
            return super().main(*args, **(kwargs | {"standalone_mode": False}))
        except click.exceptions.Abort:
            sys.exit(130)
        except click.ClickException as error:
            _mark_refused(error.format_message())
            _exit_with(error.format_message(), error.exit_code)
        except FaultsError as error:
            _mark_refused(str(error))
            if len(error.faults) > 1:
                for fault in error.faults:
                    click.echo(_line(fault), err=True)
                _exit_with(error.summary, 2)
            _exit_with(str(error), 2)
        except UserError as error:
            if not isinstance(error, UnreachableError):
                _mark_refused(str(error))
            _exit_with(_message(error), 2)
        except UnsentError as error:
            # Without the notes on how to continue: only a replay is needed.
            _exit_with(str(error), UNSENT)
        except (AwayError, FailedRunsError) as error:
            _exit_with(_message(error), 1)
        except (Exception, Interrupted) as error:
            if interrupted := signals.interruption(error):
                _exit_with(f"stopped by {_message(error, interrupted)}", 128 + interrupted.signal_number)
            _exit_with(f"{type(error).__name__}: {_message(error)}", 1)
        finally:
            signals.over()


def _message(error: BaseException, cause: BaseException | None = None) -> str:
    """Text of an error, or of its cause, with the error's notes, which name remedies."""
    return "; ".join([str(cause or error), *getattr(error, "__notes__", ())])


def _mark_refused(reason: str) -> None:
    """Record the reason of the refusal on the run that `mlflow run` created, if it did."""
    if os.environ.get(launcher.RUN_ID):
        from pipelines.tracking.refusal import mark_refused

        mark_refused(sys.argv[1:], reason)


def _exit_with(text: str, exit_code: int) -> None:
    click.echo("error: " + _line(text), err=True)
    sys.exit(exit_code)


def _line(text: str) -> str:
    return redacted(" ".join(text.split()))
