"""Declaration of the options of an entry point, for its command, its MLproject entry and its Python API."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Self

import click

from pipelines.common.program import Described, Example, Option
from pipelines.errors import UserError, require_known

_KIND, _HELP, _OWN, _SHOWN, _BARE = "kind", "help", "own", "shown", "bare"  # keys of the metadata of a field
_ROWS_OWN = "the row's own value"


def option(default: object, kind: Any, help: str, *, own: object = MISSING, shown: str = "") -> Any:
    """Declare an option: a field of a subclass of Options.

    Args:
        default: default value, as on the command line.
        kind: type that converts and validates the value: a click.ParamType, `str` or `bool`.
        help: help text of the command line.
        own: value that means the row's own setting, if there is one.
        shown: what the help says of the default, where the value does not say what it means.
    """
    shown = shown or ("" if own is MISSING else _ROWS_OWN)
    kind = click.types.convert_type(kind)
    return field(default=default, metadata={_KIND: kind, _HELP: help, _OWN: own, _SHOWN: shown})


def argument(kind: Any) -> Any:
    """Declare an argument, which is typed without a name: a text, "" by default. The command's help says what it is."""
    return field(default="", metadata={_KIND: click.types.convert_type(kind), _OWN: MISSING, _SHOWN: "", _BARE: True})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of an entry point, each converted and validated as on the command line.

    A subclass declares a field for each option by `option`, in the order of the command's help, and its docstring is
    the beginning of that help.

    Raises:
        UserError: a value is invalid.
    """

    # Command lines that its help shows.
    examples: ClassVar[Sequence[Example]] = ()
    # Note on how to continue a launch that was stopped, for entry points without an option `resume`.
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
        """Create options from `values` by name; the others have their defaults.

        Raises:
            UserError: a name is unknown, or a value is invalid.
        """
        for name in values:
            require_known("option", name, cls.names())
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the options, in the order of their declaration."""
        return [each.name for each in fields(cls)]

    def values(self) -> dict[str, Any]:
        """Values of the options by name."""
        return {name: getattr(self, name) for name in self.names()}

    def logged(self) -> dict[str, Any]:
        """Values of the options by name, as a launch logs them: a default number in the words that say what it means.

        >>> RecurrentOptions(hidden=64).logged()
        {..., "lr": "the row's own value", "hidden": 64, ..., "jobs": "auto", ...}
        """
        defaults = type(self)()

        def shown(each: Field[Any]) -> Any:
            value = getattr(self, each.name)
            if isinstance(value, str) or value != getattr(defaults, each.name):
                return value
            return each.metadata[_SHOWN] or each.default

        return {each.name: shown(each) for each in fields(self)}

    def overrides(self) -> dict[str, Any]:
        """Values by name of the options that replace the rows' own settings."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.metadata[_OWN] is not MISSING and getattr(self, each.name) != each.metadata[_OWN]
        }


def kind_of(options: type[Options], name: str) -> click.ParamType:
    """Type of an option."""
    return _field(options, name).metadata[_KIND]


def command(name: str, options: type[Options], run: Callable[[Any], None] = lambda options: None) -> click.Command:
    """Create the command of an entry point, which parses its options and passes them to `run`."""
    return Described(
        name,
        params=[_parameter(each) for each in fields(options)],
        help=options.__doc__,
        callback=lambda **values: run(options.of(values)),
        examples=options.examples,
    )


def _parameter(each: Field[Any]) -> click.Parameter:
    if each.metadata.get(_BARE):
        return click.Argument([each.name], type=each.metadata[_KIND], default=each.default)
    return Option(
        [f"--{each.name.replace('_', '-')}"],
        type=each.metadata[_KIND],
        default=each.default,
        help=each.metadata[_HELP],
        shown=each.metadata[_SHOWN],
    )


def _field(options: type[Options], name: str) -> Field[Any]:
    return next(each for each in fields(options) if each.name == name)
