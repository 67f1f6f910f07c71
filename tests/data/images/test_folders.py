"""Images in folders of classes: layout and labels as of torchvision's ImageFolder, the rest as the policy says."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from nnmodels.vision import torchvision
from pipelines.data.images import folders, tables
from pipelines.data.images.dataset import read_cache, write_cache
from pipelines.data.images.own import read_images
from pipelines.data.images.tables import ImageFormat
from pipelines.errors import UserError

STRICT, SKIPPING = ImageFormat(), ImageFormat(skip_broken=True)
SPLIT = "there is no test part: a tenth of each class, chosen at random (seed 0), is the test part"


def picture(path, value):
    """An image of 32 x 32 pixels whose first byte, or two, tell which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((32, 32, 3), 9, np.uint8)
    pixels[0, 0, :2] = divmod(value, 256)
    Image.fromarray(pixels).save(path)


def values(images):
    return (images[:, 0, 0, 0].astype(int) * 256 + images[:, 1, 0, 0]).tolist()


@pytest.fixture
def parted(tmp_path):
    """Folders train and test of three classes, with pictures of the numbers from 0."""
    number = 0
    for part, counts in (("train", {"cat": 3, "Dog": 2, "emu": 1}), ("test", {"cat": 1, "Dog": 2, "emu": 1})):
        for name, count in counts.items():
            for image in range(count):
                picture(tmp_path / "own" / part / name / f"{9 - image}.png", number)
                number += 1
    return tmp_path / "own"


@pytest.fixture
def undivided(tmp_path):
    """Folders of three classes with 40, 14 and 2 images."""
    number = 0
    for name, count in (("a", 40), ("b", 14), ("c", 2)):
        for image in range(count):
            picture(tmp_path / "own" / name / f"{image:02}.png", number)
            number += 1
    return tmp_path / "own"


def refused(source, how=STRICT):
    with pytest.raises(UserError) as error:
        read_images(source, how)
    assert "\n" not in str(error.value)
    return str(error.value)


# Layout


def test_classes_and_labels_are_those_of_image_folder(parted):
    picture(parted / "train" / "emu" / "more" / "0.png", 100)
    picture(parted / "train" / "emu" / "z.png", 101)
    read = read_images(parted, STRICT)
    for part, images, labels in (
        ("train", read.train_images, read.train_labels),
        ("test", read.test_images, read.test_labels),
    ):
        theirs = torchvision.datasets.ImageFolder(parted / part)
        assert list(read.classes) == theirs.classes
        expected = sorted(((label, np.asarray(image).tobytes()) for image, label in theirs), key=repr)
        found = zip(labels.tolist(), (image.transpose(1, 2, 0).tobytes() for image in images), strict=True)
        assert sorted(found, key=repr) == expected
    assert read.train_labels.dtype == np.uint8
    assert read.counts["train"] == {"images": 8, "Dog": 2, "cat": 3, "emu": 3}
    assert read.counts["test"] == {"images": 4, "Dog": 2, "cat": 1, "emu": 1}
    assert read.found == ("a folder of images for each of 3 classes",)


def test_without_parts_a_tenth_of_each_class_is_the_test_part(undivided):
    read = read_images(undivided, STRICT)
    assert read.counts["test"] == {"images": 6, "a": 4, "b": 1, "c": 1}
    assert read.counts["train"] == {"images": 50, "a": 36, "b": 13, "c": 1}
    assert sorted(values(read.train_images) + values(read.test_images)) == list(range(56))
    assert values(read.test_images) != sorted(values(read.train_images))[-6:]
    assert read.found == ("a folder of images for each of 3 classes", SPLIT)


def test_the_split_depends_on_the_paths_alone(undivided, tmp_path):
    before = values(read_images(undivided, STRICT).test_images)
    np.random.seed(3)
    shutil.move(undivided, tmp_path / "other")
    (tmp_path / "other" / "a" / "00.png").write_bytes(b"broken")
    after = values(read_images(tmp_path / "other", SKIPPING).test_images)
    assert [each for each in before if each != 0] == after


def test_val_is_the_test_part_where_there_is_none(parted):
    expected = read_images(parted, STRICT)
    (parted / "test").rename(parted / "Valid")
    read = read_images(parted, STRICT)
    assert np.array_equal(read.test_images, expected.test_images)
    assert "there is no test part: Valid is taken for it" in read.found


def test_val_belongs_to_the_training_part_where_there_is_a_test_part(parted):
    expected = read_images(parted, STRICT)
    picture(parted / "validation" / "cat" / "0.png", 300)
    read = read_images(parted, STRICT)
    assert np.array_equal(read.test_images, expected.test_images)
    assert sorted(values(read.train_images)) == [*range(6), 300]
    assert read.train_labels[values(read.train_images).index(300)] == read.classes.index("cat")
    assert any("the images in validation are taken for training ones" in each for each in read.found)


def test_a_test_part_without_labels_is_left_out(undivided, tmp_path):
    (tmp_path / "whole").mkdir()
    undivided.rename(tmp_path / "whole" / "train")
    picture(tmp_path / "whole" / "test" / "1.png", 1)
    read = read_images(tmp_path / "whole", STRICT)
    assert read.counts["test"]["images"] == 6
    assert read.found[1:] == ("test has no folders of classes, so its 1 files have no labels: they are left out", SPLIT)


def test_folders_around_and_files_beside_are_passed_over(parted, tmp_path):
    expected = read_images(parted, STRICT)
    (tmp_path / "outer" / "data").mkdir(parents=True)
    shutil.move(parted, tmp_path / "outer" / "data")
    for name in ("README", "data/licence.txt", "data/own/labels.csv", "data/own/train/list.txt", "data/own/more/a.png"):
        (tmp_path / "outer" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "outer" / name).write_text("text")
    cat = "data/own/train/cat"
    for name in (".git/x", f"{cat}/Thumbs.db", f"{cat}/.DS_Store", "__MACOSX/own/train/cat/1.png"):
        (tmp_path / "outer" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "outer" / name).write_text("text")
    read = read_images(tmp_path / "outer", STRICT)
    assert np.array_equal(read.train_images, expected.train_images)
    assert read.found == (*expected.found, "5 files beside the folders of the classes are left out")


def test_linked_folders_are_followed_once(parted):
    expected = read_images(parted, STRICT)
    (parted / "train" / "cat").rename(parted.parent / "cats")
    (parted / "train" / "cat").symlink_to(parted.parent / "cats")
    (parted / "train" / "emu" / "back").symlink_to(parted)
    assert np.array_equal(read_images(parted, STRICT).train_images, expected.train_images)


def emptied(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def flat(own):
    emptied(own)
    picture(own / "1.png", 0)
    picture(own / "2.png", 0)


def without_train(own):
    shutil.rmtree(own / "train")
    picture(own / "val" / "cat" / "1.png", 0)


def with_one_class(own):
    for part in ("train", "test"):
        shutil.rmtree(own / part / "cat")
        shutil.rmtree(own / part / "emu")


def with_the_name_of_the_total(own):
    for part in ("train", "test"):
        (own / part / "emu").rename(own / part / "images")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda own: picture(own / "test" / "fox" / "1.png", 0), "classes without a folder in train: fox"),
        (lambda own: picture(own / "Testing" / "cat" / "1.png", 0), "several folders for one part: Testing, test"),
        (lambda own: picture(emptied(own / "train") / "1.png", 0), "train: no folders in it"),
        (without_train, "test, val, but no folder train"),
        (with_one_class, "1 classes, not 2 to 1,000"),
        (with_the_name_of_the_total, "a class is called 'images', as their total is; rename it"),
        (emptied, "no files; give a folder or archive with a folder of images for each class"),
        (flat, "no folders in it"),
    ],
    ids=["unknown class", "two tests", "flat train", "no train", "one class", "reserved name", "empty", "flat"],
)
def test_another_layout_is_refused_with_its_fault(parted, damage, message):
    damage(parted)
    assert message in refused(parted)


def test_a_class_of_one_image_cannot_be_split(undivided):
    (undivided / "c" / "00.png").unlink()
    assert "1 image of class c; a training and a test part need two" in refused(undivided)


def test_a_class_without_test_images_is_said(parted):
    shutil.rmtree(parted / "test" / "emu")
    assert "no test images of emu" in read_images(parted, STRICT).found


@pytest.mark.parametrize(("count", "kind"), [(256, np.uint8), (257, np.uint16), (1000, np.uint16)])
def test_labels_of_many_classes_are_wider(count, kind):
    labels = np.arange(count)
    images = np.zeros((count, 3, 32, 32), np.uint8)
    read = tables.tables("", [str(label) for label in labels], (images, labels), (images, labels), {}, [])
    assert read.train_labels.dtype == read.test_labels.dtype == kind
    assert read.train_labels.tolist() == labels.tolist()


def test_1001_classes_are_refused():
    with pytest.raises(UserError, match="1,001 classes, not 2 to 1,000"):
        tables.require_classes("here", [str(number) for number in range(1001)])


def test_what_was_read_can_be_cached_and_read_again(parted, tmp_path):
    read = read_images(parted, STRICT)
    (tmp_path / "cache").mkdir()
    write_cache(tmp_path / "cache", read.classes, read.arrays, read.counts, read.hashes)
    dataset = read_cache("own", None, tmp_path / "cache")
    assert dataset.classes == read.classes
    assert np.array_equal(dataset.train_images, read.train_images)
    assert dataset.counts == read.counts


# Content


def test_images_that_are_in_both_parts_are_counted(parted):
    shutil.copy(parted / "train" / "cat" / "9.png", parted / "test" / "Dog" / "1.png")
    picture(parted / "test" / "emu" / "again.bmp", 5)
    assert "2 of the 6 test images are in the training part too, pixel by pixel" in read_images(parted, STRICT).found


def test_the_digest_of_a_part_is_that_of_the_lines_of_sha256sum(parted):
    read = read_images(parted, STRICT)
    for part in ("train", "test"):
        files = sorted((parted / part).rglob("*.png"), key=lambda path: (path.parent.name, str(path)))
        paths = [str(path.relative_to(parted)) for path in files]
        lines = subprocess.run(["sha256sum", *paths], cwd=parted, capture_output=True, check=True).stdout
        assert read.hashes[part] == hashlib.sha256(lines).hexdigest()


def test_all_files_that_are_no_images_are_named_up_to_ten(parted):
    for number in range(3):
        (parted / "train" / "cat" / f"note {number}.txt").write_text("text")
    os.truncate(parted / "test" / "Dog" / "8.png", 60)
    message = refused(parted)
    assert message.startswith("4 of the files are no readable images: ")
    assert "train/cat/note 1.txt (no image), train/cat/note 2.txt (no image)" in message
    assert "test/Dog/8.png (" in message
    assert message.endswith("leave out all such files with --skip-broken true")
    for number in range(20):
        (parted / "train" / "cat" / f"more {number}.txt").write_text("text")
    message = refused(parted)
    assert message.startswith("10 files or more are no readable images: ")
    assert message.count(" (") == 10


def test_broken_files_are_left_out_and_counted_where_that_is_wanted(parted):
    expected = read_images(parted, STRICT)
    (parted / "train" / "cat" / "note.txt").write_text("text")
    os.mkfifo(parted / "train" / "cat" / "fifo")
    (parted / "test" / "Dog" / "gone.png").symlink_to("nowhere")
    read = read_images(parted, SKIPPING)
    assert np.array_equal(read.train_images, expected.train_images)
    assert np.array_equal(read.test_labels, expected.test_labels)
    assert read.hashes == expected.hashes
    assert read.found == (*expected.found, "3 files that are no readable images are left out")
    assert "3 of the files are no readable images" in refused(parted)


def test_a_class_that_is_broken_altogether_is_refused(parted):
    (parted / "train" / "emu" / "9.png").write_bytes(b"broken")
    assert "no training images of emu" in refused(parted, SKIPPING)


def test_images_beyond_the_limit_are_refused_before_any_is_read(parted, monkeypatch):
    monkeypatch.setattr(folders, "MAX_IMAGES", 9)
    monkeypatch.setattr(folders, "decode", None)
    assert "10 images, more than 9; give a part of them" in refused(parted)


# Archives


def test_an_archive_gives_what_its_folder_gives(parted, tmp_path):
    expected = read_images(parted, STRICT)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in parted.rglob("*.png"):
            archive.write(path, path.relative_to(parted.parent))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(parted, "own")
    (tmp_path / "holding").mkdir()
    shutil.copy(tmp_path / "a.tar.gz", tmp_path / "holding")
    for source in ("a.zip", "a.tar.gz", "holding"):
        read = read_images(tmp_path / source, STRICT)
        assert read.classes == expected.classes
        assert read.found == expected.found
        for name, (array,) in expected.arrays.items():
            assert np.array_equal(read.arrays[name][0], array), name


def test_links_and_ways_out_of_an_archive_read_nothing_else(parted, tmp_path):
    picture(tmp_path / "secret.png", 999)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(parted, "own")
        link = tarfile.TarInfo("own/train/cat/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(link)
    assert "own/train/cat/link.png (a link or device)" in refused(tmp_path / "a.tar")
    assert 999 not in values(read_images(tmp_path / "a.tar", SKIPPING).train_images)


@pytest.mark.parametrize("content", [b"text", b"", gzip.compress(b"text", mtime=0), b"PK\x03\x04broken"])
def test_a_file_that_is_none_of_these_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert "file" in refused(tmp_path / "file")


def test_no_source_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_images(tmp_path / "absent", STRICT)


def test_a_damaged_archive_is_refused(parted, tmp_path):
    with tarfile.open(fileobj=(raw := io.BytesIO()), mode="w:gz") as archive:
        archive.add(parted, "own")
    (tmp_path / "half.tar.gz").write_bytes(raw.getvalue()[: len(raw.getvalue()) // 2])
    assert "half.tar.gz is no readable folder, .npz or archive" in refused(tmp_path / "half.tar.gz")
