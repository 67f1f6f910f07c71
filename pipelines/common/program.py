"""Command lines as both halves have them: sections, examples, -h, --version, and what was meant by a misspelt name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from pipelines.errors import meant, nearest

_WIDEST = 100  # columns of a help text
# What stands for a hyphen while lines are broken, since names and flags have them, and for a space within a default.
_HYPHEN, _SPACE = "\N{NON-BREAKING HYPHEN}", "\N{NO-BREAK SPACE}"
_LONGEST = 40  # default that is not broken


@dataclass(frozen=True)
class Example:
    """An example in a command's help.

    Attributes:
        does: what it does, in a few words.
        arguments: what is typed after the command's name.
    """

    does: str
    arguments: str = ""


class Formatter(click.HelpFormatter):
    """A formatter that breaks no line at a hyphen: a name or a flag can be copied."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms, each beside what it means."""
        unbroken = [(term, meaning.replace("-", _HYPHEN)) for term, meaning in rows]
        super().write_dl(unbroken, col_max, col_spacing)

    def getvalue(self) -> str:
        """Returns what was written."""
        return super().getvalue().replace(_HYPHEN, "-").replace(_SPACE, " ")


class Option(click.Option):
    """An option that shows its default in words.

    Args:
        shown: what its default means, where the value does not say so; the value is shown without it, if it has a text.
    """

    def __init__(self, *args: Any, shown: str = "", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.shown = shown
        if isinstance(self.type, click.types.BoolParamType) and not self.is_flag:
            self.metavar = "[true|false]"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Returns names and help, with the default."""
        record = super().get_help_record(ctx)
        if record is None or self.is_flag:
            return record
        default = str(self.default).lower() if isinstance(self.default, bool) else str(self.default)
        shown = f"[default: {self.shown or default}]" if self.shown or default else ""
        if len(shown) <= _LONGEST:
            shown = shown.replace(" ", _SPACE)
        return record[0], f"{self.help or ''}  {shown}".strip(" ")


class Described(click.Command):
    """A command whose help ends with examples, and which knows what a misspelt option was meant to be."""

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **kwargs: Any):
        own = {"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST}
        super().__init__(*args, **{**kwargs, "context_settings": own | (kwargs.get("context_settings") or {})})
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [flag for parameter in self.get_params(ctx) for flag in parameter.opts if flag.startswith("--")]
            ctx.fail(f"no such option {error.option_name}; {nearest(error.option_name, known)}{_lists(ctx)}")

    def get_help(self, ctx: click.Context) -> str:
        """Returns the help."""
        formatter = Formatter(width=ctx.terminal_width, max_width=ctx.max_content_width)
        self.format_help(ctx, formatter)
        return formatter.getvalue().rstrip("\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(f"{example.does}:")
                    # As it is: a broken line could not be copied.
                    line = f"{ctx.command_path} {example.arguments}".rstrip()
                    formatter.write(f"{'':{formatter.current_indent + 2}}{line}\n")


class Program(Described, click.Group):
    """Commands in sections. Alone it prints its help.

    Args:
        sections: title to the names of its commands; a command of none stands in one called Others.
    """

    command_class = Described

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.sections = sections or {}
        self.params.append(
            Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Show the versions of the project and of what it builds on, and exit.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line up to the name of the command."""
        return super().parse_args(ctx, args or ([] if ctx.resilient_parsing else ["--help"]))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of the sections."""
        return [*self._listed(), *(name for name in self.commands if name not in self._listed())]

    def _listed(self) -> list[str]:
        return [name for names in self.sections.values() for name in names]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            ctx.fail(f"no such command {args[0]!r:.60}; {meant(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with the first paragraph of its help."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        width = max(map(len, commands), default=0)
        others = {"Others": [name for name in commands if name not in self._listed()]}
        for title, names in {**self.sections, **others}.items():
            rows = [(name.ljust(width), _first(command)) for name in names if (command := commands.get(name))]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """Decorate a function with an Option."""
    return click.option(*names, cls=Option, **settings)


def _first(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def _lists(ctx: click.Context) -> str:
    return f"{ctx.command_path} --help lists them"


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from pipelines.common.version import versions  # asks git

        click.echo(versions())
        ctx.exit()
