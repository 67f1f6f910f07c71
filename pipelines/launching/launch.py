"""The parent run of a launch: begun, described, and ended in every case."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipelines import names
from pipelines.errors import Interrupted
from pipelines.launching.commands import command_of, continuation, resumes
from pipelines.launching.jobs import end_children
from pipelines.processes import scratch
from pipelines.processes.signals import interruptible, signals_later
from pipelines.tracking import claim
from pipelines.tracking.run import KILLED, Run
from pipelines.tracking.unsent import require_sent


@contextmanager
def launch(
    name: str, tags: Mapping[str, str], params: Mapping[str, object], description: str, within: Run | None = None
) -> Iterator[Run]:
    """The parent run of a launch, FINISHED, FAILED or KILLED in the end.

    Args:
        name: of the run.
        tags: `entry`, `dataset` and such.
        params: the launch's parameters as given.
        description: what the UI shows beside the run, in markdown.
        within: the run of a larger launch that this one belongs to.
    """
    scratch.sweep()
    with interruptible():
        tags = {**tags, names.DESCRIPTION: description, names.COMMAND: command_of(tags[names.ENTRY], params)}
        with _run_of(name, tags, within) as run, claim.held(run), run.active(), way_on(run, tags[names.ENTRY]):
            run.log_params(params)
            yield run
            require_sent(run)


@contextmanager
def _run_of(name: str, tags: Mapping[str, str], within: Run | None) -> Iterator[Run]:
    """The new run of a launch, which a signal does not leave RUNNING: not even one that comes while it is made."""
    made: list[Run] = []
    try:
        if within:
            made.append(within.child(name, tags))
        else:
            with signals_later():
                made.append(Run.launch(name, tags))
        yield made[0]
    except Interrupted:
        if within:
            end_children(within)
        for run in made:
            if run.status == "RUNNING":
                run.end(KILLED)
        raise


@contextmanager
def way_on(run: Run, entry: str) -> Iterator[None]:
    """What ends it early tells the command that continues: the launch `run` of `entry`, or its study."""
    try:
        yield
    except BaseException as error:
        if resumes(entry):
            error.add_note(f"to go on: {continuation(entry, run)}")
        elif entry == "tune":
            error.add_note("the same command goes on")
        raise
