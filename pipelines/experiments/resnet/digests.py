"""Digests that files of weights must have: known ones, those in their names, and those recorded at the first use.

If a source publishes no digest, that of the first download is recorded beside it, and required from then on.
"""

import json
import re
from pathlib import Path

from pipelines.common import locks
from pipelines.common.files import open_regular, write_text
from pipelines.errors import UserError
from pipelines.experiments.resnet.files import File

RECORD = ".json"  # suffix of the record of digests, beside a download of a source without published digest

# A digest in the name of a published file, see torch.hub.load_state_dict_from_url.
_IN_NAME = re.compile(r"-([0-9a-f]{64}|[0-9a-f]{8})\.")


def require(file: File, sha256: str, known: str) -> None:
    """Compare the digest of a file with the one that is known beforehand and with the one in its name, if any.

    Args:
        file: the file.
        sha256: its SHA-256, hexadecimal.
        known: the expected SHA-256, or its first digits, or "".

    Raises:
        UserError: the digest differs.
    """
    in_name = _IN_NAME.search(file.name)
    # Eight decimal digits may be a date.
    stated = in_name[1] if in_name and not in_name[1].isdecimal() else ""
    for expected in (known, stated):
        if not sha256.startswith(expected):
            raise UserError(
                f"{file.where}: expected sha256 {expected}, got {sha256}; it is damaged or another: fetch it again"
            )


def require_as_before(file: File, sha256: str) -> list[str]:
    """Compare the digest of a file without a published one with the recorded one, or record it if it is the first.

    Returns:
        Messages for the user.

    Raises:
        UserError: the digest differs.
    """
    record = file.path.with_name(f"{file.path.name}{RECORD}")
    try:
        with locks.on_file(record.with_name(f"{record.name}.lock"), "record a digest"):
            digests = _recorded(record)
            if file.name not in digests:
                write_text(record, json.dumps(digests | {file.name: sha256}, indent=1) + "\n")
    except OSError as error:
        return [
            f"{file.where}: its digest cannot be recorded in {record} ({error.strerror}), so a later change "
            "of the file would not be noticed"
        ]
    if (before := digests.get(file.name, sha256)) != sha256:
        raise UserError(
            f"{file.where}: sha256 was {before} when it was first used, and is {sha256}; "
            f"take the first one again or, if you want the other, delete {record}"
        )
    return (
        []
        if file.name in digests
        else [f"{file.where}: no digest of it is published; {sha256} is required from now on, as {record} says"]
    )


def _recorded(record: Path) -> dict[str, str]:
    """Recorded digests by file name; empty if there is no record."""
    if not record.exists():
        return {}
    try:
        with open_regular(record) as file:
            digests = json.loads(file.read())
    except ValueError as error:
        raise UserError(f"{record} is no record of digests; delete it") from error
    if not isinstance(digests, dict) or not all(isinstance(value, str) for value in digests.values()):
        raise UserError(f"{record} is no record of digests; delete it")
    return digests
