"""One page on all runs: what was run, how good it was, what it cost, and how it stands against the published figures.

`gather` reads the tracking server into plain data, `write` renders that as HTML, markdown and LaTeX.
"""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context

from analysis import claims, formats, report_figures, tables
from analysis.errors import InputError
from analysis.flaws import FLAWS, Flaw
from analysis.report_figures import Figure
from analysis.stats import as_printed
from analysis.tables import Cells, Options
from analysis.views import VIEWS
from pipelines import catalogue, names
from pipelines.files import file_name, replacing

PAGE, MARKDOWN, PAPER = "report.html", "report.md", "report.tex"
FIGURES = "figures"

_STUDY = f"tags.{names.STUDY}"
_TRIAL = f"tags.{names.TRIAL}"
_COMMIT, _DIRTY = "tags.mlflow.source.git.commit", "tags.mlflow.source.git.dirty"


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
    """A part of the report: text, tables, figures, and the command that makes its runs again."""

    slug: str
    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Report:
    """Everything on the page; `made` is when, UTC."""

    made: datetime
    server: str
    runs: int
    headline: tuple[Table, ...]
    sections: tuple[Section, ...]
    flaws: tuple[tuple[Flaw, str], ...] = field(default=())


def gather(runs: pd.DataFrame) -> Report:
    """Reads what the report needs beyond `runs`, the finished runs as of runs.find: curves, artifacts, studies."""
    from analysis.runs import uri

    known = runs[runs[tables.ENTRY].isin(VIEWS)]
    parts = {entry: tables.newest(_of_the_report(part, entry)) for entry, part in known.groupby(tables.ENTRY)}
    sections = (
        _recurrent(parts.get("recurrent")),
        _ablation(parts.get("ablation")),
        _resnets(parts.get("resnet"), parts.get("pretrain")),
        _costs(parts),
        _studies(parts),
        _claims(parts),
        _provenance(parts),
    )
    flaws = tuple((flaw, flaw.change(parts)) for flaw in FLAWS)
    return Report(datetime.now(UTC), uri(), len(runs), tuple(_headline(parts)), sections, flaws)


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
            raise InputError(f"output: cannot write {path}: {error.strerror}; give another path") from error
        yield path


def _inline(figure: Figure) -> str:
    """The figure as a data URL: an image of its own cannot clash with the names inside another."""
    drawn = io.BytesIO()
    with rc_context({"svg.hashsalt": figure.name}):
        figure.drawing.savefig(drawn, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def _of_the_report(part: pd.DataFrame, entry: str) -> pd.DataFrame:
    """The runs on the dataset that the entry's report used, or all where there are none."""
    own = part[part[tables.DATASET] == VIEWS[entry].dataset]
    return part if own.empty else own


def _is_tuned(part: pd.DataFrame) -> pd.Series:
    return part[_STUDY].notna() if _STUDY in part else pd.Series(False, part.index)


def _table(
    caption: str, part: pd.DataFrame | None, metrics: Sequence[str] = (), baseline: str = "", **options: object
) -> Table | None:
    """A comparison of `part` in those of `metrics` that it has; None where there is nothing to compare."""
    if part is None or part.empty:
        return None
    part = part.dropna(axis="columns", how="all")
    known = tuple(metric for metric in metrics if f"metrics.{metric}" in part)
    if metrics and not known:
        return None
    baseline = baseline if baseline in set(part[tables.ROW]) else ""
    (table,) = tables.compare(part, Options(metrics=known, baseline=baseline, **options))
    return Table(caption, tables.cells(table), table.notes)


def _lines(part: pd.DataFrame | None) -> pd.DataFrame:
    if part is None or part.empty:
        return pd.DataFrame()
    (table,) = tables.compare(part.dropna(axis="columns", how="all"), Options())
    return table.lines


def _headline(parts: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The best three trained rows of each kind with the published best, and what needs no training."""
    for entry, title, metric, lowest in (
        ("recurrent", "Next hour's load, sMAPE %, the report's convention", names.SMAPE_REPORT, True),
        ("ablation", "CNNs and MLPs, test accuracy %", names.TEST_ACCURACY, False),
        ("resnet", "ResNets, test accuracy %", names.TEST_ACCURACY, False),
    ):
        lines = _lines(parts.get(entry))
        mean = f"{metric}.mean"
        if lines.empty or lines[mean].isna().all():
            continue
        ranked = lines.dropna(subset=[mean]).sort_values(mean, ascending=lowest).head(5)
        cells = [
            (
                str(line[names.ROW]),
                str(line[names.DATASET]),
                str(tables.summary(line, metric)),
                as_printed(line[tables.published(metric)]),
                str(line["n"]),
            )
            for _, line in ranked.iterrows()
        ]
        yield Table(title, Cells(("best five rows", "data", "ours", "published", "runs"), cells, 3))


def _missing(slug: str, title: str, command: str) -> Section:
    return Section(slug, title, ("No finished runs are on this server yet. The command makes them.",), command=command)


def _logged(part: pd.DataFrame, path: str) -> dict[str, pd.DataFrame]:
    """Row to the table that its run of the lowest seed has logged under `path`, in the order of the catalogue."""
    from analysis.runs import artifact

    view = VIEWS[part[tables.ENTRY].iloc[0]]
    order = {row: place for place, row in enumerate(view.rows)}
    first = part.sort_values(tables.SEED).drop_duplicates(tables.ROW)
    first = first.sort_values(tables.ROW, key=lambda rows: rows.map(order).fillna(len(order)))
    found = {run[tables.ROW]: artifact(run["run_id"], path) for _, run in first.iterrows()}
    return {row: pd.read_csv(file) for row, file in found.items() if file}


def _recurrent(part: pd.DataFrame | None) -> Section:
    slug, title = "recurrent", "Recurrent forecasters of hourly load"
    command = "python -m pipelines recurrent --dataset pjm --seeds 3"
    if part is None:
        return _missing(slug, title, command)
    rows = part[~_is_tuned(part)]
    times = (names.TRAINING_TIME, names.EVALUATION_TIME)
    shown = [
        _table("Error and time beside Table 1 of the report", rows, metrics=(names.SMAPE_REPORT, *times)),
        _table(
            "Is the difference to gru-2 more than chance?", rows, metrics=(names.SMAPE_REPORT,), baseline="gru-2"
        ),
    ]  # fmt: skip
    # As in the report; a row that repeats yesterday would fill the scale.
    trained = rows[rows[tables.TRAINING] != catalogue.NO_TRAINING]
    forecasts = _logged(rows if trained.empty else trained, names.FORECAST_DATA)
    curves = {row: table for row, table in _logged(rows, names.CURVE_DATA).items() if len(table) > 1}
    drawn = [report_figures.forecasts(forecasts, each.name, each.title, each.name) for each in catalogue.PANELS]
    drawn.append(report_figures.error_along_training(curves))
    return Section(slug, title, _on(part), _present(shown), _present(drawn), _again(part, command))


def _ablation(part: pd.DataFrame | None) -> Section:
    slug, title = "ablation", "CNNs and MLPs on CIFAR-10"
    command = "python -m pipelines ablation --dataset cifar10 --seeds 3"
    if part is None:
        return _missing(slug, title, command)
    rows = part[~_is_tuned(part)]
    shown = [
        _table("Loss and accuracy after the last epoch beside Table 2 of the report", rows),
        _table("Is the difference to cnn more than chance?", rows, metrics=(names.TEST_ACCURACY,), baseline="cnn"),
    ]
    logged = _logged(rows, names.EPOCH_DATA)
    drawn = [report_figures.epochs(logged, "loss", "Fig 5"), report_figures.epochs(logged, "accuracy", "Fig 6")]
    drawn.append(_sheet(rows))
    return Section(slug, title, _on(part), _present(shown), _present(drawn), _again(part, command))


def _sheet(rows: pd.DataFrame) -> Figure | None:
    """The sample sheet of the tutorial's network, or of whatever row there is."""
    from analysis.runs import artifact

    ranked = rows.assign(other=rows[tables.ROW] != "cnn").sort_values(["other", tables.SEED])
    for _, run in ranked.head(1).iterrows():
        labels, images = (artifact(run["run_id"], path) for path in (names.SHEET_DATA, names.SHEET_IMAGES))
        if labels and images:
            accuracy = run[f"metrics.{names.TEST_ACCURACY}"]
            return report_figures.sheet(run[tables.ROW], pd.read_csv(labels), np.load(images), accuracy)
    return None


def _resnets(evaluated: pd.DataFrame | None, trained: pd.DataFrame | None) -> Section:
    slug, title = "resnets", "ResNets on CIFAR-10"
    command = "python -m pipelines resnet --models all"
    if evaluated is None and trained is None:
        return _missing(slug, title, command)
    shown = [_table("Weights evaluated on the test set", evaluated), _table("Trained here", trained)]
    drawn = [report_figures.accuracies(_lines(evaluated))]
    if trained is not None:
        drawn.append(report_figures.validation(_logged(trained, names.EPOCH_DATA)))
    part = evaluated if evaluated is not None else trained
    return Section(slug, title, _on(part), _present(shown), _present(drawn), command)


def _costs(parts: Mapping[str, pd.DataFrame]) -> Section:
    """Error against cost of all rows, by the kind of task."""
    drawn = [
        report_figures.frontier(
            _points(parts, ("recurrent",), names.SMAPE_REPORT, names.TRAINING_TIME),
            *("cost-recurrent", "training time, s", "sMAPE %, the report's convention", "forecasters: error and cost"),
        ),
        report_figures.frontier(
            _points(parts, ("ablation", "pretrain"), names.TEST_ACCURACY, names.TRAINING_TIME),
            *("cost-images", "training time, s", "test error, %", "classifiers of CIFAR-10: error and cost"),
        ),
        report_figures.frontier(
            _points(parts, ("resnet",), names.TEST_ACCURACY, names.MULTIPLY_ADDS),
            *("cost-resnets", "million multiply-adds an image", "test error, %", "ResNets: error and cost of an image"),
        ),
    ]
    text = ("Times are of the machine that ran, with whatever ran beside; bars are the standard deviation over seeds.",)
    return Section("cost", "Error against cost", text, figures=_present(drawn))


def _points(parts: Mapping[str, pd.DataFrame], entries: Sequence[str], metric: str, cost: str) -> pd.DataFrame:
    """What frontier draws: the lines of `entries`; of an accuracy in percent the error."""
    error = (lambda value: 100 - value) if metric == names.TEST_ACCURACY else (lambda value: value)
    unit = 1e6 if cost == names.MULTIPLY_ADDS else 1.0
    points = []
    for entry in entries:
        for _, line in _lines(parts.get(entry)).iterrows():
            mean, spent = (line.get(f"{name}.mean", np.nan) for name in (metric, cost))
            study = line.get(names.STUDY)
            label = f"{line[names.ROW]}" + (f" ({study})" if isinstance(study, str) else "")
            points.append((label, spent / unit, error(mean), line.get(f"{metric}.std", np.nan)))
    frame = pd.DataFrame(points, columns=["label", "cost", "error", "spread"])
    return frame.astype(dict.fromkeys(("cost", "error", "spread"), float))


def _studies(parts: Mapping[str, pd.DataFrame]) -> Section:
    from analysis.runs import artifact, every

    slug, title = "studies", "Studies of hyperparameters"
    command = "python -m pipelines tune --study recurrent --dataset pjm --space wide --n-trials 30 --workers 2"
    launches = {}
    for record in every(entry="tune", where="attributes.status != 'RUNNING'"):
        if record.get(_TRIAL) is None and record.get(_STUDY):
            launches[record[_STUDY]] = record
    winners = [
        _table(f"Winners of the studies, {entry}, tested", part[_is_tuned(part)], columns=("study",), metrics=(metric,))
        for entry, metric in (("recurrent", names.SMAPE_REPORT), ("ablation", names.TEST_ACCURACY))
        if (part := parts.get(entry)) is not None
    ]
    drawn = []
    for study, record in launches.items():
        trials, shares = (artifact(record["run_id"], path) for path in (names.TRIALS, names.IMPORTANCES))
        if trials:
            found = pd.read_csv(trials)
            metric = found.columns[2]
            lowest = metric != names.VAL_ACCURACY
            drawn.append(report_figures.study(study, found, metric, lowest, f"study-{file_name(study)}"))
        if shares:
            drawn.append(report_figures.importances(study, pd.read_csv(shares), f"importance-{file_name(study)}"))
    if not launches and not _present(winners):
        return _missing(slug, title, command)
    text = (
        "Every choice was made on validation data; the winner was then trained anew with several seeds and tested.",
    )
    return Section(slug, title, text, _present(winners), _present(drawn), command)


def _claims(parts: Mapping[str, pd.DataFrame]) -> Section:
    from analysis.runs import histories

    shown = []
    for entry in claims.STATEMENTS:
        part = parts.get(entry)
        rows = part[~_is_tuned(part)] if part is not None else pd.DataFrame()
        if rows.empty:
            continue
        chosen = claims.choose(rows, rows[tables.DATASET].iloc[0])
        for judged in claims.judge(entry, chosen, claims.curves(entry, chosen, histories)):
            if judged.tested:
                told = [
                    (each.claim.text, each.report, each.ours, each.evidence) for each in judged.reported + judged.found
                ]
                header = ("claim, or what we find", "by the report", "by ours", "evidence")
                caption = f"{entry}, {judged.dataset}, {judged.training}"
                shown.append(Table(caption, Cells(header, told, 0), claims.NOTES))
    text = ("What the reports say in words, held against their own tables and against our runs.",)
    return Section("claims", "The reports' statements", text, tuple(shown))


def _provenance(parts: Mapping[str, pd.DataFrame]) -> Section:
    """What each entry's runs were made with, and how to make them again."""
    header = ("entry", "runs", "seeds", "made", "code", "data", "published files", "torch, CPU", "command")
    lines = []
    for entry, part in parts.items():
        started = pd.to_datetime(part["start_time"])
        days = sorted({f"{started.min():%d %b %Y}", f"{started.max():%d %b %Y}"})
        commits = [commit[:10] for commit in _distinct(part, _COMMIT)]
        dirty = " (with uncommitted changes)" if "true" in _distinct(part, _DIRTY) else ""
        digests = [digest[:12] for digest in _distinct(part, f"tags.{names.DATA_DIGEST}")]
        lines.append(
            (
                entry,
                str(len(part)),
                ", ".join(sorted(set(part[tables.SEED]) - {""})),
                " to ".join(days),
                ", ".join(commits) + dirty,
                f"{', '.join(sorted(set(part[tables.DATASET])))}: {', '.join(digests)}",
                "no" if tables.is_unverified(part) else "yes",
                ", ".join(_distinct(part, "tags.torch") + _distinct(part, "tags.isa")),
                _again(part, f"python -m pipelines {entry}"),
            )
        )
    if not lines:
        return Section("provenance", "Provenance", ("No runs of the catalogue's entries are on this server.",))
    text = (
        "One row of a table is made again by naming it: --models or --variants with its name. Every run has its "
        "settings, the digest of its data and the commit of its code; `python -m analysis diff RUN RUN` compares two.",
    )
    notes = ("published files: whether all data files are the official ones (tag verified).",)
    return Section(
        "provenance", "Provenance", text, (Table("What the runs were made with", Cells(header, lines, 0), notes),)
    )


def _distinct(part: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(part[column].dropna())) if column in part else []


def _on(part: pd.DataFrame) -> tuple[str, ...]:
    """What data a section is on, where it is not the report's own."""
    entry = part[tables.ENTRY].iloc[0]
    own = VIEWS[entry].dataset
    used = sorted(set(part[tables.DATASET]))
    if used == [own]:
        return ()
    return (f"On {', '.join(used)}, not on {own}: nothing here compares with the report's figures.",)


def _again(part: pd.DataFrame, command: str) -> str:
    """`command` with the dataset, seeds and training of these runs."""
    base = command.split(" --")[0]
    datasets, seeds = sorted(set(part[tables.DATASET])), pd.to_numeric(part[tables.SEED], errors="coerce").max()
    told = [base, f"--dataset {datasets[0]}"]
    if pd.notna(seeds) and seeds > 0:
        told.append(f"--seeds {int(seeds) + 1}")
    if catalogue.WINDOW in set(part[tables.TRAINING]):
        told.append(f"--training {catalogue.WINDOW}")
    return " ".join(told)


def _present(found: Sequence[object]) -> tuple:
    return tuple(each for each in found if each is not None)
