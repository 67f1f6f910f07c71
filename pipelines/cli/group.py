"""A command line whose errors are one line each."""

import os
import sys
from typing import Any

import click

from pipelines.common import launcher, streams
from pipelines.common.addresses import redacted
from pipelines.errors import UNSENT, AwayError, FailedRunsError, Interrupted, UnreachableError, UnsentError, UserError
from pipelines.processes import signals


class OneLineGroup(click.Group):
    """A group whose errors are one line on stderr: exit code 2 for what the user can mend, 1 for failed runs."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command."""
        streams.take_any_text()
        try:
            return super().main(*args, **(kwargs | {"standalone_mode": False}))
        except click.exceptions.Abort:
            sys.exit(130)
        except click.ClickException as error:
            _tell_launcher(error.format_message())
            _complain(error.format_message(), error.exit_code)
        except UserError as error:
            if not isinstance(error, UnreachableError):
                _tell_launcher(str(error))
            _complain(_told(error), 2)
        except UnsentError as error:
            # A replay, and nothing else, is the way on.
            _complain(str(error), UNSENT)
        except (AwayError, FailedRunsError) as error:
            _complain(_told(error), 1)
        except Exception as error:
            _complain(f"{type(error).__name__}: {_told(error)}", 1)
        except Interrupted as error:
            _complain(f"stopped by {_told(error)}", 128 + error.signal_number)
        finally:
            signals.over()


def _told(error: BaseException) -> str:
    """Its text, and the remedies that were added to it on its way."""
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def _tell_launcher(reason: str) -> None:
    """Name the run that `mlflow run` made, if it did, after what was refused, and log the reason."""
    if os.environ.get(launcher.RUN_ID):
        from pipelines.tracking.refusal import mark_refused

        mark_refused(sys.argv[1:], reason)


def _complain(text: str, exit_code: int) -> None:
    click.echo("error: " + redacted(" ".join(text.split())), err=True)
    sys.exit(exit_code)
