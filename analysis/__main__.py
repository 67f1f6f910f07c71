"""Command line of the analysis: parses, then delegates. It reads the tracking server; two commands write to it.

`report` logs itself as a run unless --log is false, and `sweep` marks runs whose process is gone.
"""

import os
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
import pandas as pd

from analysis import absent, formats
from analysis.claims import judge, text
from analysis.diff import FORMATS as DIFF_FORMATS
from analysis.entries import index, tune
from analysis.errors import Commands, InputError, NothingFoundError, UnreachableError
from analysis.export import FORMATS as EXPORT_FORMATS
from analysis.tables.columns import DATASET, ENTRY
from analysis.tables.compare import compare as compared
from analysis.tables.select import choose, newest
from analysis.tables.table import Options
from pipelines.common import command, launcher

AUTO = "auto"

# Options of several commands.
WHERE = click.option(
    "--where",
    default="",
    help="Only runs that meet this, in MLflow's search syntax (parameters compare as text), e.g. "
    "\"metrics.smape < 1 and params.lr = 0.001 and tags.dataset = 'pjm'\".",
)
SINCE = click.option("--since", default="", help="Only runs started on or after this ISO date, e.g. 2026-11-22.")


def _read_migrated(ctx: object, param: object, value: str) -> None:
    if not value:
        return
    from analysis.server import read_migrated  # see _find

    if not read_migrated(Path(value)):
        click.echo("migrate: the database needs none, so it is read as it is", err=True)


MIGRATE = click.option(
    "--migrate",
    default="",
    expose_value=False,
    callback=_read_migrated,
    help="Of an older MLflow's SQLite database, make a copy at this new path, migrate and read that instead. "
    "The database itself stays as it is.",
)


class Names(click.ParamType):
    """Comma-separated names as a tuple; the empty text is no names."""

    name = "names"

    def convert(self, value: str | tuple[str, ...], param: object, ctx: object) -> tuple[str, ...]:
        """Splits `value` at its commas."""
        return value if isinstance(value, tuple) else tuple(name.strip() for name in value.split(",") if name.strip())


class TaggedRefusals(Commands):
    """A group that also tags the run which `mlflow run` made, if there is one, with why a command was refused."""

    def invoke(self, ctx: click.Context) -> object:
        """Carries out a command."""
        try:
            return super().invoke(ctx)
        except UnreachableError:
            raise
        except click.ClickException as error:
            if os.environ.get(launcher.RUN_ID):
                from analysis import runs  # see _find

                runs.mark_refused(sys.argv[1:], error.format_message())
            raise


@click.group(cls=TaggedRefusals)
def cli() -> None:
    """Compares runs on the tracking server (MLFLOW_TRACKING_URI)."""


@cli.command()
@click.option(
    "--entry", default="all", show_default=True, help="Entry whose runs to compare, e.g. recurrent or tune, or all."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(formats.FORMATS)),
    default="markdown",
    show_default=True,
    help="csv and json: full precision; the others: rounded, with footnotes. latex needs booktabs and graphicx.",
)
@click.option("--output", default="", help="File to write instead of standard output.")
@click.option("--metrics", type=Names(), default="", help="Metrics to show, e.g. smape,mae_mw,smape.AEP.")
@click.option("--columns", type=Names(), default="", help="Parameters or tags to show as columns, e.g. lr,host.")
@WHERE
@click.option(
    "--group-by",
    type=Names(),
    default="",
    help="Parameters or tags whose values make a line, besides the dataset. "
    "Default: row, training and every parameter but the seed.",
)
@click.option(
    "--baseline",
    default="",
    help="Row to which each line's difference of the main metric is shown, with its significance: paired by seed "
    "where seeds are shared, else Welch's t-test, corrected by Holm.",
)
@click.option("--sort", default="", help="Column to sort by, -column for descending. Default: order of the catalogue.")
@click.option("--limit", type=click.IntRange(min=0), default=0, show_default=True, help="Lines to show; 0 for all.")
@SINCE
@click.option(
    "--experiment",
    default="",
    help="Only runs of this MLflow experiment, and there also those that other projects made, by their parameters.",
)
@MIGRATE
def compare(
    entry: str,
    form: str,
    output: str,
    metrics: tuple[str, ...],
    columns: tuple[str, ...],
    where: str,
    group_by: tuple[str, ...],
    baseline: str,
    sort: str,
    limit: int,
    since: str,
    experiment: str,
) -> None:
    """Table of finished runs: mean ± standard deviation over seeds, beside the published figures.

    Of the entry tune: a table of its trials for each study, those that were given up early among them.
    """
    found = _find(entry, where, since, experiment)
    if entry == tune.NAME:
        columns = tune.columns(found, columns)
    options = Options(metrics, columns, group_by, baseline, sort, limit)
    shown = formats.FORMATS[form](compared(found, index.VIEWS, options))
    if output:
        path = launcher.given_output(output)
        formats.write(path, shown)
        click.echo(path)
    else:
        click.echo(shown, sys.stdout, nl=False)


@cli.command()
@click.option(
    "--entry",
    type=click.Choice(list(index.STATEMENTS)),
    default="recurrent",
    show_default=True,
    help="Entry whose report to hold to its words.",
)
@click.option("--dataset", default="", help="Dataset of the runs to judge by. Default: the report's, pjm or cifar10.")
@click.option(
    "--training",
    default="",
    help="Only networks trained so: dense or window, autograd or manual. Default: each by itself.",
)
@WHERE
@MIGRATE
def claims(entry: str, dataset: str, training: str, where: str) -> None:
    """Table of the report's claims in words, each held, failed or not tested, with our figures."""
    found = _find(entry, where)
    statements = index.STATEMENTS[entry]
    dataset = dataset or statements.view.dataset
    chosen = choose(found, statements.view, dataset, training)
    if chosen.empty:
        raise NothingFoundError(_none_judged(entry, dataset, training, found))
    from analysis.runs import histories

    judged = judge.judge(statements, chosen, judge.curves(statements, chosen, histories))
    click.echo(text.to_markdown(entry, statements, judged), sys.stdout, nl=False)


@cli.command()
@click.option("--output", default="", help="File to write, .csv or .parquet. Default: CSV to standard output.")
@click.option(
    "--format",
    "form",
    type=click.Choice([AUTO, *EXPORT_FORMATS]),
    default=AUTO,
    show_default=True,
    help="auto: by the ending of output.",
)
@click.option(
    "--history", is_flag=True, help="Every logged value of every metric instead: run, metric, step, time, value."
)
@click.option("--entry", default="all", show_default=True, help="Only runs of this entry, e.g. recurrent.")
@click.option("--experiment", default="", help="Only runs of this MLflow experiment.")
@WHERE
@SINCE
@click.option(
    "--sort", default="", help="Metric to sort by on the server, -metric for descending. Default: oldest first."
)
@click.option("--limit", type=click.IntRange(min=0), default=0, show_default=True, help="Runs to export; 0 for all.")
@MIGRATE
def export(
    output: str,
    form: str,
    history: bool,
    entry: str,
    experiment: str,
    where: str,
    since: str,
    sort: str,
    limit: int,
) -> None:
    """Every run of every experiment, whoever made it and however it ended, as one flat file."""
    path = Path(output) if output else None
    form = _form(form, path)
    from analysis import runs
    from analysis.export import write

    empty: Counter[str] = Counter()
    records = runs.every(entry, where, since, experiment, sort, limit, None if history else empty)
    if history:
        records = (point for record in records for point in runs.points(str(record["run_id"]), _metrics(record), empty))
    count = write(records, form, path)
    for what, number in empty.items():
        click.echo(f"left empty: {number} {what}", err=True)
    if path:
        click.echo(f"{path}: {count} {'values' if history else 'runs'}")


@cli.command()
@click.argument("left", metavar="RUN")
@click.argument("right", metavar="RUN")
@click.option("--format", "form", type=click.Choice(list(DIFF_FORMATS)), default="markdown", show_default=True)
@MIGRATE
def diff(left: str, right: str, form: str) -> None:
    """What two runs, given by their ids, do not share: parameters, metrics, data, code and environment."""
    from analysis import diff, runs

    click.echo(diff.FORMATS[form](diff.compare(runs.one(left), runs.one(right))), sys.stdout, nl=False)


@cli.command()
@click.option("--dry-run", is_flag=True, help="Only say which.")
def sweep(dry_run: bool) -> None:
    """Marks runs as KILLED that still say RUNNING though their process, on this host, is gone."""
    from analysis import runs, sweep
    from pipelines.processes.liveness import GONE, STATES

    fates = sweep.fates(runs.every(where="attributes.status = 'RUNNING'"))
    gone = [fate for fate in fates if fate.state == GONE]
    for fate in gone:
        if not dry_run:
            runs.kill(fate.run_id, fate.reason)
        click.echo(f"{'would mark' if dry_run else 'marked'} KILLED: {fate.run_name} ({fate.run_id}): {fate.reason}")
    counts = {state: sum(fate.state == state for fate in fates) for state in STATES}
    click.echo(f"{len(fates)} running: " + ", ".join(f"{count} {state}" for state, count in counts.items()))


@cli.command()
@click.option("--file", "page", default="README.md", show_default=True, help="Page whose marked tables to make again.")
@click.option("--results", default="docs/results", show_default=True, help="Folder of the results they are made from.")
@click.option(
    "--refresh",
    type=bool,
    default=False,
    show_default=True,
    help="First store what the tracking server has, in place of what is stored of the same rows.",
)
def readme(page: str, results: str, refresh: bool) -> None:
    """Makes the tables of the README again, each between its marks, from the stored results."""
    from analysis import docs

    folder, path = Path(results), Path(page)
    if refresh:
        stored = docs.load(folder) if (folder / docs.RUNS).is_file() else None
        found = _find("all", "")
        from analysis.runs import histories

        curves = [
            judge.curves(statements, newest(found[found[ENTRY] == entry]), histories)
            for entry, statements in index.STATEMENTS.items()
        ]
        docs.store(docs.merged(stored, found, pd.concat(curves)), folder)
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"file: cannot read {path}: {error.strerror}; give the page's path") from error
    formats.write(path, docs.rewritten(before, docs.load(folder)))
    click.echo(page)


@cli.command()
@click.option(
    "--output", default="report", show_default=True, help="Folder to write the page, its figures and papers to."
)
@click.option(
    "--log",
    type=bool,
    default=True,
    show_default=True,
    help="Also log it to MLflow, as a run of its own; else only read.",
)
@MIGRATE
def report(output: str, log: bool) -> None:
    """One page of every table and figure beside the published ones, also as markdown and LaTeX.

    It is logged to the tracking server as the artifacts of a run of its own, unless --log is false.
    """
    from analysis import runs
    from analysis.report import page

    folder = launcher.given_output(output)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it in the figure
        written = page.write(page.gather(_find("all", ""), index.REPORT), folder)
    made = f"{folder / page.PAGE}: open it in a browser; "
    if not log:
        click.echo(f"{made}not logged to MLflow (--log false)")
        return
    line = command.line("analysis", cli.commands["report"], {"output": output, "log": log})
    click.echo(f"{made}also in MLflow as run {runs.log_report(folder, written, line)}")


def _form(form: str, path: Path | None) -> str:
    """The format of an export: the requested one, else by the file's ending."""
    ending = path.suffix.removeprefix(".") if path else EXPORT_FORMATS[0]
    form = ending if form == AUTO else form
    if form not in EXPORT_FORMATS:
        raise InputError(f"output: {path} does not end in .csv or .parquet; give --format")
    if form == "parquet" and path is None:
        raise InputError("output: parquet is not for a terminal; give --output FILE.parquet")
    return form


def _metrics(record: Mapping[str, object]) -> list[str]:
    return [column.removeprefix("metrics.") for column in record if column.startswith("metrics.")]


def _find(entry: str, where: str, since: str = "", experiment: str = "") -> pd.DataFrame:
    from analysis import runs  # here, since importing mlflow takes seconds that --help should not

    found = runs.trials(where, since, experiment) if entry == tune.NAME else runs.find(entry, where, since, experiment)
    if found.empty:
        raise absent.nothing(entry, bool(where or since), experiment)
    return found


def _none_judged(entry: str, dataset: str, training: str, found: pd.DataFrame) -> str:
    """Message where none of the runs `found` of `entry` is on this dataset and trained this way."""
    trained = f" trained {training}" if training else ""
    others = sorted(set(found[DATASET]) - {dataset, ""})
    there = f"; there are on {', '.join(others)} (--dataset {others[0]})" if others else ""
    return f"no finished runs of {entry} on {dataset}{trained}{there}; make some with: python -m pipelines {entry}"


if __name__ == "__main__":
    cli(prog_name="python -m analysis")
