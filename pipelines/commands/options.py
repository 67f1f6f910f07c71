"""Options of the commands that are not experiments; torch-free."""

from dataclasses import dataclass

import click

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.data.datasets import IMAGES, LOAD, known

DEMO, REPORT = "demo", "report"  # presets of `main`


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """Download or read, verify and cache the data."""

    dataset: str = option("all", click.Choice(["all", *known(LOAD, IMAGES)]), "What to prepare.")
    source: str = option("", str, "Folder or archive with the files; empty downloads them.")
    data_dir: str = common.data_dir()
    allow_unverified: bool = option(False, bool, "Accept files that are not the published ones.")


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(Options):
    """Send what runs could not send to the tracking server while it was away, and set their final status."""

    spool: str = option("", str, "A spool, or a folder of spools; empty: all of this user.")


@dataclass(frozen=True, kw_only=True)
class MainOptions(Options):
    """Run the whole chain: the demo on embedded data, or the full reproduction."""

    preset: str = option(DEMO, click.Choice([DEMO, REPORT]), "demo: minutes, on the sample.")
