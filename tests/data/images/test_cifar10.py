"""Image data: the official files against figures known elsewhere, every other case on small files of known content."""

import hashlib
import io
import lzma
import os
import pickle
import random
import shutil
import tarfile
import threading
import warnings
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from support.batches import batch, python2_pickle, python_version
from support.caches import cut, fewer, flip, other_version, patch
from support.pickles import Malicious

from pipelines.commands import prepare as entry
from pipelines.commands.options import PrepareOptions
from pipelines.data.datasets import IMAGES, find
from pipelines.data.energy import pjm, taylor
from pipelines.data.files import cache
from pipelines.data.images import cifar10, digits
from pipelines.data.images.cifar10 import load, prepare
from pipelines.data.images.dataset import hold_out
from pipelines.errors import UserError

TRAIN_FILES = [f"data_batch_{number}.bin" for number in range(1, 6)]
FILES = [*TRAIN_FILES, "test_batch.bin"]
RECORDS = 20
RECORD = 3073
ARRAYS = ["train_images", "train_labels", "test_images", "test_labels"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """All six files, of 20 records each: record i has the label i % 10 and a random image."""
    monkeypatch.setattr(cifar10, "RECORDS", RECORDS)
    folder = tmp_path / "download" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for file in FILES:
        records = (bytes([number % 10]) + rng.bytes(RECORD - 1) for number in range(RECORDS))
        (folder / file).write_bytes(b"".join(records))
    return folder


@pytest.fixture
def official(folder, monkeypatch):
    """Makes the small files the official ones."""
    sha1 = {file: hashlib.sha1((folder / file).read_bytes()).hexdigest() for file in FILES}
    monkeypatch.setattr(cifar10, "SHA1", sha1)


@pytest.fixture
def prepare_unverified(tmp_path):
    """`prepare` of files that are not the official ones, into ``tmp_path/data``."""
    return partial(prepare, tmp_path / "data", allow_unverified=True)


@pytest.fixture
def served(publisher, folder, official, tmp_path, monkeypatch):
    """Makes an archive of the small files the official one, served over HTTP; gives the server."""
    raw = make_tar(tmp_path / "cifar-10-binary.tar.gz", folder).read_bytes()
    publisher.files["cifar-10-binary.tar.gz"] = raw
    monkeypatch.setattr(cifar10, "URL", publisher.url("cifar-10-binary.tar.gz"))
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(raw).hexdigest())
    return publisher


def make_tar(path, folder, prefix="cifar-10-batches-bin/"):
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir(), reverse=True):
            member = tarfile.TarInfo(prefix + file.name)  # as `add` would not: it strips a leading slash
            member.size = file.stat().st_size
            archive.addfile(member, io.BytesIO(file.read_bytes()))
    return path


def make_zip(path, folder, prefix="cifar-10-batches-bin/"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir(prefix)
        for file in folder.iterdir():
            archive.write(file, prefix + file.name)
    return path


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS) and (
        (one.classes, one.mean, one.deviation, one.digest, one.counts, one.verified)
        == (other.classes, other.mean, other.deviation, other.digest, other.counts, other.verified)
    )


# The real files


@pytest.fixture(scope="module")
def real(real_cifar10, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("real")
    yield prepare(data_dir, source=real_cifar10, allow_unverified=True)
    shutil.rmtree(data_dir)


@pytest.mark.medium
def test_of_the_real_files_only_the_test_batch_is_refused(real_cifar10, tmp_path):
    # It is read last: the training files have passed.
    with pytest.raises(UserError, match=r"test_batch\.bin: sha1 cbea4389\w+ is not the published 67eb016d\w+; "):
        prepare(tmp_path, source=real_cifar10)
    assert not find("cifar10", IMAGES).is_prepared(tmp_path)


@pytest.mark.medium
def test_of_the_real_files_only_the_test_batch_is_recorded_as_not_official(real):
    assert not real.verified
    assert real.counts["not_official"] == ["test_batch.bin"]


@pytest.mark.medium
def test_the_python_version_of_the_real_images_has_their_digest(real, real_cifar10, tmp_path):
    python = prepare(tmp_path / "data", source=python_version(real_cifar10, tmp_path), allow_unverified=True)
    assert python.digest == real.digest
    shutil.rmtree(tmp_path)


@pytest.mark.medium
def test_the_real_images_have_the_known_moments(real):
    np.testing.assert_allclose(real.mean, (0.49139968, 0.48215841, 0.44653091), rtol=0, atol=1e-7)
    np.testing.assert_allclose(real.deviation, (0.24703223, 0.24348513, 0.26158784), rtol=0, atol=1e-7)


@pytest.mark.medium
def test_the_real_images_have_the_known_counts(real):
    assert real.train_images.shape == (50_000, 3, 32, 32)
    assert real.test_images.shape == (10_000, 3, 32, 32)
    classes = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    assert real.counts["train"] == {"images": 50_000} | dict.fromkeys(classes, 5_000)
    assert real.counts["test"] == {"images": 10_000} | dict.fromkeys(classes, 1_000)


@pytest.mark.medium
def test_the_first_real_images_are_the_known_ones(real):
    # As Keras' copy of the data set has them in x_train[0, 0, :2] and x_test[0, 0, :2]: red, green, blue.
    assert real.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert real.train_images[0, :, 0, :2].T.tolist() == [[59, 62, 63], [43, 46, 45]]
    assert real.test_labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert real.test_images[0, :, 0, :2].T.tolist() == [[158, 112, 49], [159, 111, 47]]


@pytest.mark.medium
def test_five_thousand_real_validation_images_are_500_a_class(real):
    validation = hold_out(real, 5_000, seed=1)["validation"]
    assert np.bincount(real.train_labels[validation]).tolist() == [500] * 10


# The format


def test_the_parts_follow_the_numbers_of_the_files(folder, prepare_unverified):
    for number, file in enumerate(FILES):
        patch(folder / file, 1, 100 + number)  # the first pixel of the first image
    dataset = prepare_unverified(source=folder)
    assert dataset.train_images[::RECORDS, 0, 0, 0].tolist() == [100, 101, 102, 103, 104]
    assert dataset.test_images[0, 0, 0, 0] == 105
    assert dataset.train_labels.tolist() == [number % 10 for number in range(100)]
    assert dataset.test_labels.tolist() == [number % 10 for number in range(20)]


def test_a_record_is_its_label_then_a_plane_a_channel_row_by_row(folder, prepare_unverified):
    path = folder / "data_batch_2.bin"
    # Record 3 of the second file: green, row 5, column 7.
    offset = 3 * RECORD + 1 + 1024 + 5 * 32 + 7
    value = path.read_bytes()[offset] ^ 0xFF
    before = np.array(prepare_unverified(source=folder).train_images)
    patch(path, offset, value)
    after = prepare_unverified(source=folder).train_images
    assert np.argwhere(before != after).tolist() == [[RECORDS + 3, 1, 5, 7]]
    assert after[RECORDS + 3, 1, 5, 7] == value


def test_arrays_are_bytes_mapped_and_read_only(folder, prepare_unverified):
    dataset = prepare_unverified(source=folder)
    for part, number in (("train", 100), ("test", 20)):
        images, labels = getattr(dataset, f"{part}_images"), getattr(dataset, f"{part}_labels")
        assert (images.shape, labels.shape) == ((number, 3, 32, 32), (number,))
        for array in (images, labels):
            assert isinstance(array, np.memmap)
            assert array.dtype == np.uint8
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_mean_and_deviation_are_those_of_the_training_pixels(folder, prepare_unverified):
    # The test file, all black, would change both.
    (folder / "test_batch.bin").write_bytes(b"".join(bytes([i % 10]) + bytes(RECORD - 1) for i in range(RECORDS)))
    dataset = prepare_unverified(source=folder)
    pixels = np.array(dataset.train_images, dtype=np.float64) / 255
    np.testing.assert_allclose(dataset.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dataset.deviation, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.fault(26)
@pytest.mark.parametrize("file", ["data_batch_1.bin", "test_batch.bin"])
@pytest.mark.parametrize("allow_unverified", [False, True])
@pytest.mark.parametrize(
    ("size", "fault"),
    [
        (17 * RECORD + 5, "record 17 (from 0): the file ends after 5 of its 3073 bytes"),
        (19 * RECORD, "record 19 (from 0): the file ends after 0 of its 3073 bytes"),
        (0, "record 0 (from 0): the file ends after 0 of its 3073 bytes"),
        (20 * RECORD + 1, "after record 19 (from 0): 1 bytes too many"),
    ],
)
def test_a_file_of_another_size_is_refused_by_the_number_of_the_record(
    folder, official, prepare_unverified, file, allow_unverified, size, fault
):
    os.truncate(folder / file, size)
    with pytest.raises(UserError) as error:
        prepare_unverified(source=folder, allow_unverified=allow_unverified)
    assert f"{folder / file}, {fault}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.fault(26)
@pytest.mark.parametrize("allow_unverified", [False, True])
def test_the_first_label_out_of_range_is_named(folder, official, prepare_unverified, allow_unverified):
    path = folder / "data_batch_4.bin"
    patch(path, 13 * RECORD, 10)
    patch(path, 15 * RECORD, 255)
    with pytest.raises(UserError) as error:
        prepare_unverified(source=folder, allow_unverified=allow_unverified)
    assert f"{path}, record 13 (from 0): the label 10 is not 0-9" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("data_batch_4.bin", "train part: 9 images of class 3 (cat), not 10"),
        ("test_batch.bin", "test part: 1 images of class 3 (cat), not 2"),
    ],
)
def test_a_part_with_other_numbers_of_the_classes_is_refused(folder, prepare_unverified, file, fault):
    patch(folder / file, 13 * RECORD, 5)
    with pytest.raises(UserError) as error:
        prepare_unverified(source=folder)
    assert fault in str(error.value)


# Sources


def test_files_that_are_not_the_official_ones_are_refused_unless_allowed(folder, tmp_path):
    with pytest.raises(UserError, match=r"data_batch_1\.bin: sha1 .*--allow-unverified true"):
        prepare(tmp_path / "data", source=folder)
    assert not find("cifar10", IMAGES).is_prepared(tmp_path / "data")
    dataset = prepare(tmp_path / "data", source=folder, allow_unverified=True)
    assert not dataset.verified
    assert dataset.counts["not_official"] == FILES
    assert not load(tmp_path / "data").verified


def test_official_files_are_verified_each_by_its_own_digest(folder, official, tmp_path):
    dataset = prepare(tmp_path / "data", source=folder)
    assert dataset.verified
    assert dataset.counts["not_official"] == []
    one, other = folder / "data_batch_1.bin", folder / "data_batch_2.bin"
    exchanged = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(exchanged)
    with pytest.raises(UserError, match=r"data_batch_1\.bin: sha1"):
        prepare(tmp_path / "data", source=folder)
    dataset = prepare(tmp_path / "data", source=folder, allow_unverified=True)
    assert dataset.counts["not_official"] == TRAIN_FILES[:2]


@pytest.mark.parametrize("prefix", ["cifar-10-batches-bin/", "", "./data/cifar-10-batches-bin/"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_folder_parent_and_archive_give_the_same_and_nothing_is_unpacked(
    folder, prepare_unverified, tmp_path, make, prefix
):
    (folder / "batches.meta.txt").write_text("not wanted")
    expected = prepare_unverified(source=folder)
    assert same(prepare_unverified(source=folder.parent), expected)
    archive = make(tmp_path / "archive", folder, prefix)
    before = set(tmp_path.rglob("*"))
    assert same(prepare_unverified(source=archive), expected)
    assert set(tmp_path.rglob("*")) == before


def a_link(name, target, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (a_link("cifar-10-batches-bin/data_batch_1.bin", "/etc/hostname"), "is a link"),
        (a_link("cifar-10-batches-bin/data_batch_1.bin", "outside", tarfile.LNKTYPE), "is a link"),
        (a_link("cifar-10-batches-bin/more", "/etc"), "is a link"),
        (a_link("cifar-10-batches-bin/pipe", "", tarfile.FIFOTYPE), "is a link, device or FIFO"),
        (tarfile.TarInfo("../outside"), "leads out of the archive"),
        (tarfile.TarInfo("cifar-10-batches-bin/../../outside"), "leads out of the archive"),
        (tarfile.TarInfo("../data_batch_1.bin"), "leads out of the archive"),
        (tarfile.TarInfo("/tmp/outside"), "leads out of the archive"),
        (tarfile.TarInfo("/data_batch_1.bin"), "leads out of the archive"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_archive_with_a_link_or_a_way_out_is_refused(folder, prepare_unverified, tmp_path, member, fault):
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member)
        for file in folder.iterdir():
            tar.add(file, f"cifar-10-batches-bin/{file.name}")
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        prepare_unverified(source=archive)
    assert f"{archive}/{member.name} {fault}" in str(error.value)
    assert "\n" not in str(error.value)
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "data" / "cifar10" / "prepare.lock"}
    assert not find("cifar10", IMAGES).is_prepared(tmp_path / "data")


@pytest.mark.fault(25)
@pytest.mark.parametrize(("name", "link"), [("../data_batch_1.bin", False), ("data_batch_1.bin", True)])
def test_a_zip_with_a_link_or_a_way_out_is_refused(folder, prepare_unverified, tmp_path, name, link):
    member = zipfile.ZipInfo(name)
    member.external_attr = (0o120777 if link else 0o100644) << 16
    (folder / "data_batch_1.bin").unlink()
    with zipfile.ZipFile(make_zip(tmp_path / "a.zip", folder), "a") as archive:
        archive.writestr(member, "/etc/hostname")
    with pytest.raises(UserError, match="is a link" if link else "leads out of the archive"):
        prepare_unverified(source=tmp_path / "a.zip")


def test_missing_files_are_named(folder, prepare_unverified, tmp_path):
    (folder / "data_batch_3.bin").unlink()
    (folder / "test_batch.bin").unlink()
    for source in (folder, make_tar(tmp_path / "a.tar.gz", folder)):
        with pytest.raises(UserError, match=r"no data_batch_3\.bin, test_batch\.bin; .* all 6 CIFAR-10 binary files"):
            prepare_unverified(source=source)


def test_where_none_is_there_what_lies_there_is_named(prepare_unverified, tmp_path):
    for number in range(7):
        (tmp_path / "other" / f"{number}.png").mkdir(parents=True)
    with pytest.raises(UserError, match=r"test_batch\.bin among 0\.png/, .*5\.png/ and more; give a folder or archive"):
        prepare_unverified(source=tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="among no files at all; give"):
        prepare_unverified(source=tmp_path / "empty")


def test_a_file_twice_in_an_archive_is_refused(folder, prepare_unverified, tmp_path):
    with zipfile.ZipFile(make_zip(tmp_path / "a.zip", folder), "a") as archive:
        archive.write(folder / "test_batch.bin", "copy/test_batch.bin")
    with pytest.raises(UserError, match=r"second test_batch\.bin"):
        prepare_unverified(source=tmp_path / "a.zip")


def test_a_file_too_large_is_refused(folder, prepare_unverified, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "MAX_FILE_BYTES", RECORDS * RECORD - 1)
    for source in (folder, make_tar(tmp_path / "a.tar.gz", folder)):
        with pytest.raises(UserError, match="larger than 61459 bytes, so no CIFAR-10 binary file"):
            prepare_unverified(source=source)


def test_a_broken_or_absent_source_is_one_line(folder, prepare_unverified, tmp_path):
    archive = make_tar(tmp_path / "half.tar.gz", folder)
    os.truncate(archive, archive.stat().st_size // 2)
    (tmp_path / "text").write_text("hello")
    for name in ("half.tar.gz", "text", "absent"):
        with pytest.raises(UserError) as error:
            prepare_unverified(source=tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)


def packed(folder, path, kind, prefix=""):
    if kind == "zip":
        return make_zip(path, folder, prefix)
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(folder, prefix or ".")
    return path


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz", "zip"])
def test_an_archive_is_read_by_its_content_in_folders_and_in_another_archive(
    folder, prepare_unverified, tmp_path, kind
):
    expected = prepare_unverified(source=folder)
    (tmp_path / "folder" / "below").mkdir(parents=True)
    packed(folder, tmp_path / "folder" / "below" / "download", kind, "cifar-10-batches-bin/")
    (tmp_path / "folder" / "README").write_text("text")
    assert same(prepare_unverified(source=tmp_path / "folder"), expected)
    assert same(prepare_unverified(source=packed(tmp_path / "folder", tmp_path / "outer", "gz")), expected)


def test_files_that_are_compressed_one_by_one_are_read(folder, prepare_unverified):
    expected = prepare_unverified(source=folder)
    for path in folder.iterdir():
        (folder / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    assert same(prepare_unverified(source=folder), expected)


def test_files_are_preferred_to_an_archive_beside_them(folder, prepare_unverified):
    expected = prepare_unverified(source=folder)
    make_tar(folder.parent / "cifar-10-binary.tar.gz", folder)
    assert same(prepare_unverified(source=folder.parent), expected)


# The Python version


@pytest.fixture
def python_folder(folder, tmp_path):
    """The same small files in the Python version."""
    return python_version(folder, tmp_path / "torchvision")


@pytest.fixture
def python_official(python_folder, monkeypatch):
    """Makes the small files of the Python version the official ones."""
    names = [file.removesuffix(".bin") for file in FILES]
    md5 = {name: hashlib.md5((python_folder / name).read_bytes()).hexdigest() for name in names}
    monkeypatch.setattr(cifar10, "PYTHON_MD5", md5)


def test_both_versions_give_the_same_data_set(folder, official, python_folder, python_official, tmp_path):
    expected = prepare(tmp_path / "binary", source=folder)
    archive = packed(python_folder, tmp_path / "cifar-10-python.tar.gz", "gz", "cifar-10-batches-py")
    for source in (python_folder, python_folder.parent, archive):
        dataset = prepare(tmp_path / "data", source=source)
        assert same(dataset, expected)
        assert dataset.verified
    read = [*(python_folder / name for name in cifar10.PYTHON_MD5), archive]
    assert dataset.origin.files == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in read}


def test_files_of_the_python_version_are_verified(python_folder, tmp_path):
    with pytest.raises(UserError, match=r"data_batch_1: md5 \w+ is not the published c99cafc1\w+; "):
        prepare(tmp_path / "data", source=python_folder)
    dataset = prepare(tmp_path / "data", source=python_folder, allow_unverified=True)
    assert dataset.counts["not_official"] == [file.removesuffix(".bin") for file in FILES]


def test_the_digests_of_the_python_version_are_those_of_torchvision():
    from nnmodels.vision import torchvision

    of = torchvision.datasets.CIFAR10
    assert list(cifar10.PYTHON_MD5.items()) == [tuple(pair) for pair in of.train_list + of.test_list]


def test_torchvision_reads_what_is_written_for_these_tests_alike(python_folder, prepare_unverified, monkeypatch):
    from nnmodels.vision import torchvision

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_load_meta", lambda self: None)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True, raising=False)
    dataset = prepare_unverified(source=python_folder)
    for train, part in ((True, "train"), (False, "test")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the place of NumPy's functions in these files
            theirs = torchvision.datasets.CIFAR10(python_folder.parent, train=train)
        assert np.array_equal(theirs.data.transpose(0, 3, 1, 2), getattr(dataset, f"{part}_images"))
        assert theirs.targets == getattr(dataset, f"{part}_labels").tolist()


def test_the_binary_version_is_read_where_both_are(folder, python_folder, prepare_unverified):
    shutil.move(folder, python_folder.parent)
    assert prepare_unverified(source=python_folder.parent).counts["not_official"] == FILES


@pytest.mark.fault(19)
def test_a_pickle_that_would_run_something_is_refused_without_effect(python_folder, prepare_unverified, tmp_path):
    (python_folder / "data_batch_3").write_bytes(pickle.dumps(Malicious(tmp_path / "victim"), 2))
    with pytest.raises(UserError, match=r"data_batch_3 is no batch file of CIFAR \(it would call \w+\.\w+\)"):
        prepare_unverified(source=python_folder)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("records", "label", "fault"),
    [
        (19, 9, "data_batch_2: 19 images and 19 labels; take the official file of 20 of each"),
        (20, 10, "data_batch_2, record 19 (from 0): the label 10 is not 0-9; take the official file"),
        (20, 8, "train part: 11 images of class 8 (ship), not 10; take the official files"),
    ],
)
def test_a_file_of_the_python_version_with_other_records_is_refused(
    python_folder, prepare_unverified, records, label, fault
):
    labels = np.arange(records) % 10
    labels[-1] = label
    (python_folder / "data_batch_2").write_bytes(batch(labels, np.zeros((records, 3072), np.uint8)))
    with pytest.raises(UserError) as error:
        prepare_unverified(source=python_folder)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_cifar_100_is_named(prepare_unverified, tmp_path):
    for name, files in (
        ("cifar-100-binary", ["train.bin", "test.bin", "fine_label_names.txt"]),
        ("cifar-100-python", ["train", "test", "meta"]),
    ):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_bytes(python2_pickle({}))
        archive = packed(tmp_path / name, tmp_path / f"{name}.tar.gz", "gz", name)
        for source in (tmp_path / name, archive):
            with pytest.raises(UserError, match=f"{source}: this is CIFAR-100, not CIFAR-10; give the archive"):
                prepare_unverified(source=source)


def test_without_source_the_archive_is_downloaded_once(served, folder, tmp_path):
    dataset = prepare(tmp_path / "data")
    assert dataset.verified
    assert same(dataset, prepare(tmp_path / "other", source=folder))
    shutil.rmtree(tmp_path / "data" / "cifar10" / "raw")
    assert prepare(tmp_path / "data").digest == dataset.digest
    assert served.asked == [("cifar-10-binary.tar.gz", None)]


def test_a_download_with_another_digest_is_refused(served, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "MD5", "0" * 32)
    with pytest.raises(UserError, match=rf"expected md5 {'0' * 32}"):
        prepare(tmp_path / "data", allow_unverified=True)
    assert not find("cifar10", IMAGES).is_prepared(tmp_path / "data")


def test_a_failed_download_names_the_ways_on(served, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "URL", cifar10.URL.replace("binary", "absent"))
    with pytest.raises(UserError, match=r"HTTP 404.*--source.*--dataset sample"):
        prepare(tmp_path / "data")
    assert not find("cifar10", IMAGES).is_prepared(tmp_path / "data")


def test_the_official_archive_is_the_known_one():
    assert cifar10.URL == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert cifar10.MD5 == "c32a1d4ab5d03f1284b67883e8d87530"


def test_two_that_prepare_at_once_build_once(served, tmp_path, monkeypatch):
    written = []
    write = cache.write
    monkeypatch.setattr(cache, "write", lambda *args: (written.append(1), write(*args)))
    threads = [threading.Thread(target=prepare, args=(tmp_path / "data",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 1
    assert find("cifar10", IMAGES).is_prepared(tmp_path / "data")


# The cache


def test_loading_gives_what_preparing_gave(folder, prepare_unverified, tmp_path):
    prepared = prepare_unverified(source=folder)
    assert same(load(tmp_path / "data"), prepared)


@pytest.mark.parametrize(
    ("file", "offset"),
    [("data_batch_1.bin", 1), ("data_batch_5.bin", RECORDS * RECORD - 1), ("test_batch.bin", 2000)],
)
def test_the_digest_sees_every_pixel(folder, prepare_unverified, file, offset):
    first = prepare_unverified(source=folder).digest
    assert prepare_unverified(source=folder).digest == first
    patch(folder / file, offset, (folder / file).read_bytes()[offset] ^ 1)
    assert prepare_unverified(source=folder).digest != first


@pytest.mark.parametrize("file", ["data_batch_1.bin", "test_batch.bin"])
def test_the_digest_sees_labels(folder, prepare_unverified, file):
    first = prepare_unverified(source=folder).digest
    patch(folder / file, 0, 1)
    patch(folder / file, RECORD, 0)
    assert prepare_unverified(source=folder).digest != first


def test_the_digest_sees_the_names_of_the_classes(folder, prepare_unverified, monkeypatch):
    first = prepare_unverified(source=folder).digest
    monkeypatch.setattr(cifar10, "CLASSES", ("airplane", *cifar10.CLASSES[1:]))
    assert prepare_unverified(source=folder).digest != first


def test_not_prepared_names_the_remedy(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"not prepared.*python -m pipelines prepare --dataset cifar10 --data-dir .*"):
        load(tmp_path)
    assert not find("cifar10", IMAGES).is_prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"python -m pipelines prepare --dataset cifar10$"):
        load()


def reshaped(path):
    array = np.load(path)
    np.save(path, array.reshape(*array.shape[:1], 32, 32, 3))


def signed(path):
    np.save(path, np.load(path).view(np.int8))


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *((f"{array}.npy", damage) for array in ARRAYS for damage in (flip, cut)),
        ("train_images.npy", fewer),
        ("train_images.npy", reshaped),
        ("train_images.npy", signed),
        ("train_images.npy", os.unlink),
        ("test_labels.npy", fewer),
        ("test_labels.npy", signed),
        ("meta.json", cut),
        ("meta.json", other_version),
        ("meta.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_cache_is_refused_and_prepared_anew(served, tmp_path, file, damage):
    expected = prepare(tmp_path / "data").digest
    damage(tmp_path / "data" / "cifar10" / file)
    with pytest.raises(UserError, match=r"damaged.*python -m pipelines prepare --dataset cifar10"):
        load(tmp_path / "data")
    assert not find("cifar10", IMAGES).is_prepared(tmp_path / "data")
    assert prepare(tmp_path / "data").digest == expected


def test_a_build_that_fails_midway_leaves_the_cache_as_it_was(folder, prepare_unverified, tmp_path, monkeypatch):
    before = prepare_unverified(source=folder).digest
    patch(folder / "data_batch_1.bin", 1, 0)

    def disk_full(file, pieces):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write_npy", disk_full)
    with pytest.raises(UserError, match="No space left on device"):
        prepare_unverified(source=folder)
    assert load(tmp_path / "data").digest == before
    assert not list((tmp_path / "data").rglob("*.tmp"))


def test_a_data_dir_that_cannot_be_written_is_one_line(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot prepare cifar10"):
        prepare(tmp_path / "file", source=folder, allow_unverified=True)


def test_an_unknown_name_names_the_known():
    with pytest.raises(UserError, match=r"'cifar' of images; did you mean cifar10\?"):
        find("cifar", IMAGES)


# The sample


def test_the_sample_is_the_published_digits_enlarged(tmp_path):
    dataset = find("sample", IMAGES).prepare(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert find("sample", IMAGES).is_prepared(tmp_path / "nowhere")
    assert dataset.classes == tuple("0123456789")
    assert dataset.verified
    assert dataset.counts["train"]["images"] == len(dataset.train_images) == len(dataset.train_labels) == 1438
    assert dataset.counts["test"]["images"] == len(dataset.test_images) == len(dataset.test_labels) == 359
    # The UCI repository's numbers for its test set.
    totals = [dataset.counts["train"][label] + dataset.counts["test"][label] for label in dataset.classes]
    assert totals == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # The labels are 0, 1, 2, ..., 8, 9, 8.
    assert dataset.train_labels[:3].tolist() == [0, 1, 2]
    assert dataset.test_labels[-3:].tolist() == [8, 9, 8]
    # Its first image's second row, of 0-16, is 0 0 13 15 10 15 5 0.
    row = [0, 0, 207, 239, 159, 239, 80, 0]
    assert dataset.train_images[0, :, 4:8].tolist() == [[np.repeat(row, 4).tolist()] * 4] * 3
    assert dataset.train_images.max() == 255
    assert dataset.train_images.dtype == dataset.train_labels.dtype == np.uint8
    assert digits.load().digest == dataset.digest
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# The split


@pytest.fixture(scope="module")
def sample():
    return digits.load()


def test_the_parts_of_a_split_are_all_of_the_training_part(sample):
    parts = hold_out(sample, 300, seed=3)
    assert len(parts["validation"]) == 300
    assert np.array_equal(np.sort(np.concatenate([parts["train"], parts["validation"]])), np.arange(1438))
    assert all(np.all(np.diff(part) > 0) for part in parts.values())


def test_without_validation_all_is_training(sample):
    parts = hold_out(sample)
    assert np.array_equal(parts["train"], np.arange(1438))
    assert len(parts["validation"]) == 0


@pytest.mark.parametrize("validation", [10, 50, 90])
def test_classes_of_one_size_have_equally_many_validation_images(folder, prepare_unverified, validation):
    dataset = prepare_unverified(source=folder)
    held_out = hold_out(dataset, validation)["validation"]
    assert np.bincount(dataset.train_labels[held_out], minlength=10).tolist() == [validation / 10] * 10


def test_classes_of_other_sizes_are_held_out_in_proportion(sample):
    dataset = replace(sample, train_labels=np.repeat([0, 1, 2], [300, 100, 20]))
    held_out = hold_out(dataset, 42)["validation"]
    assert np.bincount(dataset.train_labels[held_out]).tolist() == [30, 10, 2]


def test_the_seed_and_nothing_else_fixes_the_split(sample):
    np.random.seed(1)
    random.seed(1)
    first = hold_out(sample, 300, seed=3)["validation"]
    np.random.seed(2)
    random.seed(2)
    state = np.random.get_state()[1].copy()
    assert np.array_equal(hold_out(sample, 300, seed=3)["validation"], first)
    assert np.array_equal(np.random.get_state()[1], state)
    # Of 300 of 1438, drawn twice, about 63 are the same.
    assert len(np.intersect1d(hold_out(sample, 300, seed=4)["validation"], first)) < 100


@pytest.mark.parametrize("validation", [-1, 1438])
def test_a_number_of_validation_images_out_of_range_is_refused(sample, validation):
    with pytest.raises(UserError, match="1438 training images"):
        hold_out(sample, validation)


# The entry point


def test_the_entry_point_tells_what_the_images_are(folder, tmp_path, capsys):
    entry.run(
        PrepareOptions(dataset="cifar10", data_dir=str(tmp_path / "data"), source=str(folder), allow_unverified=True)
    )
    dataset = load(tmp_path / "data")
    head, train, test, files = capsys.readouterr().err.splitlines()
    assert head.startswith("cifar10: 100 training and 20 test images of 10 classes, mean 0.")
    assert f"digest {dataset.digest[:12]}, NOT the official files: data_batch_1.bin, " in head
    assert train == "  train: 100 images, " + ", ".join(f"10 {name}" for name in dataset.classes)
    assert test == "  test: 20 images, " + ", ".join(f"2 {name}" for name in dataset.classes)
    assert files.startswith(f"  files: 6, {folder};")


def test_the_entry_point_does_not_doubt_official_files(folder, official, tmp_path, capsys):
    entry.run(PrepareOptions(dataset="cifar10", data_dir=str(tmp_path / "data"), source=str(folder)))
    assert "NOT" not in capsys.readouterr().err


def test_the_entry_point_prepares_both_samples(tmp_path, capsys):
    entry.run(PrepareOptions(dataset="sample", data_dir=str(tmp_path / "data")))
    told = capsys.readouterr().err
    assert "sample: 1 series" in told
    assert "sample: 1,438 training and 359 test images" in told


def test_all_is_pjm_and_cifar10_in_turn(tmp_path, monkeypatch):
    asked = []
    for module, sample in ((pjm, taylor.load()), (cifar10, digits.load())):
        monkeypatch.setattr(
            module, "prepare", lambda *_, module=module, sample=sample: (asked.append(module), sample)[1]
        )
    entry.run(PrepareOptions(dataset="all", data_dir=str(tmp_path)))
    assert asked == [pjm, cifar10]


def test_a_source_for_all_is_refused_before_anything_is_done(folder, tmp_path):
    options = PrepareOptions(data_dir=str(tmp_path / "data"), source=str(folder), allow_unverified=True)
    with pytest.raises(UserError, match=r"one data set; give dataset=pjm or dataset=cifar10") as error:
        entry.run(options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()
