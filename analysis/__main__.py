"""Command line of the analysis: parses, then delegates. It reads the tracking server; two commands write to it.

`report` logs itself as a run unless --log is false, and `sweep` marks runs whose process is gone.
"""

import contextlib
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis import known, shown
from analysis.errors import Commands, InputError, NothingFoundError, UnreachableError
from analysis.sections import SECTIONS
from pipelines.common import choices, command, garbage, launcher
from pipelines.common import ui as links
from pipelines.common.choices import Finite, Integer, OneOf, Place
from pipelines.common.program import Example, option
from pipelines.common.run_ids import SHORT
from pipelines.data.datasets import IMAGES, LOAD
from pipelines.data.datasets import known as datasets
from pipelines.experiments.index import ENTRIES

if TYPE_CHECKING:
    import pandas as pd

# A command imports what it needs when it runs: pandas, mlflow and the entries take a second, for which no help waits.

AUTO, ALL, TUNE = shown.AUTO, "all", "tune"
READING = "reading the tracking server"
FORMAT = "terminal in a terminal, else markdown"


class Names(choices.Names):
    """Comma-separated names as a tuple; the empty text is no names."""

    def convert(self, value: str | tuple[str, ...], param: object, ctx: object) -> tuple[str, ...]:
        """Splits `value` at its commas."""
        return value if isinstance(value, tuple) else tuple(name.strip() for name in value.split(",") if name.strip())


# Options of several commands.
ENTRY = option(
    "--entry",
    type=choices.Names((ALL, *ENTRIES, TUNE), "entry", lists=False),
    default=ALL,
    help=f"Command that made the runs: {', '.join(ENTRIES)}, {TUNE}, one of your own, or all.",
)
WHERE = option(
    "--where",
    default="",
    help="Only runs that meet this, in MLflow's search syntax (parameters compare as text), such as "
    "\"metrics.smape < 1 and params.lr = 0.001 and tags.dataset = 'pjm'\".",
)
SINCE = option("--since", metavar="DATE", default="", help="Only runs started on or after this date, YYYY-MM-DD.")


def _read_migrated(ctx: object, param: object, value: str) -> None:
    if not value:
        return
    from analysis.server import read_migrated

    if not read_migrated(Path(value)):
        click.echo("migrate: the database needs none, so it is read as it is", err=True)


MIGRATE = option(
    "--migrate",
    type=Place(),
    default="",
    expose_value=False,
    callback=_read_migrated,
    help="Of an older MLflow's SQLite database, make a copy at this new path, migrate and read that instead. "
    "The database itself stays as it is.",
)


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
                from analysis.runs import writes

                writes.mark_refused(sys.argv[1:], error.format_message())
            raise


EXAMPLES = (
    Example("What there is, beside the published figures", "compare"),
    Example("One page of everything", "report"),
    Example("What a command takes", "compare --help"),
)


@click.group(cls=TaggedRefusals, sections=SECTIONS, examples=EXAMPLES)
def cli() -> None:
    """Compares runs on the tracking server (MLFLOW_TRACKING_URI)."""


@cli.command(
    examples=(
        Example("The forecasters, each against one of them", "--entry recurrent --baseline gru-2 --sort smape"),
        Example("What a learning rate did", "--entry recurrent --where \"tags.row = 'gru-2'\" --group-by lr"),
        Example("The trials of studies", "--entry tune"),
        Example("A table for a paper", "--entry ablation --format latex --output ablation.tex"),
    )
)
@ENTRY
@option(
    "--format",
    "form",
    type=OneOf(known.formats),
    default=shown.AUTO,
    shown=f"{FORMAT}; of a file by its ending",
    help="Format of the table. csv and json have full precision; the others are rounded, with footnotes; terminal is "
    "ranked, the best line first; latex needs booktabs and graphicx.",
)
@option("--output", type=Place(), default="", shown="standard output", help="File to write.")
@option(
    "--metrics",
    type=Names(known.metrics),
    default="",
    shown="those of the entry's course report",
    help="Metrics to show, comma separated, such as smape,mae_mw,series/smape.AEP.",
)
@option(
    "--columns",
    type=Names(known.parameters),
    default="",
    help="Parameters or tags to show as columns, comma separated, such as lr,host.",
)
@WHERE
@option(
    "--group-by",
    type=Names(known.parameters),
    default="",
    shown="row, training and every parameter but the seed",
    help="Parameters or tags, comma separated, whose values make a line, besides the dataset.",
)
@option(
    "--baseline",
    type=choices.Names(known.rows, "row", lists=False),
    default="",
    help="Row to which each line's difference of the main metric is shown, with its significance: by the seeds, a "
    "paired t-test where they are shared, else Welch's; and by the forecasts or classes of the test part, where runs "
    "have them, Diebold and Mariano's test or McNemar's. Corrected by Holm.",
)
@option(
    "--sort",
    type=choices.Names(known.metrics, "column", lists=False),
    default="",
    shown="the best first in a terminal, else order of the catalogue",
    help="Column to sort by, -column for descending.",
)
@option("--limit", type=Integer(0), default=0, shown="all", help="Number of lines to show.")
@SINCE
@option(
    "--experiment",
    default="",
    metavar="NAME",
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
    with _reading():
        from analysis import formats
        from analysis.entries import index, tune
        from analysis.runs.predictions import outcomes
        from analysis.tables.compare import compare as compared
        from analysis.tables.table import Options
        from analysis.tables.terminal import drawn
        from analysis.view import general

        found, views = _find(entry, where, since, experiment), index.VIEWS
    if entry == TUNE:
        columns, views = tune.columns(found, columns), tune.views(found, general(views))
    form = shown.chosen(form, output)
    options = Options(metrics, columns, group_by, baseline, sort, form == shown.TERMINAL, limit)
    with shown.working("comparing"):
        tables = compared(found, views, options, outcomes if baseline else None)
    text = shown.on_screen(map(drawn, tables), output) if form == shown.TERMINAL else formats.FORMATS[form](tables)
    if output:
        path = launcher.given_output(output)
        formats.write(path, text)
        click.echo(path)
    else:
        shown.show(text)
    if form == shown.TERMINAL and not output:
        from analysis import steps

        row = "" if baseline or entry == TUNE else steps.baseline(tables)
        shown.next_steps(_again("compare", baseline=row) if row else steps.report())


@cli.command(
    examples=(
        Example("The forecasting report, on its own data"),
        Example("The CNN report, on the embedded sample", "--entry ablation --dataset sample"),
    )
)
@option("--entry", type=OneOf(known.judged), default="recurrent", help="Experiment whose course report is judged.")
@option(
    "--dataset",
    type=choices.Names(datasets(LOAD, IMAGES), "name", lists=False),
    default="",
    shown="the course report's, pjm or cifar10",
    help="Data set of the runs to judge by.",
)
@option(
    "--training",
    type=choices.Names(known.trainings, "name", lists=False),
    default="",
    shown="each way by itself",
    help="Only networks trained in this way: dense or window, autograd or manual.",
)
@option(
    "--format",
    "form",
    type=OneOf(known.claims_formats),
    default=shown.AUTO,
    shown=FORMAT,
    help="Format of the table. json has no footnotes.",
)
@WHERE
@MIGRATE
def claims(entry: str, dataset: str, training: str, form: str, where: str) -> None:
    """Table of the course report's claims in words, each supported, not supported or not tested, with our figures."""
    with _reading():
        from analysis.claims import judge, text
        from analysis.entries import index
        from analysis.tables.select import choose

        found = _find(entry, where)
    statements = index.STATEMENTS[entry]
    dataset = dataset or statements.view.dataset
    chosen = choose(found, statements.view, dataset, training)
    if chosen.empty:
        raise NothingFoundError(_none_judged(entry, dataset, training, found))
    from analysis.runs.histories import histories

    with shown.working("reading the curves"):
        judged = judge.judge(statements, chosen, judge.curves(statements, chosen, histories))
    form = shown.chosen(form)
    if form == shown.TERMINAL:
        from analysis import steps

        shown.show(shown.on_screen(text.drawn(entry, statements, judged)))
        elsewhere = judge.elsewhere(statements, found, dataset, training)
        shown.next_steps(*steps.after_claims(entry, statements, text.telling(judged), elsewhere))
    else:
        shown.show(text.FORMATS[form](entry, statements, judged))


@cli.command(
    examples=(
        Example("Every run, for a notebook", "--output runs.parquet"),
        Example("The curves of one entry", "--entry ablation --history --output curves.csv"),
    )
)
@option("--output", type=Place(), default="", shown="CSV on standard output", help="File to write, .csv or .parquet.")
@option(
    "--format", "form", type=OneOf(known.export_formats), default=AUTO, help="Format of the file; auto: by its ending."
)
@option("--history", is_flag=True, help="Every logged value of every metric instead: run, metric, step, time, value.")
@ENTRY
@option("--experiment", default="", metavar="NAME", help="Only runs of this MLflow experiment.")
@WHERE
@SINCE
@option(
    "--sort",
    type=choices.Names(known.metrics, "metric", lists=False),
    default="",
    shown="oldest first",
    help="Metric to sort by on the server, -metric for descending.",
)
@option("--limit", type=Integer(0), default=0, shown="all", help="Number of runs to export.")
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
    with garbage.left_alone():
        from analysis.export import write
        from analysis.runs import histories, records

    empty: Counter[str] = Counter()
    found = records.every(entry, where, since, experiment, sort, limit, None if history else empty)
    if history:
        found = (point for run in found for point in histories.points(str(run["run_id"]), _metrics(run), empty))
    count = write(found, form, path)
    for what, number in empty.items():
        click.echo(f"left empty: {number} {what}", err=True)
    if path:
        click.echo(f"{path}: {count} {'values' if history else 'runs'}")
    if not path:
        shown.next_steps(_again("export", output="curves.csv" if history else "runs.csv"))
    elif history:
        shown.next_steps(command.hint("python -m analysis compare"))
    else:
        curves = path.with_stem(f"{path.stem}-curves")
        shown.next_steps(_again("export", history=True, output=str(curves)))


@cli.command(
    "runs",
    examples=(
        Example("The newest runs of rows", "--where \"tags.row LIKE '%'\""),
        Example("Which runs used a file", "--data AEP_hourly.csv"),
        Example("Those that have failed since a date", "--since 2026-11-22 --where \"attributes.status = 'FAILED'\""),
    ),
)
@option(
    "--data",
    type=Place("file|name|digest"),
    default="",
    shown="whatever they read",
    help="Only runs that read data made of this file, whatever it is called, or of any file in this folder or archive, "
    "or of one that is not here by its name; or data of this name, or with a digest that begins so (6 or more digits).",
)
@ENTRY
@WHERE
@SINCE
@option(
    "--limit", type=click.IntRange(min=0), default=20, help="Number of runs to list, the newest first; 0 lists all."
)
@option(
    "--format",
    "form",
    type=OneOf(known.listing_formats),
    default=AUTO,
    help="Format of the list; auto: terminal on a terminal, markdown in a pipe. csv and json have whole ids.",
)
@MIGRATE
def list_runs(data: str, entry: str, where: str, since: str, limit: int, form: str) -> None:
    """The newest runs, or those that read a file: name, id, status, data, time and main metric of each."""
    with _reading():
        from analysis import absent
        from analysis.listed import Listing, Sought, which_read
        from analysis.listing import FORMATS
        from analysis.runs.with_data import listed
        from analysis.server import uri

        if data:
            found, none = which_read(Sought.of(data), listed(entry, where, since), limit, uri())
        else:
            found, none = Listing(tuple(listed(entry, where, since, limit)), parts=False), ""
    if not data:
        none = f"no runs{'' if entry == ALL else f' of {entry}'} on {uri()}"
        made = f"; make some with: {command.hint('python -m pipelines recurrent')}"
        none += " meet where and since" if where or since else made
    if not found.runs:
        raise (None if entry == ALL else absent.unknown(entry, "")) or NothingFoundError(none)
    click.echo(FORMATS[form](found), sys.stdout, nl=False)
    if form in (AUTO, shown.TERMINAL):
        from analysis import steps

        shown.next_steps(steps.after_runs(found))


@cli.command(examples=(Example("Two runs, by the first digits of their ids", "8d2f41a 07c9b3e"),))
@click.argument("left", metavar="RUN")
@click.argument("right", metavar="RUN")
@option(
    "--format",
    "form",
    type=OneOf(known.diff_formats),
    default=shown.AUTO,
    shown=FORMAT,
    help="Format of the table. json has full precision.",
)
@MIGRATE
def diff(left: str, right: str, form: str) -> None:
    """What two runs do not share: parameters, metrics, data, code and environment.

    A run is given by its id, the first 6 or more digits of it, or its name where no other run is called so.
    """
    with _reading():
        from analysis import diff
        from analysis.runs import records

        ours, theirs = records.one(left), records.one(right)
        comparison = diff.compare(ours, theirs)
    form = shown.chosen(form)
    if form == shown.TERMINAL:
        from analysis import steps

        shown.show(shown.on_screen([diff.drawn(comparison)]))
        shown.next_steps(steps.after_diff(comparison, ours, theirs))
    else:
        shown.show(diff.FORMATS[form](comparison))


@cli.command(examples=(Example("Which runs it would mark", "--dry-run"),))
@option("--dry-run", is_flag=True, help="Only say which.")
def sweep(dry_run: bool) -> None:
    """Marks runs as KILLED that still say RUNNING though their process, on this host, is gone."""
    with _reading():
        from analysis import steps, sweep
        from analysis.runs import records, writes
        from pipelines.processes.liveness import GONE, STATES

        fates = sweep.fates(records.every(where="attributes.status = 'RUNNING'"))
    gone = [fate for fate in fates if fate.state == GONE]
    for fate in gone:
        if not dry_run:
            writes.kill(fate.run_id, fate.reason)
        click.echo(f"{'would mark' if dry_run else 'marked'} KILLED: {fate.run_name} ({fate.run_id}): {fate.reason}")
    counts = {state: sum(fate.state == state for fate in fates) for state in STATES}
    click.echo(f"{len(fates)} running: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    shown.next_steps(*steps.after_sweep(fates, dry_run))


@cli.command(
    examples=(
        Example("A page that stays until q is pressed", ""),
        Example("The launches of one command since some day", "--entry recurrent --since 2026-11-25"),
        Example("Into a log", "--once"),
    )
)
@option(
    "--interval",
    type=Finite(0.2),
    default=2.0,
    metavar="SECONDS",
    help="Time between two readings, at least 0.2.",
)
@option("--once", is_flag=True, help="Print the page once and end, as is done where the output is not a terminal.")
@ENTRY
@option("--experiment", default="", help="Only runs of this MLflow experiment.")
@SINCE
def watch(interval: float, once: bool, entry: str, experiment: str, since: str) -> None:
    """A live page of what runs on the tracking server, and of what ended in the last ten minutes; q ends it.

    It shows launches, their rows and seeds with epoch, figure and time left, studies with their trials, and runs whose
    process is gone, with the commands that mend them. It only reads, so any number of them may run, anywhere.
    """
    with contextlib.suppress(KeyboardInterrupt):  # also while it imports: whoever ends a page has not failed
        from analysis.watch import live
        from analysis.watch.snapshot import Choice

        began = 0.0
        if since:
            from analysis.runs.search import milliseconds

            began = milliseconds(since) / 1000
        if once or not sys.stdout.isatty():
            live.once(experiment, Choice(entry, began))
        else:
            live.watch(experiment, Choice(entry, began), interval)


@cli.command(
    examples=(
        Example("In a browser on this machine", ""),
        Example("Beside another that runs already", "--port 5001"),
    )
)
@option("--port", type=Integer(1, 65535), default=links.PORT, help="Port of this machine to serve on.")
def ui(port: int) -> None:
    """MLflow's own pages of the runs, served for this machine alone, with links to the runs and their saved views.

    On a desktop, a browser opens. A tracking server reached by http has its own pages: then only the links are printed.
    """
    from analysis import ui as interface

    interface.run(port)


@cli.command(
    examples=(
        Example("The README, its picture, every page of docs/ and the gallery"),
        Example("The same from what the server has", "--refresh true"),
        Example("One page", "--file docs/ablation.md"),
    )
)
@option(
    "--file",
    "page",
    type=Place("file"),
    default="",
    shown="the README, its picture, docs/ and the gallery",
    help="Page whose marked tables to make again.",
)
@option(
    "--results",
    type=Place("folder", folders=True),
    default="docs/results",
    help="Folder of the results they are made from.",
)
@option(
    "--refresh",
    type=bool,
    default=False,
    help="First store what the tracking server has, in place of what is stored of the same rows.",
)
def readme(page: str, results: str, refresh: bool) -> None:
    """Makes the marked tables of the README and docs/ again, its picture and the gallery, from the stored results."""
    from analysis import docs, formats, gallery, headline

    folder = Path(results)
    if refresh:
        _store(folder)
    stored = docs.load(folder)
    paths = [Path(page)] if page else [Path(docs.README), *sorted(Path(docs.FOLDER).glob("*.md"))]
    for path in paths:
        try:
            before = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"file: cannot read {path}: {error.strerror}; give the page's path") from error
        if (after := docs.rewritten(before, stored)) != before:
            formats.write(path, after)
        click.echo(path)
    if not page:
        formats.write(Path(docs.PICTURE), headline.svg(headline.picture(stored.runs)))
        click.echo(docs.PICTURE)
        for path in gallery.write(gallery.gathered(stored.runs, folder / gallery.RESULTS), Path(gallery.PAGE)):
            click.echo(path)


def _store(folder: Path) -> None:
    """Stores the results of what the tracking server has, in place of what is stored of the same rows."""
    import pandas as pd

    from analysis import docs, gallery
    from analysis.claims import judge
    from analysis.entries import index
    from analysis.runs import records
    from analysis.runs.artifacts import artifact
    from analysis.runs.histories import histories
    from analysis.runs.predictions import outcomes
    from analysis.tables import columns
    from analysis.tables.select import newest

    stored = docs.load(folder) if (folder / docs.RUNS).is_file() else None
    found = _find(ALL, "")
    curves = [
        judge.curves(statements, newest(found[found[columns.ENTRY] == entry]), histories)
        for entry, statements in index.STATEMENTS.items()
    ]
    results = docs.merged(stored, found, pd.concat(curves), docs.tested(found, outcomes))
    docs.store(results, folder)
    for rows in docs.untested(stored, results) if stored else ():
        click.echo(f"no longer tested by predictions, which are missing or cannot be read: {rows}", err=True)
    gallery.store(found, records.every(), artifact, folder / gallery.RESULTS)
    gallery.discard(results.runs, folder / gallery.RESULTS)


@cli.command(
    examples=(
        Example("The page, and the same in MLflow"),
        Example("Only the page, in another folder", "--output mine --log false"),
        Example("The runs of one experiment on one data set", "--entries ablation --dataset sample"),
    )
)
@option(
    "--entries",
    type=Names(known.reported),
    default="",
    shown="all",
    help="Experiments whose runs it covers, comma separated, such as recurrent,ablation.",
)
@option(
    "--dataset",
    type=choices.Names(datasets(LOAD, IMAGES), "name", lists=False),
    default="",
    shown="all",
    help="Data set whose runs it covers.",
)
@SINCE
@option(
    "--output",
    type=Place("folder", folders=True),
    default="report",
    help="Folder to write the page, its figures and papers to.",
)
@option("--log", type=bool, default=True, help="Also log it to MLflow, as a run of its own; else only read.")
@MIGRATE
def report(entries: tuple[str, ...], dataset: str, since: str, output: str, log: bool) -> None:
    """One page of every table and figure beside the published ones, also as markdown and LaTeX.

    Its last section counts the runs that it leaves out, and says why.
    It is logged to the tracking server as the artifacts of a run of its own, unless --log is false.
    """
    with garbage.left_alone():
        from analysis.entries import index
        from analysis.report import page
        from analysis.report.choice import Choice
        from analysis.runs.search import moment
        from analysis.runs.writes import log_report

    folder = launcher.given_output(output)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it in the figure
        with _reading():
            choice = Choice(entries, dataset, moment(since) if since else None)
            found = _find(ALL, "")
            choice.require_known(found, index.VIEWS)
            gathered = page.gather(found, index.REPORT, choice)
        with shown.working("drawing figures"):
            written = page.write(gathered, folder)
    made = f"{folder / page.PAGE}: open it in a browser; "
    if not log:
        click.echo(f"{made}not logged to MLflow (--log false)")
    else:
        line = command.line("analysis", cli.commands["report"], click.get_current_context().params)
        click.echo(f"{made}also in MLflow as run {log_report(folder, written, line)[:SHORT]}")
    shown.next_steps(f"python -m webbrowser {(folder / page.PAGE).absolute().as_uri()}")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Says that the tracking server is read; leaves garbage alone, since imports take most of the time."""
    with garbage.left_alone(), shown.working(READING):
        yield


def _again(name: str, **changes: object) -> str:
    """The present command line, of the command `name`, with some options changed."""
    return command.hint(command.line("analysis", cli.commands[name], click.get_current_context().params | changes))


def _form(form: str, path: Path | None) -> str:
    """The format of an export: the requested one, else by the file's ending."""
    from analysis.export import FORMATS as EXPORT_FORMATS

    ending = path.suffix.removeprefix(".") if path else EXPORT_FORMATS[0]
    form = ending if form == AUTO else form
    if form not in EXPORT_FORMATS:
        raise InputError(f"output: {path} does not end in .csv or .parquet; give --format")
    if form == "parquet" and path is None:
        raise InputError("output: parquet is not for a terminal; give --output FILE.parquet")
    return form


def _metrics(record: Mapping[str, object]) -> list[str]:
    return [column.removeprefix("metrics.") for column in record if column.startswith("metrics.")]


def _find(entry: str, where: str, since: str = "", experiment: str = "") -> "pd.DataFrame":
    from analysis import absent
    from analysis.runs import frames

    def found(where: str) -> "pd.DataFrame":
        if entry == TUNE:
            return frames.trials(where, since, experiment)
        return frames.find(entry, where, since, experiment)

    if (frame := found(where)).empty:
        others = found("") if where else frame
        asked = "" if others.empty else absent.unmet(where, others)
        raise absent.nothing(entry, bool(where or since), experiment, asked)
    return frame


def _none_judged(entry: str, dataset: str, training: str, found: "pd.DataFrame") -> str:
    """Message where none of the runs `found` of `entry` is on this dataset and trained this way."""
    from analysis.tables.columns import DATASET

    trained = f" trained {training}" if training else ""
    others = sorted(set(found[DATASET]) - {dataset, ""})
    there = f"; there are on {', '.join(others)} (--dataset {others[0]})" if others else ""
    made = command.hint(f"python -m pipelines {entry}")
    return f"no finished runs of {entry} on {dataset}{trained}{there}; make some with: {made}"


if __name__ == "__main__":
    cli(prog_name="python -m analysis")
