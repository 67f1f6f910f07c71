"""Faults of tables: gathered over whole files, and reported at once."""

from collections.abc import Iterable

from pipelines.errors import UserError

SHOWN = 10


class Faults:
    """What cannot be read, in the order of the lines.

    Attributes:
        remedy: what is to be done about faults of lines.
    """

    remedy = "correct these lines, or take them out"

    def __init__(self) -> None:
        self._lines: list[tuple[str, int, str]] = []
        self._count = 0

    def add(self, file: str, found: Iterable[tuple[int, str]]) -> None:
        """Add faults of a file: line number and description."""
        for line, what in found:
            self._count += 1
            if len(self._lines) < SHOWN:
                self._lines.append((file, line, what))

    def require_none(self) -> None:
        """Raise a UserError with the first faults, if there are any."""
        if not self._lines:
            return
        shown = "; ".join(f"{file}, line {line}: {what}" for file, line, what in self._lines)
        more = f"; and {self._count - len(self._lines):,} more" if self._count > len(self._lines) else ""
        raise UserError(f"{shown}{more}; {self.remedy}")


def quoted(text: str) -> str:
    """A field of a table, as messages show it."""
    return f"{text!r:.60}"


def named(series: str) -> str:
    """The name of a series, as messages show it: as it is, unless that is odd or long."""
    return series if series.isprintable() and len(series) <= 40 else quoted(series)
