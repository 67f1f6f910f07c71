"""Commands that continue launches."""

import shlex
from dataclasses import fields

from analysis.entries import tune
from pipelines.common.command import hint, kept
from pipelines.experiments.index import ENTRIES, options_of


def command(entry: str, run_id: str, line: str) -> str:
    """The command that continues a launch, "" where there is none.

    Args:
        entry: command that made the launch.
        run_id: of the launch.
        line: command line that made it, "" if that is not recorded.
    """
    if entry in ENTRIES and "resume" in {each.name for each in fields(options_of(entry))}:
        return hint(f"python -m pipelines {entry} --resume {shlex.quote(run_id)}{kept(line, '--data-dir')}")
    return hint(line) if entry == tune.NAME else ""  # the same command goes on with its study
