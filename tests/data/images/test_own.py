"""Images of a user's own, of any kind that is read, as a data set under a name; and how they are told from tables."""

import numpy as np
import pytest
from PIL import Image

from pipelines.commands import prepare as command
from pipelines.commands.options import PrepareOptions
from pipelines.data.datasets import IMAGES, load_images, own
from pipelines.data.images.own import holds_images, load, prepare
from pipelines.data.images.tables import ImageFormat
from pipelines.errors import UserError

COMMAND = "python -m pipelines prepare --dataset leaves --source leaves"


@pytest.fixture
def leaves(tmp_path):
    """A folder with twenty images of each of two classes, of 40 x 30 pixels."""
    rng = np.random.default_rng(0)
    for label in ("oak", "elm & ash"):
        (tmp_path / "leaves" / label).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "leaves" / label / f"{number}.png")
    return tmp_path / "leaves"


def test_a_folder_is_a_data_set_under_its_name(leaves, tmp_path):
    made = prepare("leaves", tmp_path / "data", leaves, ImageFormat(), COMMAND)
    assert made.classes == ("elm & ash", "oak")
    assert made.train_images.shape == (36, 3, 32, 32)
    assert np.bincount(made.test_labels).tolist() == [2, 2]
    assert made.verified is None
    assert any("a tenth of each class" in sentence for sentence in made.found)
    assert [(each.name, each.kind) for each in own(tmp_path / "data")] == [("leaves", IMAGES)]
    again = load_images("leaves", tmp_path / "data")
    assert (again.digest, again.found, again.classes) == (made.digest, made.found, made.classes)


def test_the_command_says_how_many_images_were_read(leaves, tmp_path, capsys):
    command.run(PrepareOptions(dataset="leaves", source=str(leaves), data_dir=str(tmp_path / "data")))
    said = capsys.readouterr().err.splitlines()
    assert f"  files: 40 images, {leaves}; runs name the SHA-256 of each part" in said


def test_broken_images_are_left_out_only_if_that_is_asked_for(leaves, tmp_path):
    (leaves / "oak" / "3.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"oak/3\.png"):
        prepare("leaves", tmp_path / "data", leaves, ImageFormat(), COMMAND)
    made = prepare("leaves", tmp_path / "data", leaves, ImageFormat(skip_broken=True), COMMAND)
    assert len(made.train_images) + len(made.test_images) == 39
    assert any("3.png" in sentence or "left out" in sentence for sentence in made.found)


def test_what_is_damaged_names_the_command_that_made_it(leaves, tmp_path):
    prepare("leaves", tmp_path / "data", leaves, ImageFormat(), COMMAND)
    (tmp_path / "data" / "leaves" / "train_labels.npy").write_bytes(b"")
    with pytest.raises(UserError, match=f"damaged or of another version; run: {COMMAND}"):
        load("leaves", tmp_path / "data")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (("a/1.png", "b/1.png"), True),
        (("train/a/1.JPG", "readme.txt"), True),
        (("train.bin", "test.bin", "fine_label_names.txt"), True),
        (("a.csv", "b.csv"), False),
        (("notes.txt",), False),
        ((), False),
    ],
)
def test_images_are_told_from_tables_by_the_names_of_files(tmp_path, files, found):
    (tmp_path / "source").mkdir()
    for file in files:
        path = tmp_path / "source" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert holds_images(tmp_path / "source") is found


def test_arrays_are_images_whatever_their_file_is_called(tmp_path):
    with (tmp_path / "data.bin").open("wb") as file:
        np.savez(file, x=np.zeros((4, 32, 32, 3), np.uint8), y=np.arange(4) % 2)
    assert holds_images(tmp_path / "data.bin")
    (tmp_path / "load.csv").write_text("time,load\n")
    assert not holds_images(tmp_path / "load.csv")
