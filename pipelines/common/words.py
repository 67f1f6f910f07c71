"""Values of settings as text, in messages, descriptions and names of runs."""

import re
from collections.abc import Mapping

_LAST = re.compile(r"((?<=[a-z])\d+\.\d+|\d+)$")


def short(value: object) -> str:
    """The text of a value: of a list its items, of a float four digits."""
    if isinstance(value, list):
        return ",".join(map(short, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def natural(name: str) -> str:
    """The key that puts names which end in a number into its order: trial-9 before trial-10, lr0.002 before lr0.01.

    Figures within a name are no numbers, such as those of a digest.
    """

    def padded(found: re.Match[str]) -> str:
        whole, point, decimals = found[0].partition(".")
        return whole.zfill(9) + point + decimals

    return _LAST.sub(padded, name)


def brief(values: Mapping[str, object]) -> list[str]:
    """The words ``name=value``, of the name of a run."""
    return [f"{name}={short(value)}" for name, value in values.items()]


def cut(name: str, width: int, more: str = "…") -> str:
    """The name of a run in `width` columns, cut at `more`; its seed, the last word, is always seen."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= width:
        return name
    before, _, last = name.rpartition(" ")
    end = f"{more}{last}" if before and last.startswith("seed") else more
    return set_cell_size(name, max(0, width - cell_len(end))) + end
