"""Options of the commands that are not experiments; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, option
from pipelines.common.choices import OneOf, Place
from pipelines.common.program import Example
from pipelines.data.datasets import IMAGES, LOAD, known
from pipelines.experiments.index import ENTRIES

DEMO, REPORT = "demo", "report"  # presets of `main`
AUTO, TERMINAL, MARKDOWN, JSON = "auto", "terminal", "markdown", "json"
FORMATS = (TERMINAL, MARKDOWN, JSON)  # of a list


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """Download or read, verify and cache the data."""

    examples: ClassVar[Sequence[Example]] = (
        Example("Download everything"),
        Example("Read files that you have already", "--dataset cifar10 --source cifar-10-binary.tar.gz"),
    )

    dataset: str = option("all", OneOf(["all", *known(LOAD, IMAGES)]), "Data set to prepare.")
    source: str = option("", Place(), "Folder or archive that holds the files.", shown="download them")
    data_dir: str = common.data_dir()
    allow_unverified: bool = option(
        False, bool, "Accept files that are not the published ones; every run on them says so."
    )


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(Options):
    """Send what runs could not send to the tracking server while it was away, and set their final status."""

    examples: ClassVar[Sequence[Example]] = (Example("Everything that waits"),)

    spool: str = option("", Place(folders=True), "Spool to send, or folder of spools.", shown="all of this user's")


@dataclass(frozen=True, kw_only=True)
class RowsOptions(Options):
    """List the rows that can be run, with their settings and published figures, and those of a file of your own."""

    examples: ClassVar[Sequence[Example]] = (
        Example("Every experiment's"),
        Example("One experiment's, and those of a file", "--entry ablation --rows mine.toml"),
    )

    entry: str = option("all", OneOf(["all", *ENTRIES]), "Experiment whose rows are listed, or all.")
    rows: str = common.rows_file()
    format: str = option(
        AUTO,
        OneOf([AUTO, *FORMATS]),
        "auto: as a table for the terminal, or markdown where it goes to a file or pipe.",
    )


@dataclass(frozen=True, kw_only=True)
class MainOptions(Options):
    """Run the whole chain: the demo on embedded data, or the full reproduction."""

    examples: ClassVar[Sequence[Example]] = (
        Example("Every experiment on embedded data, the comparison and the report"),
        Example("The reports' own tables", "--preset report"),
    )

    preset: str = option(
        DEMO,
        OneOf([DEMO, REPORT]),
        "demo: every experiment on the embedded samples, in minutes; report: the full reproduction, in hours.",
    )
