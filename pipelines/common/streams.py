"""Standard output and error that accept any text, whatever encoding the terminal, pipe or file has."""

import codecs
import sys
from collections.abc import Callable

from pipelines.common.addresses import redacted

HANDLER = "escaped"


def take_any_text() -> None:
    """Writes characters that the encoding lacks as ``\\uXXXX``, which JSON reads as the same character."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def can_print(text: str) -> bool:
    """Returns whether the encoding of standard output has all characters of `text`."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


codecs.register_error(HANDLER, _escaped)


def announce(text: str) -> None:
    """Prints a message for the user on stderr, without secrets; or passes it on, see `announce_by`."""
    _deliver(redacted(text))


def announce_by(deliver: Callable[[str], None]) -> None:
    """Has `announce` pass each message to `deliver` from now on: in a process whose parent draws on the terminal."""
    global _deliver
    _deliver = deliver


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_deliver: Callable[[str], None] = _print
