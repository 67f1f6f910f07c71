"""CIFAR-100 in both versions."""

import hashlib
import shutil
import tarfile

import numpy as np
import pytest
from support.batches import python2_pickle

from nnmodels.vision import torchvision
from pipelines.data.images import cifar100
from pipelines.data.images.dataset import digest_of
from pipelines.data.images.own import read_images
from pipelines.data.images.tables import ImageFormat
from pipelines.errors import UserError

NAMES = [f"class_{number:02}" for number in range(100)]
RNG = np.random.default_rng(0)
PARTS = {
    part: (RNG.permutation(np.arange(count) % 100), RNG.integers(0, 256, (count, 3072), dtype=np.uint8))
    for part, count in (("train", 300), ("test", 200))
}


@pytest.fixture
def binary(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for part, (labels, images) in PARTS.items():
        coarse = (labels // 5).astype(np.uint8)
        (folder / f"{part}.bin").write_bytes(np.column_stack([coarse, labels.astype(np.uint8), images]).tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES) + "\n")
    (folder / "coarse_label_names.txt").write_text("many\n")
    return folder


@pytest.fixture
def python(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for part, (labels, images) in PARTS.items():
        fields = {b"fine_labels": labels.tolist(), b"coarse_labels": (labels // 5).tolist(), b"data": images}
        (folder / part).write_bytes(python2_pickle(fields))
    (folder / "meta").write_bytes(python2_pickle({b"fine_label_names": [name.encode() for name in NAMES]}))
    return folder


def read(source):
    return read_images(source, ImageFormat())


def refused(source):
    with pytest.raises(UserError) as error:
        read(source)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_both_versions_give_the_same_fine_classes(binary, python, tmp_path):
    with tarfile.open(tmp_path / "download", "w:gz") as archive:
        archive.add(python, "cifar-100-python")
    digests = set()
    for source in (binary, python, tmp_path / "download"):
        own = read(source)
        for part, (labels, images) in PARTS.items():
            assert np.array_equal(own.arrays[f"{part}_images"][0], images.reshape(-1, 3, 32, 32))
            assert np.array_equal(own.arrays[f"{part}_labels"][0], labels)
        assert own.train_labels.dtype == np.uint8
        assert list(own.classes) == NAMES
        digests.add(digest_of(own.classes, own.arrays))
    assert len(digests) == 1
    assert own.hashes == {
        file: hashlib.sha256((python / file).read_bytes()).hexdigest() for file in cifar100.PYTHON_MD5
    }


def test_the_official_files_are_told_by_their_md5(python, binary, monkeypatch):
    assert read(python).found == ("CIFAR-100 in its Python version, NOT the official files; its 100 fine classes",)
    md5 = {file: hashlib.md5((python / file).read_bytes()).hexdigest() for file in cifar100.PYTHON_MD5}
    monkeypatch.setattr(cifar100, "PYTHON_MD5", md5)
    assert read(python).found == ("CIFAR-100 in its Python version, the official files; its 100 fine classes",)
    assert "of which no digests are published" in read(binary).found[0]


def test_the_digests_are_those_of_torchvision():
    of = torchvision.datasets.CIFAR100
    expected = [tuple(pair) for pair in of.train_list + of.test_list] + [(of.meta["filename"], of.meta["md5"])]
    assert list(cifar100.PYTHON_MD5.items()) == expected


def test_the_binary_version_is_read_where_both_are(binary, python, tmp_path):
    (tmp_path / "both").mkdir()
    shutil.move(binary, tmp_path / "both")
    shutil.move(python, tmp_path / "both")
    assert "binary version" in read(tmp_path / "both").found[0]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train.bin", bytes(3075), "train.bin: 3075 bytes are no records of 3074"),
        ("train.bin", b"", "train.bin: 0 bytes are no records"),
        ("test.bin", b"\0\x64" + bytes(3072), "test.bin, record 0 (from 0): the label 100 is not 0-99"),
        ("train.bin", bytes(3074), "no training images of class_01, class_02"),
        ("fine_label_names.txt", b"one", "1 names of classes, not 100"),
        ("train", python2_pickle({b"data": PARTS["test"][1]}), "train: b'fine_labels' is no list of labels"),
        ("train", python2_pickle({b"data": PARTS["test"][1], b"fine_labels": [1]}), "train: 200 images and 1 labels"),
        ("test", python2_pickle({b"data": PARTS["test"][1], b"fine_labels": [100] * 200}), "the label 100 is not"),
        ("test", b"cos\nsystem\n(S'exit'\ntR.", "test is no batch file of CIFAR (it would call os.system)"),
        ("meta", python2_pickle({b"fine_label_names": b"text"}), "meta: b'fine_label_names' is no list of names"),
    ],
)
def test_other_files_are_refused_with_their_fault(binary, python, file, content, message):
    folder = binary if "." in file else python
    (folder / file).write_bytes(content)
    assert message in refused(folder)
