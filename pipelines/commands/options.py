"""Options of the commands that are not experiments; torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options, argument, option
from pipelines.common.choices import Integer, OneOf, Place
from pipelines.common.program import Example
from pipelines.data.datasets import ALL, AUTO, REPORTED, DataName, known
from pipelines.data.energy.terms import GAPS, ORDERS, SKIP, UNITS
from pipelines.data.protocol import IMAGES, LOAD
from pipelines.experiments.index import ENTRIES

DEMO, REPORT = "demo", "report"  # presets of `main`
TERMINAL, MARKDOWN, JSON = "terminal", "markdown", "json"
FORMATS = (TERMINAL, MARKDOWN, JSON)  # of a list
_FOUND = "found out"


# Options for tables of load, of each command that reads some.


def _time_column() -> Any:
    return option("", str, "Column of the times, or those of date and hour with a comma between.", shown=_FOUND)


def _load_column() -> Any:
    return option("", str, "Column of the load, several with commas, or all.", shown=_FOUND)


def _series_column() -> Any:
    return option("", str, "Column that names the series of a row.", shown=_FOUND)


def _date_format() -> Any:
    help = f"As of strptime, e.g. '%d.%m.%Y %H:%M', or {', '.join(ORDERS[:-1])} or {ORDERS[-1]}."
    return option("", str, help, shown=_FOUND)


def _timezone() -> Any:
    help = "Zone of the times, or to convert them to, e.g. Europe/Berlin."
    return option("", str, help, shown="as the files have them")


def _unit() -> Any:
    return option("", str, f"Unit of the load: {', '.join(UNITS)}.", shown="that of its name, else MW")


def _decimal_mark() -> Any:
    return option("", str, "Decimal mark: . or ,", shown=_FOUND)


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """Download or read, verify and cache the data."""

    examples: ClassVar[Sequence[Example]] = (
        Example("Download everything"),
        Example("Read files that you have already", "--dataset cifar10 --source cifar-10-binary.tar.gz"),
        Example("Hourly loads of your own, under a name of yours", "--dataset town --source my.csv"),
        Example("Images of your own, in a folder for each class", "--dataset leaves --source my-images"),
    )

    dataset: str = option(
        ALL,
        DataName([ALL, *known(LOAD, IMAGES)]),
        f"Data set to prepare: {', '.join(known(LOAD, IMAGES))}, or a new name for files of your own.",
    )
    source: str = option("", Place(), "Folder, archive or file that holds the data.", shown="download them")
    data_dir: str = common.data_dir()
    allow_unverified: bool = option(
        False, bool, "Accept files that are not the published ones; every run on them says so."
    )
    kind: str = option(
        AUTO, OneOf([AUTO, LOAD, IMAGES]), "What files of your own hold; auto: images if any is one, else loads."
    )
    time_column: str = _time_column()
    load_column: str = _load_column()
    series_column: str = _series_column()
    date_format: str = _date_format()
    timezone: str = _timezone()
    unit: str = _unit()
    decimal_mark: str = _decimal_mark()
    gaps: str = option(
        SKIP,
        OneOf(GAPS),
        "Missing hours. skip: no window crosses them; fill: short ones by a line, others by the week before; keep: as "
        "if none were missing, as PJM's are.",
    )
    country: str = option("", str, "Country whose public holidays the load knows, e.g. DE or GB-ENG.", shown="none")
    skip_broken: bool = option(False, bool, "Leave out images that cannot be read, and count them.")


# Options for forecasters.


def _forecaster() -> Any:
    help = (
        f"Data set whose forecaster to take; auto: {REPORTED[LOAD]} if one was trained on it, else the embedded sample."
    )
    return option(AUTO, DataName([AUTO, *known(LOAD)]), help)


def _model() -> Any:
    return option("", str, "Address of another model, models:/NAME@ALIAS.", shown="the champion of the data set")


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(Options):
    """Forecast the next hours of a load by the best network that was trained, with intervals and a backtest."""

    examples: ClassVar[Sequence[Example]] = (
        Example("The next day of a load of your own", "--history my.csv"),
        Example("Two days ahead of the data that a network was trained on", "--dataset pjm --hours 48"),
        Example("The forecast of yesterday beside what came", "--history newer.csv --check true"),
    )

    history: str = option("", Place(), "Table of the hours before, as for prepare.", shown="the prepared data")
    dataset: str = _forecaster()
    hours: int = option(24, Integer(1, 168), "Hours to forecast.")
    model: str = _model()
    output: str = option(
        "forecast", Place("folder", folders=True), "Folder for forecast.csv, its plot and the backtest."
    )
    check: bool = option(
        False, bool, "Compare the forecast that is in the folder with the loads of the history, instead of a new one."
    )
    time_column: str = _time_column()
    load_column: str = _load_column()
    series_column: str = _series_column()
    date_format: str = _date_format()
    timezone: str = _timezone()
    unit: str = _unit()
    decimal_mark: str = _decimal_mark()
    data_dir: str = common.data_dir()


@dataclass(frozen=True, kw_only=True)
class ServeOptions(Options):
    """Serve the best network that was trained: a POST of the last hours of a load is answered with the next ones."""

    examples: ClassVar[Sequence[Example]] = (
        Example("For programs on this machine", ""),
        Example("Another version, on another port", "--model models:/load-forecaster-pjm/3 --port 8000"),
    )

    dataset: str = _forecaster()
    model: str = _model()
    host: str = option("127.0.0.1", str, "Address to listen at; 0.0.0.0 is open to other machines.")
    port: int = option(5001, Integer(1, 65535), "Port to listen at.")


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
class ReproduceOptions(Options):
    """Make the finished run of a row again, as RUN (an id, its first digits or a name) was made, and compare the two.

    Exit code 0 says that their metrics are identical, or agree within a tolerance; 1 that they differ.
    """

    examples: ClassVar[Sequence[Example]] = (
        Example("A run by the first digits of its id", "3f2a9c1d"),
        Example("The only run of that name", "gru-2-seed0"),
    )

    run: str = argument(str)
    data_dir: str = common.data_dir()


@dataclass(frozen=True, kw_only=True)
class MainOptions(Options):
    """Run the whole chain: the demo on embedded data, or the full reproduction."""

    examples: ClassVar[Sequence[Example]] = (
        Example("Every experiment on embedded data, the comparison and the report"),
        Example("The course reports' own tables", "--preset report"),
    )

    preset: str = option(
        DEMO,
        OneOf([DEMO, REPORT]),
        "demo: every experiment on the embedded samples, in minutes; report: both course reports on their own data, "
        "in hours.",
    )
