"""Arrays of images in a .npz, as Keras, MedMNIST and others publish them."""

import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.pickles import Malicious

from pipelines.data.images.own import read_images
from pipelines.data.images.tables import ImageFormat
from pipelines.errors import UserError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


def read(path):
    return read_images(path, ImageFormat())


def refused(path):
    with pytest.raises(UserError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        np.savez_compressed(tmp_path / "own.npz", **arrays)
        return tmp_path / "own.npz"

    return save


def parted(images=COLOUR, labels=LABELS, **more):
    return {"x_train": images[:28], "y_train": labels[:28], "x_test": images[28:], "y_test": labels[28:]} | more


def test_the_arrays_of_keras_are_read(saved):
    own = read(saved(**parted(labels=LABELS[:, None])))
    assert np.array_equal(own.train_images, COLOUR[:28].transpose(0, 3, 1, 2))
    assert np.array_equal(own.test_images, COLOUR[28:].transpose(0, 3, 1, 2))
    assert (own.train_labels.tolist(), own.test_labels.tolist()) == (LABELS[:28].tolist(), LABELS[28:].tolist())
    assert own.train_labels.dtype == np.uint8
    assert own.classes == ("0", "1", "2", "3")
    assert own.found == ("arrays of 4 classes, train (28, 32, 32, 3), test (12, 32, 32, 3)", "values of 0-255")
    assert list(own.hashes) == ["own.npz"]


@pytest.mark.parametrize(
    "images",
    [
        COLOUR.transpose(0, 3, 1, 2).copy(),
        COLOUR.astype(np.int64),
        COLOUR.astype(np.float32),
        COLOUR / 255,
        (COLOUR / 255).astype(">f4"),
        np.dstack([COLOUR.reshape(40, -1, 3), np.full((40, 1024, 1), 255, np.uint8)]).reshape(40, 32, 32, 4),
    ],
    ids=["channels first", "int64", "float of 255", "float of 1", "big endian", "opaque"],
)
def test_other_forms_of_the_same_images_give_the_same(saved, images):
    own = read(saved(**parted(images)))
    assert np.array_equal(own.train_images, COLOUR[:28].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(40, 32, 32), (40, 32, 32, 1), (40, 1, 32, 32)])
def test_grey_is_the_same_in_each_channel(saved, shape):
    own = read(saved(**parted(COLOUR[:, :, :, 0].reshape(shape))))
    assert np.array_equal(own.train_images, np.repeat(COLOUR[:28, None, :, :, 0], 3, axis=1))


def test_bits_are_0_and_255(saved):
    own = read(saved(**parted(COLOUR[:, :, :, 0] > 99)))
    assert np.array_equal(own.train_images[:, 2], np.where(COLOUR[:28, :, :, 0] > 99, 255, 0))
    assert "values of 0-1, multiplied by 255 and rounded" in own.found


@pytest.mark.parametrize("shape", [(28, 28), (64, 64, 3), (40, 60, 3)])
def test_other_sizes_are_scaled_as_pillow_does(saved, shape):
    images = RNG.integers(0, 256, (40, *shape), dtype=np.uint8)
    own = read(saved(**parted(images)))
    side = min(shape[:2])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    for image, found in zip(images[28:], own.test_images, strict=True):
        square = Image.fromarray(image[top : top + side, left : left + side]).resize(
            (32, 32), Image.Resampling.BILINEAR
        )
        # Where there is more of the image beyond the square, the outermost pixels take a little of it.
        inner = slice(None) if left == 0 else slice(3, -3)
        assert np.array_equal(found.transpose(1, 2, 0)[:, inner], np.asarray(square.convert("RGB"))[:, inner])


def test_the_arrays_of_medmnist_are_read(saved):
    arrays = {
        f"{part}_{kind}": values[span]
        for kind, values in (("images", COLOUR), ("labels", LABELS[:, None]))
        for part, span in (("train", slice(20)), ("val", slice(20, 30)), ("test", slice(30, 40)))
    }
    own = read(saved(**arrays))
    assert np.array_equal(own.train_images, COLOUR[:30].transpose(0, 3, 1, 2))
    assert np.array_equal(own.test_labels, LABELS[30:])
    assert own.found[-1] == "the validation part is taken for training images; experiments hold out their own"
    del arrays["test_images"], arrays["test_labels"]
    own = read(saved(**arrays))
    assert np.array_equal(own.test_labels, LABELS[20:30])
    assert own.found[-1] == "there is no test part: the validation part is taken for it"


@pytest.mark.parametrize("names", [("images", "labels"), ("X", "y"), ("x_train", "y_train"), ("data", "targets")])
def test_without_a_test_part_a_tenth_of_each_class_is_taken(saved, names):
    own = read(saved(**dict(zip(names, (COLOUR, LABELS), strict=True))))
    assert own.counts["test"] == {"images": 4, "0": 1, "1": 1, "2": 1, "3": 1}
    together = np.concatenate([own.train_images, own.test_images]).transpose(0, 2, 3, 1)
    assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in COLOUR)
    for image, label in zip(own.test_images, own.test_labels, strict=True):
        (place,) = np.flatnonzero((COLOUR.transpose(0, 3, 1, 2) == image).all(axis=(1, 2, 3)))
        assert label == LABELS[place]


@pytest.mark.parametrize(
    ("labels", "more", "classes"),
    [
        (LABELS * 10 - 7, {}, ("-7", "3", "13", "23")),
        (LABELS.astype(float), {}, ("0", "1", "2", "3")),
        (np.eye(4)[LABELS], {}, ("0", "1", "2", "3")),
        (np.array(["d", "a", "c", "b"])[LABELS], {}, ("a", "b", "c", "d")),
        (LABELS, {"class_names": np.array(["d", "a", "c", "b", "never"])}, ("d", "a", "c", "b")),
        (LABELS * 2, {"classes": np.array(["d", "-", "a", "-", "c", "-", "b"])}, ("d", "a", "c", "b")),
    ],
    ids=["any numbers", "float", "one-hot", "names", "named", "gaps"],
)
def test_classes_are_the_values_of_the_labels(saved, labels, more, classes):
    own = read(saved(**parted(labels=labels, **more)))
    assert own.classes == classes
    given = labels.argmax(1) if labels.ndim == 2 else labels
    expected = np.unique(given, return_inverse=True)[1]
    assert own.train_labels.tolist() == expected[:28].tolist()
    assert own.test_labels.tolist() == expected[28:].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": None}, "no images and labels among x_test, x_train, y_test; call them x_train"),
        ({"y_train": LABELS[:27]}, "not as many images as labels: 28 and 27 (train), 12 and 12 (test)"),
        ({"y_test": LABELS[:12] + 4}, "labels [4, 5, 6, 7] of the part test are of no training image"),
        (
            {"y_train": LABELS[:28] / 3},
            "y_train has the shape (28,) and type float64; give a number or name",
        ),
        ({"y_train": COLOUR[:28]}, "y_train has the shape (28, 32, 32, 3)"),
        ({"x_train": COLOUR[:28] / 100}, "x_test are of the types float64 and uint8; save them as one"),
        ({"x_train": COLOUR[:28].reshape(28, -1)}, "x_train has the shape (28, 3072) and type uint8, so no images"),
        ({"x_train": COLOUR[:28, :, :, :2]}, "x_train has the shape (28, 32, 32, 2)"),
        ({"x_train": COLOUR[:28].astype(str)}, "so no images"),
        ({"x_train": COLOUR[:0]}, "not as many images as labels"),
        ({"x_train": np.asfortranarray(COLOUR[:28])}, "x_train is saved in Fortran's order"),
        ({"y_train": np.zeros(28, int), "y_test": np.zeros(12, int)}, "1 classes, not 2 to 1,000"),
        ({"classes": np.array(["a", "b"])}, "classes: no names of the labels 0 to 3"),
        ({"classes": np.array(["a", "b", "b", "c"])}, "two classes have the same name"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_other_arrays_are_refused_with_their_fault(saved, changes, message):
    arrays = {name: array for name, array in (parted() | changes).items() if array is not None}
    assert message in refused(saved(**arrays))


@pytest.mark.parametrize("value", [-0.1, 300, np.nan, np.inf])
def test_values_of_another_range_are_refused(saved, value):
    images = COLOUR / 255
    images[39, 31, 31, 2] = value
    assert "x_test has values of " in refused(saved(**parted(images)))


def test_a_pickle_in_an_array_is_not_run(tmp_path):
    for arrays in (parted(), {}):
        arrays["y_train"] = np.array([Malicious(tmp_path / "victim")], dtype=object)
        np.savez(tmp_path / "own.npz", **arrays)
        assert "y_train holds Python objects, which are not read" in refused(tmp_path / "own.npz")
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x_train.npy", pickle.dumps(Malicious(tmp_path / "victim")))
    assert "x_train is no array" in refused(tmp_path / "own.npz")
    assert not (tmp_path / "victim").exists()


def npy(shape, content=b"", kind="|u1"):
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (npy((1 << 40, 32, 32, 3)), npy((1 << 40,))),
        (npy((2, 1 << 20, 1 << 20, 3)), npy((2,), b"\0\1")),
        (npy((400_000, 32, 32, 3)), npy((400_000,), bytes(400_000))),
        (npy((2, 32, 32, 3)), npy((-2,))),
        (npy((2, 32, 32, 3)), npy((2,), kind="<U0")),
        (npy((2, 32, 32, 3)), npy((2, 1 << 62), b"")),
        (npy((2, 32, 32, 3), bytes(6143)), npy((2,), b"\0\1")),
        (npy((2, 32, 32, 3), kind="V8"), npy((2,), b"\0\1")),
    ],
)
def test_shapes_beyond_the_content_take_no_memory(tmp_path, images, labels):
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x.npy", images)
        archive.writestr("y.npy", labels)
    tracemalloc.start()
    try:
        refused(tmp_path / "own.npz")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000_000
    finally:
        tracemalloc.stop()


def test_a_damaged_file_is_refused(saved):
    path = saved(**parted())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert str(path) in refused(path)
    changed = bytearray(whole)
    changed[20_000] ^= 1
    path.write_bytes(changed)
    assert f"{path} is not a readable .npz" in refused(path)


def test_a_zip_of_other_files_is_no_npz(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("a/1", "a/2", "b/1", "b/2"):
            Image.new("RGB", (32, 32)).save(raw := io.BytesIO(), "PNG")
            archive.writestr(name, raw.getvalue())
    assert read(tmp_path / "a.npz").classes == ("a", "b")
