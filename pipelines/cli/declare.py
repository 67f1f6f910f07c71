"""Options of an entry point, declared once: its command, its MLproject entry, its defaults and its Python API."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Self

import click

from pipelines.errors import UserError, require_known

_KIND, _HELP, _OWN = "kind", "help", "own"  # keys of the metadata of a field


def option(default: object, kind: Any, help: str, *, own: object = MISSING) -> Any:
    """An option: a field of a subclass of Options.

    Args:
        default: as it is typed.
        kind: what converts and checks it: a type of click, or `str` or `bool`.
        help: what the command line shows.
        own: the value that stands for the row's own.
    """
    return field(default=default, metadata={_KIND: click.types.convert_type(kind), _HELP: help, _OWN: own})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of an entry point, each converted and checked as on the command line.

    A subclass declares one field an option, made by `option`, in the order of the command's help, which its docstring
    begins.

    Raises:
        UserError: an option has a value that its type refuses.
    """

    # How a launch goes on that was ended early and has no option `resume`.
    continuation: ClassVar[str] = ""

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            try:
                converted = each.metadata[_KIND].convert(value, None, None)
            except click.BadParameter as error:
                raise UserError(f"{each.name}={value!r:.80}: {error.message}") from None
            object.__setattr__(self, each.name, converted)

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """Those of `values`, and the defaults of the others.

        Raises:
            UserError: there is no such option, or one has a value that its type refuses.
        """
        for name in values:
            require_known("option", name, cls.names())
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the options, in their order."""
        return [each.name for each in fields(cls)]

    def values(self) -> dict[str, Any]:
        """Value of each option, by name, as a launch logs it."""
        return {name: getattr(self, name) for name in self.names()}

    def overrides(self) -> dict[str, Any]:
        """What is given in the place of the rows' own: value by name."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.metadata[_OWN] is not MISSING and getattr(self, each.name) != each.metadata[_OWN]
        }


def kind_of(options: type[Options], name: str) -> click.ParamType:
    """The type of an option."""
    return _field(options, name).metadata[_KIND]


def command(name: str, options: type[Options], run: Callable[[Any], None] = lambda options: None) -> click.Command:
    """The command of an entry point: parses its options and gives them to `run`."""
    return click.Command(
        name,
        params=[_parameter(each) for each in fields(options)],
        help=options.__doc__,
        callback=lambda **values: run(options.of(values)),
        context_settings={"show_default": True},
    )


def _parameter(each: Field) -> click.Option:
    return click.Option(
        [f"--{each.name.replace('_', '-')}"],
        type=each.metadata[_KIND],
        default=each.default,
        help=each.metadata[_HELP],
    )


def _field(options: type[Options], name: str) -> Field:
    return next(each for each in fields(options) if each.name == name)
