"""What the meta file of a prepared data set says, read without checking it and without what the cache imports."""

import json
from pathlib import Path

from pipelines.common.files import open_regular
from pipelines.data.protocol import META_FILE


def peek(folder: Path, key: str) -> str:
    """Returns a text of the meta file in `folder`; "" if there is none."""
    try:
        with open_regular(folder / META_FILE) as file:
            value = json.loads(file.read())[key]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return value if isinstance(value, str) else ""
