"""What every experiment shares: published figures, and the name of an evaluation without training. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Published:
    """What a report printed for a row: metric name (see names.py) to value, with the report's own label."""

    source: str
    label: str
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


NO_TRAINING = "none"
