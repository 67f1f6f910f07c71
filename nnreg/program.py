"""The group of all commands, each of which is carried out by the half that has it."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from click.shell_completion import FishComplete, add_completion_class

from analysis.__main__ import cli as analysis
from pipelines.__main__ import cli as pipelines
from pipelines.cli.declare import command
from pipelines.cli.group import OneLineGroup
from pipelines.common.program import Example, Program
from pipelines.processes import signals
from pipelines.server.options import ServerOptions

HALVES: tuple[Program, ...] = (pipelines, analysis)
NAME = "nnreg"
SERVER = "server"  # of both halves, so of neither


@add_completion_class
class WholeLists(FishComplete):
    """Completion in fish of names with commas between them; click's own offers what is before the first comma."""

    source_template = FishComplete.source_template.replace('split ","', 'split --max 1 ","')


class Registry(OneLineGroup):
    """The commands of both halves. Errors, exit codes and what a run records are those of the half."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **kwargs: Any) -> Any:
        """Run a command."""
        words = list(sys.argv[1:] if args is None else args)
        for half in HALVES:
            if words and words[0] in half.commands:
                return half.main(words, *others, **kwargs)
        return super().main(words, *others, **kwargs)


def _sections() -> Mapping[str, Sequence[str]]:
    titles = [*(title for title in pipelines.sections if title not in analysis.sections), *analysis.sections]
    sections = {title: [name for half in HALVES for name in half.sections.get(title, ())] for title in titles}
    return sections | {"Tracking server": [*sections["Tracking server"], SERVER]}


def _serve(options: ServerOptions) -> None:
    from pipelines.server import command

    signals.ready()
    command.run(options)


cli = Registry(
    NAME,
    commands={
        **{name: command for half in HALVES for name, command in half.commands.items()},
        SERVER: command(SERVER, ServerOptions, _serve),
    },
    sections=_sections(),
    examples=(
        Example("Every experiment on embedded data, in minutes", "main"),
        Example("Two forecasters, three seeds each", "recurrent --dataset sample --models gru-2,linear-ar --seeds 3"),
        Example("What came out, against the baseline", "compare --entry recurrent --baseline linear-ar"),
        Example("What a command takes", "recurrent --help"),
    ),
    help="Neural networks compared honestly: experiments that MLflow tracks, and tables from what it has tracked.",
)
