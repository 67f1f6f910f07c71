"""The list of data sets: a further one is a file and a line, and has a protocol by its size."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from pipelines.cli.declare import kind_of
from pipelines.commands import prepare
from pipelines.commands.options import PrepareOptions
from pipelines.data import datasets
from pipelines.data.datasets import DATASETS, IMAGES, LOAD, Dataset, available_dataset, find, known
from pipelines.errors import UserError
from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.experiments.pretrain.rows import resolve_pretraining
from pipelines.experiments.recurrent.rows import resolve
from pipelines.experiments.recurrent.search import SEARCH
from pipelines.experiments.sizes import IMAGE_SIZES, WINDOW_SIZES, Sizes, between, interpolated, validation_images

HILLS = """
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.data.energy.series import read_cache, table, write_cache
from pipelines.data.files import cache

read = partial(read_cache, "hills")


def download(folder):
    folder.mkdir()
    (folder / "loads.txt").write_text("\\n".join(str(1000 + hour % 24) for hour in range({hours})))
    return folder


def build(folder, source):
    loads = np.loadtxt(source / "loads.txt")
    times = np.datetime64("2020-01-01T00:00:00", "s") + np.arange(len(loads)) * np.timedelta64(3600, "s")
    write_cache(folder, {"HILLS": table(times, loads)}, {}, True)


def prepare(data_dir, source, allow_unverified):
    return cache.prepare("hills", data_dir, source, read, build, download)


def load(data_dir):
    return cache.load("hills", data_dir, read)
"""

TILES = """
from dataclasses import replace

from pipelines.data.images import digits


def load():
    whole = digits.load()
    return replace(whole, name="tiles", train_images=whole.train_images[:400], train_labels=whole.train_labels[:400])
"""


@pytest.fixture
def further(tmp_path, monkeypatch):
    """Makes the text of a module a module, and a data set of it, by one line in the list."""
    (tmp_path / "modules").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")

    def add(text: str, dataset: Dataset) -> None:
        (tmp_path / "modules" / f"{dataset.module}.py").write_text(text)
        monkeypatch.setattr(datasets, "DATASETS", (*datasets.DATASETS, dataset))

    return add


def test_the_published_sizes_are_those_of_the_data(real_energy, tmp_path):
    for dataset in DATASETS:
        if dataset.embedded:
            assert dataset.size == dataset.load().train_size
    assert find("pjm", LOAD).prepare(tmp_path, source=real_energy).train_size == find("pjm", LOAD).size


def test_a_further_data_set_of_load_is_a_file_and_a_line(further, tmp_path, capsys):
    further(HILLS.replace("{hours}", "5000"), Dataset("hills", LOAD, "hills_of_load"))
    data_dir = str(tmp_path / "data")
    assert known(LOAD) == ["pjm", "sample", "hills"]
    assert not find("hills", LOAD).is_prepared(data_dir)
    with pytest.raises(UserError, match="python -m pipelines prepare --dataset hills"):
        resolve("gru-2", "hills", "dense", 0, 1.0, data_dir)
    assert available_dataset("hills", LOAD, data_dir) == "hills"
    prepare.run(PrepareOptions(dataset="hills", data_dir=data_dir))
    # 4,910 windows, the last tenth of which are the test part.
    assert "hills: 1 series, 5,000 hours, 4,419 training and 491 test windows" in capsys.readouterr().err
    assert datasets.load_energy("hills", data_dir).values[:25, 0].tolist() == [*range(1000, 1024), 1000]
    # On logarithmic scales 4,419 is 0.148 of the way from 1,734 to 980,185.
    dense = resolve("gru-2", "hills", "dense", 0, 1.0, data_dir)
    assert (dense.epochs, dense.batch_size, dense.replicas) == (39, 10, 1)
    window = resolve("gru-2", "hills", "window", 0, 1.0, data_dir)
    assert (window.epochs, window.batch_size, window.lr, window.loss) == (8, 42, 0.001, "mse")
    assert SEARCH.own("gru-2", "hills", data_dir).epochs == 39


def test_a_further_data_set_of_images_is_a_file_and_a_line(further):
    further(TILES, Dataset("tiles", IMAGES, "tiles_of_images", embedded=True))
    assert datasets.load_images("tiles").train_size == 400
    assert resolve_classifier("cnn", "tiles", "autograd", 0, 1.0).batch_size == 8
    pretraining = resolve_pretraining("resnet20", "tiles", 0, 1.0)
    assert (pretraining.epochs, pretraining.batch_size, pretraining.validation) == (4, 32, 80)


@dataclass(frozen=True)
class Chosen:
    epochs: int
    lr: float
    loss: str


def test_settings_between_two_sizes_are_geometric_means():
    sizes, small, large = Sizes(100, 10_000), Chosen(16, 0.04, "mae"), Chosen(4, 0.01, "mae")
    assert between(1_000, sizes, small, large) == Chosen(8, 0.02, "mae")
    for size in (1, 100):
        assert between(size, sizes, small, large) == small
    for size in (10_000, 10**9):
        assert between(size, sizes, small, large) == large


def test_the_way_from_small_to_large_is_without_steps_back():
    steps = np.geomspace(*WINDOW_SIZES, 200).astype(int)
    epochs = [interpolated(size, WINDOW_SIZES, 60, 3) for size in steps]
    assert epochs == sorted(epochs, reverse=True)
    assert all(isinstance(value, int) for value in epochs)
    rates = [interpolated(size, WINDOW_SIZES, 0.05, 0.1) for size in steps]
    assert rates == sorted(rates)
    assert all(math.isclose(value, float(f"{value:.2g}"), rel_tol=0) for value in rates)


@pytest.mark.parametrize(
    ("images", "held_out"), [(IMAGE_SIZES.small, 200), (IMAGE_SIZES.large, 5000), (10**6, 5000), (100, 20), (4, 0)]
)
def test_no_more_than_a_fifth_of_the_images_is_held_out(images, held_out):
    assert validation_images(images) == held_out


@pytest.mark.parametrize("name", ["town", "0.5-mw_x", "a" * 40])
def test_data_of_a_users_own_have_plain_names(name):
    assert PrepareOptions(dataset=name).dataset == name


@pytest.mark.parametrize("name", ["", "Town", "a/b", "..", ".hidden", "a b", "ä", "a" * 41, "auto", "-x"])
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match=r"no name of a data set; .*at most 40 small letters, digits"):
        PrepareOptions(dataset=name)


def test_names_of_prepared_data_are_completed(tmp_path, monkeypatch):
    (tmp_path / "data" / "town").mkdir(parents=True)
    (tmp_path / "data" / "town" / "meta.json").write_text('{"kind": "load"}')
    (tmp_path / "data" / "broken").mkdir()
    (tmp_path / "data" / "broken" / "meta.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    completed = kind_of(PrepareOptions, "dataset").shell_complete(None, None, "")
    assert [each.value for each in completed] == ["all", "pjm", "cifar10", "sample", "town"]
