"""Input that is not trusted: limits its size, shows parts of it in one line, and refuses it in one line."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.errors import UserError
from pipelines.experiments.resnet.pickles import foreign_names

SHOWN = 3  # names in a message
MAX_BYTES = 1 << 29  # a ResNet-50 has 94 MB, three times as much with an optimiser's state


def one_line(text: object) -> str:
    """Make a text from untrusted input short, printable and one line."""
    return "".join(character if character.isprintable() else "?" for character in str(text)[:100])


@contextmanager
def refusing(where: str, raw: bytes = b"") -> Iterator[None]:
    """Turn any exception in reading untrusted input into a UserError.

    Args:
        where: location of the input, for the message.
        raw: content of the file, if it has been read.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}; give a file that can") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{where} {_more_than_tensors(raw)}") from error
    except Exception as error:
        raise UserError(f"{where} is damaged, or neither of torch.save nor of safetensors; fetch it again") from error


def _more_than_tensors(raw: bytes) -> str:
    """Message about a file that cannot be loaded without running code in it, with the remedy."""
    remedy = "save the tensors alone where it was made: torch.save(model.state_dict(), 'weights.pt')"
    found = [one_line(name) for name in foreign_names(raw)]
    if not found:
        return f"is damaged or holds more than tensors, none of which was run; fetch it again, or {remedy}"
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"holds more than tensors ({', '.join(found[:SHOWN])}{more}), none of which was run; {remedy}"


def require_size(size: int, where: object) -> None:
    """Raise a UserError if `size`, in bytes, exceeds that of any ResNet's weights."""
    if size > MAX_BYTES:
        raise UserError(f"{where} has more than {MAX_BYTES >> 20} MiB, so it is no ResNet's; give the published file")
