"""The options `seeds` and `width`: a number of seeds, or seeds until the mean of each row is known well enough."""

from typing import Any, Final, Literal

import click

from pipelines.cli.types import MOST_SEEDS
from pipelines.common.choices import Integer
from pipelines.errors import UserError

AUTO: Final = "auto"
FIRST, MOST = 3, 30  # seeds of a row that AUTO begins with, and ends with at the latest

SeedCount = int | Literal["auto"]


class Seeds(click.ParamType):
    """`auto` or a number of seeds."""

    name = "auto|integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SeedCount:
        """Convert to a number, unless it is auto; raises click.BadParameter."""
        return AUTO if value == AUTO else Integer(1, MOST_SEEDS).convert(value, param, ctx)


def first_seeds(seeds: SeedCount) -> int:
    """Number of seeds that a launch begins with."""
    return FIRST if seeds == AUTO else seeds


def described(seeds: SeedCount, width: float) -> str:
    """The two options in words, for the description of a launch."""
    return f"seeds until the 95 % interval is narrower than {width:g}" if seeds == AUTO else f"{seeds} seed(s)"


def require_width(seeds: SeedCount, width: float) -> None:
    """Check that the two options are given together.

    Raises:
        UserError: one is given without the other.
    """
    if seeds == AUTO and not width:
        raise UserError("seeds=auto: say how narrow the 95 % interval of the mean is to become, such as width=0.01")
    if width and seeds != AUTO:
        raise UserError(f"width={width:g}: it is for seeds=auto, which adds seeds until the 95 % interval is so narrow")
