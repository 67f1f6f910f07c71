"""The command that made a launch, and what continues it after an early end."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.cli.declare import Options, command
from pipelines.common.command import line
from pipelines.tracking.run import Run


def command_of(entry: str, options: Options) -> str:
    """The command line of a launch of `entry` with these options."""
    return line("pipelines", command(entry, type(options)), options.values())


def resumption(entry: str, run_id: str) -> str:
    """The command that continues the launch or row `run_id` of `entry`."""
    return f"to go on: python -m pipelines {entry} --resume {run_id}"


@contextmanager
def way_on(run: Run, entry: str, options: Options) -> Iterator[None]:
    """Adds to whatever ends the launch `run` of `entry` early how it is continued."""
    try:
        yield
    except BaseException as error:
        if note := resumption(entry, run.id) if "resume" in options.names() else options.continuation:
            error.add_note(note)
        raise
