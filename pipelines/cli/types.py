"""Types of options, and limits of their values."""

import re
from pathlib import Path
from typing import Any

import click

from pipelines.common import launcher
from pipelines.common.choices import Integer

# Larger values are taken for typing errors: they are refused at once, instead of filling memory with jobs.
MOST_EPOCHS = MOST_TRIALS = 1_000_000
MOST_ITEMS = 1 << 24
MOST_UNITS = 1 << 16
MOST_DROPOUT = 0.99
MOST_SEEDS = MOST_PROCESSES = 1000
LARGEST_SEED = (1 << 32) - 1  # limit of NumPy


class Jobs(click.ParamType):
    """`auto` (0) or a number of processes."""

    name = "auto|integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert to a number, 0 for auto; raises click.BadParameter."""
        if value in ("auto", 0):
            return 0
        return Integer(1, MOST_PROCESSES).convert(value, param, ctx)


class Device(click.ParamType):
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the name of a device; raises click.BadParameter."""
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
            self.fail(f"{value!r} is none of auto, cpu, cuda, cuda:N", param, ctx)
        return value


class Sides(click.ParamType):
    """Image sizes in pixels, comma separated or a sequence, increasing up to 32; empty for the row's own."""

    name = "pixels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Convert to a list; raises click.BadParameter."""
        if not isinstance(value, str):
            value = ",".join(map(str, value))
        given = [each.strip() for each in value.split(",") if each.strip()]
        # Two digits at most, because Python refuses to convert numbers with thousands of digits.
        sides = [int(each) for each in given if each.isdecimal() and len(each) <= 2]
        if given and (len(sides) < len(given) or sides != sorted(set(sides)) or sides[0] < 8 or sides[-1] != 32):
            self.fail(f"{value!r} is not a rising list from 8 to 32, such as 16,24,32", param, ctx)
        return sides


class Folder(click.ParamType):
    """A folder that exists or can be created: its name is valid, and it is not below a file."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the path as given, or another one if it is within a temporary clone of the project."""
        value = launcher.data_dir(value)
        try:
            Path(value).stat()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self.fail(f"{value!r:.80} can be no folder ({getattr(error, 'strerror', error)}); give another", param, ctx)
        return value
