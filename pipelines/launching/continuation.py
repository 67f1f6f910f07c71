"""The command that started a launch, and the command that continues it after it was stopped or failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from pipelines.cli.declare import Options, command
from pipelines.common.command import hint, line
from pipelines.data.files.meta import elsewhere
from pipelines.tracking.run import Run


@runtime_checkable
class Resumable(Protocol):
    """Options of an experiment whose launches can be continued."""

    @property
    def resume(self) -> str:
        """Id of the run to continue, of a launch or of one of its rows; "" for a new launch."""

    @property
    def force(self) -> bool:
        """True if the run is continued although code or options have changed."""

    @property
    def data_dir(self) -> str:
        """Folder of the prepared data."""


def command_of(entry: str, options: Options) -> str:
    """The command line of a launch of `entry` with these options."""
    return line("pipelines", command(entry, type(options)), options.values())


def resumption(entry: str, run_id: str, data_dir: str) -> str:
    """The note with the command that continues the launch or row `run_id` of `entry`, whose data are in `data_dir`."""
    return f"to go on: {hint(f'python -m pipelines {entry} --resume {run_id}{elsewhere(data_dir)}')}"


def _continuation(run: Run, entry: str, options: Options) -> str:
    if isinstance(options, Resumable):
        return resumption(entry, run.id, options.data_dir)
    return options.continuation


@contextmanager
def add_resume_note(run: Run, entry: str, options: Options) -> Iterator[None]:
    """Add to any exception that ends the launch `run` of `entry` how the launch is continued."""
    try:
        yield
    except BaseException as error:
        if note := _continuation(run, entry, options):
            error.add_note(note)
        raise
