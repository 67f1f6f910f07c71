"""The gallery: a page with every figure that the project draws, made again from data stored in the repository.

The data are the files that runs log beside their figures, one folder for each run: ``ENTRY/ROW-seedN-RUN`` of a row
(``RUN``: first digits of the run's id), ``ENTRY`` of a launch, and ``tune/STUDY`` of a study.
"""

import io
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from analysis import formats
from analysis.entries import ablation, recurrent, resnet
from analysis.entries.index import REPORT, VIEWS
from analysis.errors import unwritable
from analysis.report import costs, studies
from analysis.report import figures as report_figures
from analysis.report.artifacts import Artifacts, Source
from analysis.report.page import headline
from analysis.report.parts import Part, apart
from analysis.report.sections import Figure, present
from analysis.tables.columns import ENTRY, PARTS, ROW, SEED, STUDY
from pipelines import figures, names
from pipelines.common.files import file_name, replacing
from pipelines.common.run_ids import SHORT
from pipelines.experiments.index import STUDIED, search_of

PAGE, PICTURES = "docs/gallery.md", "gallery"  # the folder of the pictures is beside the page
RESULTS = "figures"  # folder of the stored data, below that of the results
DOTS_PER_INCH = 100
FORECAST = "forecast"  # entry of forecasts
LOGARITHMIC = ("lr",)  # hyperparameters of a wide range

# What is stored of a row's run, by entry and row, and what of a launch. Whoever draws more of it needs more of it here.
_MATRIX_OF = "cnn-double-channel"  # the row whose confusion matrix is shown
_FLIPS_OF = ("mlp-3", "cnn-double-channel", "cnn-lr-high")  # the rows whose images are shown: all would be a megabyte
_OF_A_ROW: Mapping[str, Mapping[str, Sequence[str]]] = {
    "recurrent": dict.fromkeys(
        (*VIEWS["recurrent"].published_rows, "gru-relative"),
        (names.FORECAST_DATA, names.CURVE_DATA, names.BREAKDOWN_DATA),
    ),
    "ablation": dict.fromkeys(("cnn-lr-high", "mlp-3"), (names.EPOCH_DATA,))
    | {
        "cnn": (names.EPOCH_DATA, names.SHEET_DATA, names.SHEET_IMAGES),
        _MATRIX_OF: (names.EPOCH_DATA, names.CONFUSION_DATA),
    },
    "pretrain": dict.fromkeys(VIEWS["pretrain"].rows, (names.EPOCH_DATA,)),
}
_FORECASTS, _LOADS, _CHECK = (f"{names.TABLES}/{name}.csv" for name in ("forecast", "before", "check"))
_OF_A_LAUNCH: Mapping[str, Sequence[str]] = {
    "ablation": (names.FLIPS_DATA, names.FLIPS_IMAGES),
    FORECAST: (_FORECASTS, _LOADS),
}
_OF_A_CHECK = (_CHECK,)
_OF_A_STUDY = (names.TRIALS, names.TRIAL_VALUES, names.IMPORTANCES)

_IN_RUNS = "In MLflow they are among the artifacts, in the folder `figures`, and their data in the folder `tables`."
_LOADS_TEXT = (
    "`nnreg recurrent` and `nnreg report` draw them, and the last two `nnreg forecast`, before and after the hours "
    f"have passed. {_IN_RUNS}"
)
_IMAGES_TEXT = f"`nnreg ablation`, `nnreg resnet`, `nnreg pretrain` and `nnreg report` draw them. {_IN_RUNS}"
_STUDIES_TEXT = f"`nnreg tune` draws them while a study goes on, `nnreg report` the first two. {_IN_RUNS}"
# What is drawn of trainings that take hours, by how its name begins: it is named where none of them is stored.
LONG = {
    "ladder": "what each change from the published network to ours gives (`nnreg recurrent --models ladder`)",
    "resnet-training": "accuracy on held-out images along the training (`nnreg pretrain`)",
}
_COSTS_TEXT = "`nnreg report` draws them, and with them the page `report/report.html`."


@dataclass(frozen=True)
class Group:
    """Figures of one subject.

    Attributes:
        title: of the group.
        text: which command draws them, and where they are then.
        figures: in the order of the page.
    """

    title: str
    text: str
    figures: tuple[Figure, ...]


def gathered(runs: pd.DataFrame, folder: Path) -> tuple[Group, ...]:
    """Every figure of the stored results; those whose data are not stored are left out.

    Args:
        runs: stored runs, as of frames.find.
        folder: of the stored data of figures.
    """
    parts = apart(runs, VIEWS)
    places = {str(run["run_id"]): folder / _place(run) for _, run in runs.iterrows()}
    artifacts = Artifacts(lambda run_id, path: _existing(places.get(run_id, Path(run_id)) / path))
    shown = (
        Group("Forecasts of load", _LOADS_TEXT, _first(_of_loads(parts, artifacts, folder))),
        Group("Classifiers of images", _IMAGES_TEXT, present(_of_images(parts, artifacts, folder))),
        Group("Studies of hyperparameters", _STUDIES_TEXT, _first(_of_studies(folder / "tune"))),
        Group("Error against cost", _COSTS_TEXT, costs.section(parts, REPORT.costs).figures),
    )
    return tuple(group for group in shown if group.figures)


def _first(drawn: Iterable[Figure | None]) -> tuple[Figure, ...]:
    """The first figure of each kind, which is how its name begins."""
    kinds = {re.split("[-_]", figure.name)[0]: figure for figure in reversed(present(drawn))}
    return tuple(reversed(kinds.values()))


def _of_loads(parts: Sequence[Part], artifacts: Artifacts, folder: Path) -> Iterator[Figure | None]:
    for part in (part for part in parts if part.entry == "recurrent"):
        yield from (each.figure for each in headline([part]))
        yield from recurrent.drawn(part, artifacts, recurrent.by_group(part, artifacts))
    tables = {name: _table(folder / FORECAST / name) for name in (_FORECASTS, _LOADS, _CHECK)}
    forecasts, loads, check = tables.values()
    if forecasts is not None and loads is not None:
        series = forecasts.get("series", pd.Series(loads["series"].iloc[0], forecasts.index))
        forecasts = forecasts.assign(series=series)
        title = f"the next {len(forecasts)} hours, with their intervals"
        caption = (
            f"{series.iloc[0]}: the last week, and the forecast of the {len(forecasts)} hours that follow. "
            f"The hour after the last is forecast at {forecasts['forecast'].iloc[0]:,.0f} MW, in 80 of 100 cases "
            f"between {forecasts['low_80'].iloc[0]:,.0f} and {forecasts['high_80'].iloc[0]:,.0f} MW."
        )
        yield Figure("forecast", caption, figures.ahead(loads, forecasts, title))
    if check is not None:
        error = (check["forecast"] / check["actual"] - 1).abs().mean()
        held = check["actual"].between(check["low_80"], check["high_80"]).mean()
        caption = (
            f"{check['series'].iloc[0]}: an earlier forecast of {len(check)} hours, and the loads that came. Its mean "
            f"error is {100 * error:.2f} %, and {100 * held:.0f} % of the loads are within the intervals of 80 %."
        )
        drawing = figures.ahead(check.rename(columns={"actual": "load"}), check, "the forecast and what came")
        yield Figure("check", caption, drawing)


def _of_images(parts: Sequence[Part], artifacts: Artifacts, folder: Path) -> Iterator[Figure | None]:
    for part in (part for part in parts if part.entry == "ablation"):
        yield from ablation.drawn(part, artifacts)
        yield from (_confusion(part, run_id, label, artifacts) for label, run_id, *_ in part.drawn)
        yield _flips(part, _table(folder / part.entry / names.FLIPS_DATA), folder / part.entry / names.FLIPS_IMAGES)
    yield from resnet.drawn({part.entry: part for part in parts}, artifacts)


def _confusion(part: Part, run_id: str, label: str, artifacts: Artifacts) -> Figure | None:
    """The matrix of the row with the best published figure, which is one of those that are stored."""
    counts = artifacts.table(run_id, label, names.CONFUSION_DATA, (), ("class",))
    if label != _MATRIX_OF or counts is None:
        return None
    classes, matrix = counts["class"].tolist(), counts.drop(columns="class").to_numpy()
    wrong = matrix - np.diag(np.diag(matrix))
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    caption = (
        f"{part.data}: {label} mistakes {classes[true]} for {classes[predicted]} most often, "
        f"{wrong.max()} of {matrix[true].sum():,} times."
    )
    title = figures.titled(f"{label}: test images by true and predicted class", part.data)
    return Figure(file_name(f"confusion-{part.dataset}"), caption, figures.confusion(matrix, classes, title))


def _flips(part: Part, table: pd.DataFrame | None, images: Path) -> Figure | None:
    if table is None:
        return None
    counts = table.groupby(["row", "right"]).size()
    base = table["against"].iloc[0]
    most = {row: int(counts.get((row, row), 0)) for row in table["row"].unique()}
    best = max(most, key=most.__getitem__)
    caption = (
        f"{part.data}: {best} has {most[best]:,} test images right that {base} has wrong; the other way round it is "
        f"{counts.get((best, base), 0):,}. The first of each kind are shown."
    )
    title = figures.titled("test images that one row classifies right and the other wrong", part.data)
    drawing = figures.flips(table, np.load(images, allow_pickle=False), title)
    return Figure(file_name(f"flips-{part.dataset}"), caption, drawing)


def _of_studies(folder: Path) -> Iterator[Figure | None]:
    """Figures of each stored study; the contour only of one that searched both of its hyperparameters."""
    artifacts = Artifacts(lambda run_id, path: _existing(folder / run_id / path))
    for study in sorted((each.name for each in folder.glob("*")), reverse=True):
        yield from studies.drawn(study, "", study, artifacts, STUDIED)
        trials = artifacts.table(study, study, names.TRIALS, ("trial",), ("state", "seconds"))
        values = artifacts.table(study, study, names.TRIAL_VALUES, ("trial", "epoch"))
        search = next((each for each in map(search_of, STUDIED) if trials is not None and each.metric in trials), None)
        if trials is None or values is None or search is None:
            continue
        metric, done = search.metric, trials[trials["state"] == "COMPLETE"]
        searched = {name: done[name].tolist() for name in report_figures.searched(trials)}
        logarithmic = [name for name in LOGARITHMIC if name in searched]
        yield Figure(
            f"slice-{study}",
            f"{study}: the result of each trial over each hyperparameter by itself. What varies besides it is not "
            "shown, so that a row of points at one value is the other hyperparameters' doing.",
            figures.study_slice(searched, done[metric], logarithmic, metric),
        )
        lines = {
            int(str(number)): (line["epoch"].to_numpy(), line[metric].to_numpy(), number in set(done["trial"]))
            for number, line in values.groupby("trial")
        }
        yield Figure(
            f"values-{study}",
            f"{study}: {len(lines)} trials, of which {len(done)} ran to their end.",
            figures.study_values(lines, metric),
        )
        if {"lr", "depth"} <= {*searched}:
            contour = figures.study_contour(done["lr"], done["depth"], done[metric], "learning rate", "depth", metric)
            yield Figure(f"contour-{study}", f"{study}: linear interpolation between the trials.", contour)


def page(groups: Sequence[Group]) -> str:
    """The page, in markdown."""
    shown = [figure.name for group in groups for figure in group.figures]
    absent = [text for kind, text in LONG.items() if not any(name.startswith(kind) for name in shown)]
    return formats.template("gallery.md").render(groups=groups, pictures=PICTURES, absent=absent)


def write(groups: Sequence[Group], path: Path) -> Iterator[Path]:
    """Writes the page and, beside it, its pictures in place of all that are there; yields their paths.

    Raises:
        InputError: one cannot be written.
    """
    formats.write(path, page(groups))
    yield path
    shown = {path.parent / PICTURES / f"{figure.name}.png": figure for group in groups for figure in group.figures}
    try:
        (path.parent / PICTURES).mkdir(exist_ok=True)
        for stale in {*(path.parent / PICTURES).glob("*.png")} - {*shown}:
            stale.unlink()
        for picture, figure in shown.items():
            with replacing(picture) as file:
                _small(figure).save(file, format="png", optimize=True)
            yield picture
    except OSError as error:
        raise unwritable(path.parent / PICTURES, error) from error


def _small(figure: Figure) -> Image.Image:
    """The drawing in few enough colours for one byte a pixel, which halves the file and is not seen."""
    drawn = io.BytesIO()
    figure.drawing.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    return Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def store(runs: pd.DataFrame, launches: Iterable[Mapping[str, object]], source: Source, folder: Path) -> None:
    """Stores the data of the figures of some runs, those of launches and studies in place of what is there.

    Args:
        runs: finished runs, as of frames.find; those on the course reports' own data count.
        launches: flat records as of records.every, oldest first; those of rows and trials are left out.
        source: see Artifacts.
        folder: of the stored data of figures.
    """
    for part in apart(runs, VIEWS):
        part = resnet.with_validation(part) if part.entry == "pretrain" else part
        drawn = {each.run_id for each in part.drawn}
        for _, run in part.runs[part.runs["run_id"].isin(drawn) & part.is_published].iterrows():
            files = _OF_A_ROW.get(part.entry, {}).get(run[ROW], ())
            _copy(run["run_id"], files, source, folder / _place(run))
    for launch in launches:
        if any(launch.get(column) for column in PARTS):
            continue
        entry, study = str(launch.get(ENTRY)), launch.get(STUDY)
        if entry == "tune" and study:
            _copy(str(launch["run_id"]), _OF_A_STUDY, source, folder / entry / file_name(str(study)))
        elif entry in _OF_A_LAUNCH:
            for files in (_OF_A_LAUNCH[entry], _OF_A_CHECK):
                _copy(str(launch["run_id"]), files, source, folder / entry)
            _keep_few_flips(folder / entry)


def discard(runs: pd.DataFrame, folder: Path) -> None:
    """Removes the stored data of figures of rows whose run is not among `runs`.

    Args:
        runs: stored runs, as of frames.find.
        folder: of the stored data of figures.
    """
    kept = {folder / _place(run) for _, run in runs.iterrows()}
    for entry in _OF_A_ROW:
        for stale in {*(folder / entry).glob("*-seed*")} - kept:
            shutil.rmtree(stale)


def _copy(run_id: str, paths: Sequence[str], source: Source, folder: Path) -> None:
    """Copies files of a run into the place of those that are there; of a run without the first of them, none."""
    found = {path: file for path in paths if (file := source(run_id, path)) is not None}
    if not {*paths[:1]} <= {*found}:
        return
    for path in paths:
        (folder / path).unlink(missing_ok=True)
    for path, file in found.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / path)


def _keep_few_flips(folder: Path) -> None:
    """Leaves of the stored images that one row gets right and another wrong those of _FLIPS_OF."""
    file, images = folder / names.FLIPS_DATA, folder / names.FLIPS_IMAGES
    table = _table(file)
    if table is None or not images.is_file():
        return
    shown = np.load(images, allow_pickle=False)[figures.flips_shown(table)["row"].isin(_FLIPS_OF).to_numpy()]
    if len(shown):
        table[table["row"].isin(_FLIPS_OF)].to_csv(file, index=False)
        np.save(images, shown)


def _table(file: Path) -> pd.DataFrame | None:
    """A stored table, None where it is not there."""
    if not file.is_file():
        return None
    columns = pd.read_csv(file, nrows=0).columns
    return pd.read_csv(file, parse_dates=[column for column in ("time",) if column in columns])


def _place(run: Mapping[str, object] | pd.Series) -> str:
    # Runs of one row and seed differ in how and on what they were trained, so each has its own folder.
    return f"{run[ENTRY]}/{file_name(f'{run[ROW]}-seed{run[SEED]}')}-{str(run['run_id'])[:SHORT]}"


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None
