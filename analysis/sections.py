"""The commands of the analysis, in the sections of its help."""

from collections.abc import Mapping
from types import MappingProxyType

SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Results": ("runs", "compare", "claims", "diff", "export", "report"),
        "Tracking server": ("ui", "watch", "sweep"),
        "This project's pages": ("readme",),
    }
)
