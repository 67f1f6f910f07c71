"""The command that started a launch, and the command that continues it after it was stopped or failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from pipelines.cli.declare import Options, command
from pipelines.common.command import hint, kept, line
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


def resumption(entry: str, run_id: str, data_dir: str, how: str = "") -> str:
    """The note with the command that continues a launch or a row.

    Args:
        entry: its experiment.
        run_id: its run.
        data_dir: folder of its prepared data.
        how: options after a space, which say how the rows are started.
    """
    return f"to go on: {hint(f'python -m pipelines {entry} --resume {run_id}{elsewhere(data_dir)}{how}')}"


def _continuation(run: Run, entry: str, options: Options) -> str:
    if isinstance(options, Resumable):
        started = command_of(entry, options)
        # A continuation takes all other options from the launch.
        how = "".join(kept(started, flag) for flag in ("--jobs", "--launcher"))
        return resumption(entry, run.id, options.data_dir, how)
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
