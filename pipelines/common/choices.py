"""Types of options of both halves. Those of names know which there are, complete them, and say which was meant."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import click
from click.shell_completion import CompletionItem

from pipelines.errors import meant

Known = Iterable[str] | Callable[[], Iterable[str]]  # names, or what finds them once they are needed
NO_GROUPS: Mapping[str, Sequence[str]] = MappingProxyType({})


class OneOf(click.Choice[str]):
    """One of some names, as they are written."""

    case_sensitive = True

    def __init__(self, known: Known):
        self._known = known

    @cached_property
    def choices(self) -> Sequence[str]:  # type: ignore[override]
        """The names."""
        return _names(self._known)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check a name; raises click.BadParameter."""
        if value not in self.choices:
            self.fail(f"unknown {value!r:.60}; {meant(str(value), self.choices)}", param, ctx)
        return value


class Integer(click.IntRange):
    """An integer within limits."""

    name = "integer"


class Finite(click.ParamType):
    """A finite number in [low, high], or `own`, which means the row's own; click's FloatRange would accept nan."""

    name = "number"

    def __init__(self, low: float, high: float = math.inf, low_open: bool = False, own: float = math.nan):
        self.low, self.high, self.low_open, self.own = low, high, low_open, own

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert to a number; raises click.BadParameter."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if number == self.own:
            return number
        if (
            not math.isfinite(number)
            or number > self.high
            or number < self.low
            or (self.low_open and number == self.low)
        ):
            self.fail(
                f"{value} is not {'above' if self.low_open else 'at least'} {self.low:g}"
                + (f" and at most {self.high:g}" if math.isfinite(self.high) else ""),
                param,
                ctx,
            )
        return number


class Names(click.ParamType):
    """Names with commas between them, as they are typed. Whether they are known is for whoever reads them.

    Args:
        known: names to complete.
        metavar: what they are called.
        lists: whether there may be several.
    """

    def __init__(self, known: Known, metavar: str = "names", lists: bool = True):
        self._known = known
        self.name = metavar
        self._lists = lists

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text as it is."""
        return click.STRING.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the last name of a list."""
        before, comma, last = incomplete.rpartition(",") if self._lists else ("", "", incomplete)
        left = [name for name in _names(self._known) if name not in before.split(",")]
        return [CompletionItem(f"{before}{comma}{name}") for name in left if name.startswith(last)]


class Rows(Names):
    """Names of rows with commas between them, or `all`, as they are typed; `choose` reads them."""

    def __init__(self, known: Iterable[str]):
        super().__init__(["all", *known], "rows")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is; raises click.BadParameter."""
        text = super().convert(value, param, ctx)
        known = _names(self._known)
        chosen = choose(text, known)
        if not chosen:
            self.fail(f"no name is given; known are {', '.join(known)}", param, ctx)
        for name in chosen:
            if name not in known:
                self.fail(f"unknown {name!r:.60}; {meant(name, known)}", param, ctx)
        return text


class Place(click.ParamType):
    """A path, completed as files or folders are; any text is one."""

    def __init__(self, metavar: str = "path", folders: bool = False):
        self.name = metavar
        self._kind = "dir" if folders else "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        return click.STRING.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type=self._kind)]


def choose(given: str, known: Sequence[str], groups: Mapping[str, Sequence[str]] = NO_GROUPS) -> list[str]:
    """Returns the names of a comma-separated list, each once, in the order given.

    Args:
        given: the list, or "all" for those that are `known`.
        known: all names.
        groups: names by the name of their group, which may stand for them.
    """
    if given.strip() == "all":
        return list(known)
    names = (name.strip() for name in given.split(",") if name.strip())
    return list(dict.fromkeys(member for name in names for member in groups.get(name, [name])))


def _names(known: Known) -> list[str]:
    return list(known() if callable(known) else known)
