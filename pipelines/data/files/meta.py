"""What messages and lists say of prepared data: their folder, and texts of a meta file, unchecked."""

import json
import shlex
from pathlib import Path

from pipelines.common.files import open_regular
from pipelines.data.protocol import DATA_DIR, META_FILE


def peek(folder: Path, key: str) -> str:
    """Returns a text of the meta file in `folder`; "" if there is none."""
    try:
        with open_regular(folder / META_FILE) as file:
            value = json.loads(file.read())[key]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return value if isinstance(value, str) else ""


def elsewhere(data_dir: str | Path) -> str:
    """The option, after a space, that names a folder of data which is not the default one; else ""."""
    return "" if str(data_dir) == DATA_DIR else f" --data-dir {shlex.quote(str(data_dir))}"
