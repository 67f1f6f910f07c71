"""The gallery: what it shows is what is stored, and every figure of the project is on it."""

import re
import shutil
from dataclasses import replace
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.place import ROOT

from analysis import docs, gallery
from pipelines import figures, names

STORED = ROOT / "docs" / "results"
PAGE = ROOT / gallery.PAGE
MOST_BYTES = 1_500_000  # of all pictures


@pytest.fixture(scope="module")
def drawn() -> set[str]:
    """Functions that drew the gallery, which is in `groups`."""
    return set()


@pytest.fixture(scope="module")
def groups(drawn) -> tuple[gallery.Group, ...]:
    """The gallery of the stored results."""
    with pytest.MonkeyPatch.context() as patch:
        for name in DRAWING:
            patch.setattr(figures, name, noted(name, drawn))
        return gallery.gathered(docs.load(STORED).runs, STORED / gallery.RESULTS)


DRAWING = [
    name
    for name, function in vars(figures).items()
    if hasattr(function, "__wrapped__") and function.__module__ == figures.__name__
]


def noted(name: str, drawn: set[str]):
    draw = getattr(figures, name)

    @wraps(draw)
    def drawing(*args, **kwargs):
        drawn.add(name)
        return draw(*args, **kwargs)

    return drawing


def test_the_page_is_that_of_the_stored_results(groups):
    assert PAGE.read_text("utf-8") == gallery.page(groups)


def test_every_picture_is_there_and_they_are_small(groups):
    named = {f"{figure.name}.png" for group in groups for figure in group.figures}
    assert set(re.findall(r"\(gallery/(.*?)\)", PAGE.read_text("utf-8"))) == named
    pictures = {path.name: path.stat().st_size for path in (PAGE.parent / gallery.PICTURES).iterdir()}
    assert {*pictures} == named
    assert 0 < sum(pictures.values()) < MOST_BYTES


def test_every_figure_of_the_project_is_on_it(groups, drawn):
    assert {*DRAWING} - drawn <= {"ladder"}  # of it two neighbouring rows have to be stored
    assert len(DRAWING) > 15


def test_what_is_not_on_it_is_said(groups):
    named = gallery.page(groups).partition("`make pages`")[0]
    shown = [figure.name for group in groups for figure in group.figures]
    for kind, text in gallery.LONG.items():
        assert (text in named) != any(name.startswith(kind) for name in shown)
    figure = groups[0].figures[0]
    every = gallery.Group("all", "", tuple(replace(figure, name=f"{kind}-pjm") for kind in gallery.LONG))
    assert "Every figure that the project draws, from" in gallery.page([every])
    only = gallery.page([gallery.Group("one", "", (replace(figure, name="ladder-pjm"),))])
    assert gallery.LONG["resnet-training"] in only
    assert gallery.LONG["ladder"] not in only


class Logged:
    """Runs and what they have logged: text by run and path."""

    def __init__(self, folder: Path, files: dict[tuple[str, str], str]):
        for (run_id, path), text in files.items():
            (folder / run_id / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / run_id / path).write_text(text)
        self.folder = folder

    def __call__(self, run_id: str, path: str) -> Path | None:
        file = self.folder / run_id / path
        return file if file.is_file() else None


def rows(*runs: tuple[str, str, str, str]) -> pd.DataFrame:
    columns = ["run_id", "tags.row", "tags.dataset", "tags.seed"]
    common = {"tags.entry": "recurrent", "tags.training": "dense", "metrics.smape_report": 0.2}
    return pd.DataFrame(runs, columns=columns).assign(**common)


def test_what_is_stored_is_of_the_first_seed_on_the_published_data(tmp_path):
    runs = rows(("a", "gru-2", "pjm", "1"), ("b", "gru-2", "pjm", "0"), ("c", "gru-2", "sample", "0"))
    logged = Logged(tmp_path / "logged", {(run_id, names.FORECAST_DATA): run_id for run_id in "abc"})
    gallery.store(runs, [], logged, tmp_path / "stored")
    stored = [path for path in (tmp_path / "stored").rglob("*") if path.is_file()]
    assert [path.read_text() for path in stored] == ["b"]


def test_the_training_that_is_shown_is_one_that_held_images_out(tmp_path):
    """The figure of it is drawn from what is stored, though a later training on all images is what tables show."""
    runs = rows(("held out", "airbench94", "cifar10", "0"), *((f"all-{i}", "airbench94", "cifar10", i) for i in "012"))
    runs["tags.entry"] = "pretrain"
    runs["params.validation"], runs["params.epochs"] = ["5000", "0", "0", "0"], ["2", "8", "8", "8"]
    runs["metrics.val_accuracy"], runs["metrics.test_accuracy"] = [90.0, None, None, None], [90.0, 91.0, 92.0, 93.0]
    lines = dict.fromkeys(runs["run_id"], "epoch,train_loss\n1,2.0\n2,1.0\n")
    lines["held out"] = "epoch,train_loss,val_accuracy\n1,2.0,80.0\n2,1.0,90.0\n"
    logged = Logged(tmp_path / "logged", {(run_id, names.EPOCH_DATA): text for run_id, text in lines.items()})
    gallery.store(runs, [], logged, tmp_path / "stored")
    (caption,) = captions_of(runs, tmp_path / "stored", "resnet-training-cifar10")
    assert "airbench94 90.00 %. The last epoch changed it by +10.00 points" in caption


def trainings(**accuracies: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """A run of each way of training one row with one seed, and the accuracies that it logged, one after each epoch."""
    runs = rows(*((way, "resnet18", "cifar10", "0") for way in accuracies))
    held_out = {"params.validation": "5000", "params.epochs": "2", "metrics.val_accuracy": 90.0}
    runs = runs.assign(**{"tags.entry": "pretrain", "tags.training": [*accuracies], **held_out})
    curves = {way: f"epoch,train_loss,val_accuracy\n1,2.0,80.0\n2,1.0,{last}\n" for way, last in accuracies.items()}
    return runs, curves


def test_trainings_of_one_row_and_seed_each_have_their_own_curve(tmp_path):
    runs, curves = trainings(muon="92.5", onecycle="89.5")
    gallery.store(
        runs, [], Logged(tmp_path / "logged", {(way, names.EPOCH_DATA): curves[way] for way in curves}), tmp_path
    )
    (caption,) = captions_of(runs, tmp_path, "resnet-training-cifar10")
    assert "resnet18, muon 92.50 %, resnet18, onecycle 89.50 %" in caption


def test_a_training_whose_curve_is_not_stored_gets_none_of_another(tmp_path):
    runs, curves = trainings(muon="92.5", onecycle="89.5")
    gallery.store(runs, [], Logged(tmp_path / "logged", {("muon", names.EPOCH_DATA): curves["muon"]}), tmp_path)
    (caption,) = captions_of(runs, tmp_path, "resnet-training-cifar10")
    assert "resnet18 92.50 %" in caption
    assert "onecycle" not in caption
    assert "Not shown: 1 other setting of" in caption


def test_data_of_runs_that_are_stored_no_more_are_removed(tmp_path):
    runs, curves = trainings(muon="92.5", onecycle="89.5")
    gallery.store(
        runs, [], Logged(tmp_path / "logged", {(way, names.EPOCH_DATA): curves[way] for way in curves}), tmp_path
    )
    of_a_launch = tmp_path / "ablation" / names.FLIPS_DATA
    of_a_launch.parent.mkdir(parents=True)
    of_a_launch.write_text("row")
    gallery.discard(runs[runs["run_id"] == "muon"], tmp_path)
    left = [path for path in (tmp_path / "pretrain").rglob("*") if path.is_file()]
    assert [path.read_text() for path in left] == [curves["muon"]]
    assert of_a_launch.is_file()


def captions_of(runs: pd.DataFrame, folder: Path, name: str) -> list[str]:
    groups = gallery.gathered(runs, folder)
    return [figure.caption for group in groups for figure in group.figures if figure.name == name]


def test_a_newer_launch_replaces_the_older_one_and_one_without_such_files_nothing(tmp_path):
    forecast, loads = "tables/forecast.csv", "tables/before.csv"
    launches = [{"run_id": run_id, "tags.entry": "forecast"} for run_id in ("old", "new", "without")]
    of_a_row = {"run_id": "row", "tags.entry": "forecast", "tags.row": "cnn"}
    kept = {(run_id, forecast): run_id for run_id in ("old", "new", "row")}
    logged = Logged(tmp_path / "logged", kept | {("old", loads): "", ("without", names.EPOCH_DATA): ""})
    gallery.store(rows(), [*launches, of_a_row], logged, tmp_path / "stored")
    stored = {path.name: path.read_text() for path in (tmp_path / "stored").rglob("*") if path.is_file()}
    assert stored == {"forecast.csv": "new"}


def test_few_rows_are_stored_of_the_images_that_one_gets_right_and_another_wrong(tmp_path):
    lines = [(row, right) for row in ("mlp-2", "mlp-3", "cnn-tanh", "cnn-lr-high") for right in ("cnn", row)]
    table = pd.DataFrame(lines, columns=["row", "right"]).assign(against="cnn", image=range(8))
    logged = Logged(tmp_path / "logged", {("a", names.FLIPS_DATA): table.to_csv(index=False)})
    np.save(tmp_path / "logged" / "a" / names.FLIPS_IMAGES, np.arange(8))
    gallery.store(rows(), [{"run_id": "a", "tags.entry": "ablation"}], logged, tmp_path / "stored")
    stored = tmp_path / "stored" / "ablation"
    assert np.load(stored / names.FLIPS_IMAGES).tolist() == [2, 3, 6, 7]
    assert pd.read_csv(stored / names.FLIPS_DATA)["image"].tolist() == [2, 3, 6, 7]


def test_a_picture_that_is_not_on_the_page_any_more_is_removed(groups, tmp_path):
    shutil.copytree(PAGE.parent / gallery.PICTURES, tmp_path / gallery.PICTURES)
    (group,) = [group for group in groups if group.title.startswith("Error")]
    written = [*gallery.write([group], tmp_path / "gallery.md")]
    assert {*(tmp_path / gallery.PICTURES).iterdir()} == {*written[1:]}
    assert len(written) == 1 + len(group.figures)


def test_a_figure_whose_data_are_not_stored_is_left_out(tmp_path):
    shown = gallery.gathered(docs.load(STORED).runs, tmp_path)
    kinds = {re.split("-(?=pjm|cifar10)", figure.name)[0] for group in shown for figure in group.figures}
    assert kinds >= {"best-recurrent", "cost-recurrent", "cost-resnets"}
    assert not [group for group in shown if group.title.startswith("Studies")]


def test_the_colours_of_a_picture_are_those_of_the_drawing(groups):
    """A picture has 256 colours; those of the lines are among them, up to what the eye cannot see."""
    (bars,) = [figure for group in groups for figure in group.figures if figure.name.startswith("importance")]
    pixels = np.asarray(gallery._small(bars).convert("RGB"), int).reshape(-1, 3)
    blue = [int(figures.COLOURS[0][at : at + 2], 16) for at in (1, 3, 5)]
    assert (np.abs(pixels - blue).max(axis=1) <= 2).mean() > 0.05
