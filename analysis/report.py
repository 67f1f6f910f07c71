"""One page on all runs: what was run, how good it was, what it cost, and how it stands against the published figures.

`gather` reads the tracking server into plain data, `write` renders that as HTML, markdown and LaTeX. Every data set
stands by itself: no table, figure or sentence compares runs on one with runs, or published figures, on another.
"""

import base64
import io
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context

from analysis import claims, formats, left_out, report_figures, tables
from analysis.errors import unwritable
from analysis.flaws import FLAWS, Flaw
from analysis.parts import Artifacts, Part, apart, own_rows, seeds_told
from analysis.report_figures import Figure
from analysis.stats import as_printed
from analysis.tables import Cells, Options
from analysis.views import VIEWS
from pipelines import names
from pipelines.common.files import file_name, replacing
from pipelines.experiments.base import NO_TRAINING
from pipelines.experiments.recurrent.rows import PANELS

PAGE, MARKDOWN, PAPER = "report.html", "report.md", "report.tex"
FIGURES = "figures"
BEST = 5  # rows of a headline
COMMANDS = 5  # that a section quotes

_STUDY = f"tags.{names.STUDY}"
_TRIAL = f"tags.{names.TRIAL}"
_COMMAND = f"tags.{names.COMMAND}"
_COMMIT, _DIRTY = "tags.mlflow.source.git.commit", "tags.mlflow.source.git.dirty"
_NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Table:
    """A table with what it is called and its footnotes."""

    caption: str
    cells: Cells
    notes: tuple[str, ...] = ()

    @property
    def widths(self) -> list[float]:
        """Share of the page that each column of a table of words needs: as the square root of its longest cell."""
        columns = zip(self.cells.header, *self.cells.lines, strict=True)
        needs = [math.sqrt(max(map(len, column))) for column in columns]
        return [need / sum(needs) for need in needs]


@dataclass(frozen=True)
class Section:
    """A part of the report: text, tables and figures.

    `commands` are those that its runs have recorded; where there are no runs, `advice` is one that makes some.
    """

    slug: str
    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    commands: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """Everything on the page; `made` is when, UTC."""

    made: datetime
    server: str
    runs: int
    lead: tuple[str, ...]
    headline: tuple[Table, ...]
    sections: tuple[Section, ...]
    flaws: tuple[tuple[Flaw, str], ...] = field(default=())


def gather(runs: pd.DataFrame) -> Report:
    """Reads what the report needs beyond `runs`, the finished runs as of runs.find: curves, artifacts, studies."""
    from analysis.runs import uri

    parts, artifacts = apart(runs), Artifacts()
    own = own_rows(parts)
    sections = (
        *_recurrent([part for part in parts if part.entry == "recurrent"], artifacts),
        *_ablation([part for part in parts if part.entry == "ablation"], artifacts),
        *_resnets([part for part in parts if part.entry in ("resnet", "pretrain")], artifacts),
        _costs(parts),
        _studies(parts, artifacts),
        _claims(parts),
        _provenance(parts),
        Section("left-out", "What this page leaves out", left_out.sentences(runs, parts, artifacts)),
    )
    flaws = tuple((flaw, flaw.change(own)) for flaw in FLAWS)
    return Report(datetime.now(UTC), uri(), len(runs), _lead(parts), tuple(_headline(parts)), sections, flaws)


def write(report: Report, folder: Path) -> list[Path]:
    """Writes the page, the markdown and the LaTeX, the figures as files beside them; returns all paths.

    Raises:
        InputError: a file cannot be written.
    """
    drawn = [figure for section in report.sections for figure in section.figures]
    written = [path for figure in drawn for path in _save(figure, folder / FIGURES)]
    pictures = {figure.name: _inline(figure) for figure in drawn}
    for name in (PAGE, MARKDOWN, PAPER):
        text = formats.template(name).render(report=report, pictures=pictures, folder=FIGURES)
        formats.write(folder / name, text)
        written.append(folder / name)
    return written


def _save(figure: Figure, folder: Path) -> Iterator[Path]:
    """The figure as pixels and as vectors."""
    for suffix, metadata in (("png", None), ("pdf", {"CreationDate": None})):
        path = folder / f"{figure.name}.{suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                figure.drawing.savefig(file, format=suffix, dpi=160, metadata=metadata)
        except OSError as error:
            raise unwritable(path, error) from error
        yield path


def _inline(figure: Figure) -> str:
    """The figure as a data URL: an image of its own cannot clash with the names inside another."""
    drawn = io.BytesIO()
    with rc_context({"svg.hashsalt": figure.name}):
        figure.drawing.savefig(drawn, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def _lead(parts: Sequence[Part]) -> tuple[str, ...]:
    """What the page is about, and on what data."""
    own = ", ".join(dict.fromkeys(view.called(view.dataset) for view in VIEWS.values()))
    data = ", ".join(dict.fromkeys(part.data for part in parts)) or "no data yet"
    beside = (
        f"A published figure stands beside runs on its own data ({own}) only."
        if any(part.is_published for part in parts)
        else f"The reports' figures are of {own}: none of them stands beside these runs."
    )
    return (
        "Two course reports reproduced: recurrent forecasters of electricity load; CNNs, MLPs and ResNets on images. "
        f"Runs on: {data}. Each data set stands by itself. {beside}",
        "± is the standard deviation over seeds, where several ran.",
    )


def _table(
    caption: str, runs: pd.DataFrame, metrics: Sequence[str] = (), baseline: str = "", **options: object
) -> Table | None:
    """A comparison of `runs`, of one entry and data set, in those of `metrics` that they have; None without any.

    With `baseline` also None where nothing is tested: that row has not run, or too few have.
    """
    runs = runs.dropna(axis="columns", how="all")
    known = tuple(metric for metric in metrics if f"metrics.{metric}" in runs)
    if runs.empty or (metrics and not known) or (baseline and baseline not in set(runs[tables.ROW])):
        return None
    (table,) = tables.compare(runs, Options(metrics=known, baseline=baseline, **options))
    if baseline and table.lines[tables.p_value(table.against)].isna().all():
        return None
    return Table(caption, tables.cells(table), table.notes)


def _lines(runs: pd.DataFrame) -> pd.DataFrame:
    """The lines of a comparison of `runs`, of one entry and data set, with a `label` that tells them apart."""
    if runs.empty:
        return pd.DataFrame()
    (table,) = tables.compare(runs.dropna(axis="columns", how="all"), Options())
    lines = table.lines
    alike = lines[names.ROW].duplicated(keep=False)
    further = [column for column in table.shown if column != names.ROW]

    def label(line: pd.Series) -> str:
        told = [f"{column} {tables.brief(line[column])}" for column in further if pd.notna(line[column])]
        return f"{line[names.ROW]} ({', '.join(told)})" if alike[line.name] and told else str(line[names.ROW])

    return lines.assign(label=[label(line) for _, line in lines.iterrows()])


def _headline(parts: Sequence[Part]) -> Iterator[Table]:
    """The best rows of each entry on each data set, with the published figures where these are of the same data."""
    told = {
        "recurrent": ("Next hour's load, {data}: sMAPE %, the report's convention", True),
        "ablation": ("CNNs and MLPs, {data}: test accuracy %", False),
        "resnet": ("ResNets evaluated, {data}: test accuracy %", False),
        "pretrain": ("ResNets trained here, {data}: test accuracy %", False),
    }
    for part in parts:
        title, lowest = told[part.entry]
        metric = part.view.main
        lines, mean = _lines(part.runs), f"{metric}.mean"
        if lines.empty or lines[mean].isna().all():
            continue
        known = lines.dropna(subset=[mean])
        ranked = known.sort_values(mean, ascending=lowest).head(BEST)
        published = [as_printed(line[tables.published(metric)]) for _, line in ranked.iterrows()]
        shown = [
            (line["label"], str(tables.summary(line, metric)), *([theirs] if part.is_published else []), str(line["n"]))
            for (_, line), theirs in zip(ranked.iterrows(), published, strict=True)
        ]
        count = f"best {len(ranked)} of {len(known)} rows" if len(ranked) < len(known) else "row"
        header = (count, "ours", *(["published"] if part.is_published else []), "runs")
        notes = tuple(_notes(part.runs[part.runs[tables.ROW].isin(ranked[names.ROW])]))
        yield Table(title.format(data=part.data), Cells(header, shown, len(header) - 1), notes)


def _notes(runs: pd.DataFrame) -> Iterator[str]:
    """What keeps these runs of one entry and data set from standing for the catalogue's rows on the published data."""
    told = {row: sorted({text for _, run in own.iterrows() for text in claims.departures(run)})
            for row, own in runs.groupby(tables.ROW)}  # fmt: skip
    departing = [f"{row} {', '.join(texts)}" for row, texts in told.items() if texts]
    if departing:
        yield f"Settings that are not the catalogue's: {'; '.join(departing)}."
    doubtful = [row for row, own in runs.groupby(tables.ROW) if tables.is_unverified(own)]
    if doubtful:
        yield tables.unverified_note(doubtful, len(told))


def _missing(slug: str, title: str, command: str) -> Section:
    return Section(slug, title, ("No finished runs are on this server yet.",), advice=command)


def _section(
    slug: str, title: str, shown: Sequence[Part], compared: Sequence[Table | None], drawn: Sequence[Figure | None]
) -> Section:
    """The section of `shown`, parts on one data set."""
    part = shown[0]
    text = () if part.is_published else (f"The report's figures are of {part.view.called(part.view.dataset)}, not of "
                                         "these data: none stands beside these.",)  # fmt: skip
    commands = _commands(pd.concat([each.rows for each in shown]))
    return Section(
        file_name(f"{slug}-{part.dataset}"),
        f"{title}: {part.data}",
        text,
        _present(compared),
        _present(drawn),
        commands,
    )


def _commands(runs: pd.DataFrame) -> tuple[str, ...]:
    """The commands that made `runs`, each once, the most recent first; the last line counts what is not quoted."""
    recorded = runs[_COMMAND].dropna() if _COMMAND in runs else pd.Series(dtype=str)
    distinct = list(dict.fromkeys(recorded[::-1]))
    told = distinct[:COMMANDS]
    if len(distinct) > COMMANDS:
        told.append(f"… and {len(distinct) - COMMANDS} more, in the tag {names.COMMAND} of the runs")
    if missing := len(runs) - len(recorded):
        told.append(f"{_NOT_RECORDED}: {missing} of {len(runs)} runs")
    return tuple(told)


def _recurrent(parts: Sequence[Part], artifacts: Artifacts) -> Iterator[Section]:
    slug, title = "recurrent", "Recurrent forecasters of hourly load"
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        yield _missing(slug, title, "python -m pipelines recurrent")
    for part in parts:
        beside = ", beside Table 1 of the report" if part.is_published else ""
        times = (names.TRAINING_TIME, names.EVALUATION_TIME)
        error = (names.SMAPE_REPORT,)
        compared = [
            _table(f"Error and time on {part.data}{beside}", part.rows, (*error, *times)),
            _table(f"Is the difference to gru-2 more than chance? {part.data}", part.rows, error, "gru-2"),
        ]
        yield _section(slug, title, [part], compared, _recurrent_figures(part, artifacts))


def _recurrent_figures(part: Part, artifacts: Artifacts) -> Iterator[Figure | None]:
    forecasts = artifacts.tables(
        part.drawn, names.FORECAST_DATA, ("actual_mw", "forecast_mw"), ("panel", "series", "time")
    )
    # As in the report: a row that repeats yesterday would fill the scale. Where there is no network, all.
    untrained = set(part.rows[tables.ROW][part.rows[tables.TRAINING] == NO_TRAINING])
    networks = {label: table for label, table in forecasts.items() if label not in untrained} or forecasts
    shown = [each for each in part.drawn if each.label in networks]
    for panel in PANELS:
        cited = panel.figure if part.is_published else ""
        name = file_name(f"{panel.name}-{part.dataset}")
        seeds = seeds_told(shown, part.not_drawn)
        yield report_figures.forecasts(networks, panel, name, part.data, cited, seeds)
    curves = artifacts.tables(part.drawn, names.CURVE_DATA, ("update", names.SMAPE))
    curves = {label: table for label, table in curves.items() if len(table) > 1}
    seeds = seeds_told([each for each in part.drawn if each.label in curves], part.not_drawn)
    cited = "Fig 10" if part.is_published else ""
    name = file_name(f"error-along-training-{part.dataset}")
    yield report_figures.error_along_training(curves, name, part.data, cited, seeds)


def _ablation(parts: Sequence[Part], artifacts: Artifacts) -> Iterator[Section]:
    slug, title = "ablation", "CNNs and MLPs"
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        yield _missing(slug, title, "python -m pipelines ablation")
    for part in parts:
        beside = ", beside Table 2 of the report" if part.is_published else ""
        accuracy = (names.TEST_ACCURACY,)
        compared = [
            _table(f"Loss and accuracy after the last epoch on {part.data}{beside}", part.rows),
            _table(f"Is the difference to cnn more than chance? {part.data}", part.rows, accuracy, "cnn"),
        ]
        yield _section(slug, title, [part], compared, _ablation_figures(part, artifacts))


def _ablation_figures(part: Part, artifacts: Artifacts) -> Iterator[Figure | None]:
    for kind, figure in (("loss", "Fig 5"), ("accuracy", "Fig 6")):
        logged = artifacts.tables(part.drawn, names.EPOCH_DATA, ("epoch", f"train_{kind}", f"test_{kind}"))
        seeds = seeds_told([each for each in part.drawn if each.label in logged], part.not_drawn)
        name = file_name(f"{kind}-{part.dataset}")
        yield report_figures.epochs(logged, kind, name, part.data, figure if part.is_published else "", seeds)
    yield _sheet(part, artifacts)


def _sheet(part: Part, artifacts: Artifacts) -> Figure | None:
    """The sample sheet of the tutorial's network, or of whatever row comes first."""
    for drawn in sorted(part.drawn, key=lambda each: each.label != "cnn")[:1]:
        run = part.rows[part.rows["run_id"] == drawn.run_id].iloc[0]
        labels = artifacts.table(drawn.run_id, drawn.label, names.SHEET_DATA, (), ("label", "prediction"))
        images = artifacts.array(drawn.run_id, drawn.label, names.SHEET_IMAGES)
        if labels is not None and images is not None and len(labels) == len(images):
            accuracy = run.get(f"metrics.{names.TEST_ACCURACY}", math.nan)
            name, cited = file_name(f"sheet-{part.dataset}"), "Fig 7" if part.is_published else ""
            seeds = seeds_told([drawn])
            return report_figures.sheet(drawn.label, labels, images, accuracy, name, part.data, cited, seeds)
    return None


def _resnets(parts: Sequence[Part], artifacts: Artifacts) -> Iterator[Section]:
    slug, title = "resnets", "ResNets"
    parts = [part for part in parts if len(part.rows)]
    if not parts:
        yield _missing(slug, title, "python -m pipelines resnet --models all")
    for dataset in dict.fromkeys(part.dataset for part in parts):
        own = {part.entry: part for part in parts if part.dataset == dataset}
        captions = {"resnet": "Weights evaluated on the test set", "pretrain": "Trained here"}
        compared = [_table(f"{captions[entry]}, {part.data}", part.rows) for entry, part in own.items()]
        drawn = []
        if part := own.get("resnet"):
            name, cited = file_name(f"resnets-{dataset}"), "Fig 6" if part.is_published else ""
            drawn.append(report_figures.accuracies(_lines(part.rows), name, part.data, cited))
        if part := own.get("pretrain"):
            logged = artifacts.tables(part.drawn, names.EPOCH_DATA, ("epoch", names.VAL_ACCURACY))
            seeds = seeds_told([each for each in part.drawn if each.label in logged], part.not_drawn)
            drawn.append(report_figures.validation(logged, file_name(f"resnet-training-{dataset}"), part.data, seeds))
        yield _section(slug, title, list(own.values()), compared, drawn)


def _costs(parts: Sequence[Part]) -> Section:
    """Error against cost of all rows, by the kind of task and the data."""
    kinds = (
        ("cost-recurrent", ("recurrent",), names.SMAPE_REPORT, names.TRAINING_TIME, "forecasters of {data}: "
         "error and cost", "training time, s", "sMAPE %, the report's convention"),
        ("cost-images", ("ablation", "pretrain"), names.TEST_ACCURACY, names.TRAINING_TIME, "classifiers of {data}: "
         "error and cost", "training time, s", "test error, %"),
        ("cost-resnets", ("resnet",), names.TEST_ACCURACY, names.MULTIPLY_ADDS, "ResNets on {data}: error and cost of "
         "an image", "million multiply-adds an image", "test error, %"),
    )  # fmt: skip
    drawn = []
    for name, entries, metric, cost, title, cost_label, error_label in kinds:
        own = [part for part in parts if part.entry in entries]
        for dataset in dict.fromkeys(part.dataset for part in own):
            alike = [part for part in own if part.dataset == dataset]
            drawn.append(
                report_figures.frontier(
                    _points(alike, metric, cost), file_name(f"{name}-{dataset}"),
                    cost_label, error_label, title.format(data=alike[0].data),
                )
            )  # fmt: skip
    text = ("Times are of the machine that ran, with whatever ran beside; bars are the standard deviation over seeds.",)
    if not _present(drawn):
        text = ("It takes two rows, with an error and a cost, on the same data.",)
    return Section("cost", "Error against cost", text, figures=_present(drawn))


def _points(parts: Sequence[Part], metric: str, cost: str) -> pd.DataFrame:
    """What frontier draws: the lines of `parts`, all on the same data; of an accuracy in percent the error."""
    error = (lambda value: 100 - value) if metric == names.TEST_ACCURACY else (lambda value: value)
    unit = 1e6 if cost == names.MULTIPLY_ADDS else 1.0
    points = []
    for part in parts:
        for _, line in _lines(part.runs).iterrows():
            mean, spent = (line.get(f"{name}.mean", np.nan) for name in (metric, cost))
            points.append((line["label"], spent / unit, error(mean), line.get(f"{metric}.std", np.nan)))
    frame = pd.DataFrame(points, columns=["label", "cost", "error", "spread"])
    return frame.astype(dict.fromkeys(("cost", "error", "spread"), float))


def _studies(parts: Sequence[Part], artifacts: Artifacts) -> Section:
    """The winners of the studies, and how each study went by its newest launch, which has all its trials."""
    from analysis.runs import every

    slug, title = "studies", "Studies of hyperparameters"
    launches, commands = {}, []
    for record in every(entry="tune", where="attributes.status != 'RUNNING'"):
        if record.get(_TRIAL) is None and record.get(_STUDY):
            launches[record[_STUDY], record.get(tables.DATASET) or ""] = record
            commands.append({_COMMAND: record.get(_COMMAND)})
    winners = [
        _table(
            f"Winners of the studies, {part.entry}, {part.data}, tested",
            part.winners, (part.view.main,), columns=("study",),
        )
        for part in parts
        if len(part.winners)
    ]  # fmt: skip
    drawn = []
    for (study, dataset), record in launches.items():
        drawn += _study(study, dataset, record["run_id"], artifacts)
    if not launches and not _present(winners):
        return _missing(slug, title, "python -m pipelines tune")
    text = (
        "Every choice was made on validation data; the winner was then trained anew with several seeds and tested.",
    )
    return Section(slug, title, text, _present(winners), _present(drawn), _commands(pd.DataFrame(commands)))


def _study(study: str, dataset: str, run_id: str, artifacts: Artifacts) -> Iterator[Figure | None]:
    trials = artifacts.table(run_id, f"the study {study}", names.TRIALS, ("trial",), ("state", "seconds"))
    if trials is None:
        return
    metric = next((name for name in (names.VAL_SMAPE, names.VAL_ACCURACY) if name in trials), "")
    if not metric:
        return
    trials = trials.assign(**{metric: pd.to_numeric(trials[metric], errors="coerce")})
    shares = artifacts.table(run_id, f"the study {study}", names.IMPORTANCES, ("importance",), ("hyperparameter",))
    ending = file_name(f"{study}-{dataset}" if dataset and dataset not in study else study)
    on = f"{study}, on {dataset}" if dataset else study
    yield report_figures.study(on, trials, metric, metric == names.VAL_SMAPE, f"study-{ending}", shares)
    if shares is not None:
        yield report_figures.importances(on, trials, shares, f"importance-{ending}")


def _claims(parts: Sequence[Part]) -> Section:
    """The statements of each report, judged by the runs on its own data only."""
    judged = [part for part in parts if part.entry in claims.STATEMENTS and len(part.rows)]
    found = [each for part in judged if part.is_published for each in _judged(part)]
    shown, untested = ([each for each in found if isinstance(each, kind)] for kind in (Table, str))
    elsewhere = [
        f"`python -m analysis claims --entry {part.entry} --dataset {shlex.quote(part.dataset)}`"
        for part in judged
        if not part.is_published
    ]
    own = " and ".join(dict.fromkeys(VIEWS[entry].called(VIEWS[entry].dataset) for entry in claims.STATEMENTS))
    text = [f"What the reports say in words of {own}, held against their own tables and against our runs on these."]
    text += untested if found else ["There are no runs on these data."]
    if elsewhere:
        text.append(f"Whether the same words hold on other data: {'; '.join(elsewhere)}.")
    return Section("claims", "The reports' statements", tuple(text), tuple(shown))


def _judged(part: Part) -> Iterator[Table | str]:
    """A table of verdicts for each way of training, or a sentence where its rows test nothing."""
    from analysis.runs import histories

    chosen = claims.choose(part.rows, part.dataset)
    for judged in claims.judge(part.entry, chosen, claims.curves(part.entry, chosen, histories)):
        caption = f"{part.entry}, {part.data}, {judged.training}"
        if not judged.tested:
            yield f"No statement is tested by the rows of {caption}."
            continue
        header = ("claim, or what we find", "by the report", "by ours", "evidence")
        told = [(each.claim.text, each.report, each.ours, each.evidence) for each in judged.reported + judged.found]
        ways = (judged.training, NO_TRAINING)
        notes = (*claims.NOTES, *_notes(chosen[chosen[tables.TRAINING].isin(ways)]))
        yield Table(caption, Cells(header, told, 0), notes)


def _provenance(parts: Sequence[Part]) -> Section:
    """What each part's runs were made with, and by which commands."""
    header = ("entry, data", "runs", "seeds", "made", "code", "data digest", "published files", "torch, CPU", "command")
    lines = [_made_with(part) for part in parts]
    if not lines:
        return Section("provenance", "Provenance", ("No runs of the catalogue's entries are on this server.",))
    text = (
        "A command is quoted as its runs have recorded it. One row of a table is made again by naming it: --models or "
        "--variants with its name. Every run has its settings, the digest of its data and the commit of its code; "
        "`python -m analysis diff RUN RUN` compares two.",
    )
    notes = (
        f"published files: whether all data files are the official ones (tag {names.VERIFIED}).",
        f"command: the tag {names.COMMAND} of the runs, each once.",
    )
    return Section(
        "provenance", "Provenance", text, (Table("What the runs were made with", Cells(header, lines, 0), notes),)
    )


def _made_with(part: Part) -> tuple[str, ...]:
    runs = part.runs
    started = pd.to_datetime(runs["start_time"])
    days = dict.fromkeys((f"{started.min():%d %b %Y}", f"{started.max():%d %b %Y}"))
    commits = [commit[:10] for commit in _distinct(runs, _COMMIT)]
    dirty = " (with uncommitted changes)" if "true" in _distinct(runs, _DIRTY) else ""
    seeds = sorted(set(runs[tables.SEED]) - {""}, key=lambda seed: (len(seed), seed))
    verified = _distinct(runs, tables.VERIFIED)
    return (
        f"{part.entry}, {part.dataset}",
        str(len(runs)),
        ", ".join(seeds),
        " to ".join(days),
        (", ".join(commits) or _NOT_RECORDED) + dirty,
        ", ".join(digest[:12] for digest in _distinct(runs, f"tags.{names.DATA_DIGEST}")) or _NOT_RECORDED,
        {(): _NOT_RECORDED, ("true",): "yes", ("false",): "no"}.get(tuple(verified), "of some runs"),
        ", ".join(_distinct(runs, "tags.torch") + _distinct(runs, "tags.isa")) or _NOT_RECORDED,
        "; ".join(_commands(runs)),
    )


def _distinct(runs: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(runs[column].dropna())) if column in runs else []


def _present(found: Sequence[object]) -> tuple:
    return tuple(each for each in found if each is not None)
