"""Standard output and error that take any text, whatever the terminal, pipe or file behind them can encode."""

import codecs
import sys

from pipelines.common.addresses import redacted

HANDLER = "escaped"


def take_any_text() -> None:
    """Has both write what their encoding lacks as ``\\uXXXX``, which JSON reads as the same character."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def can_print(text: str) -> bool:
    """Whether standard output has all characters of `text`."""
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
    """Tell the user something, on stderr, below any progress bar."""
    print(redacted(text), file=sys.stderr, flush=True)
