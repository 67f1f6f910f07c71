"""Batch files of the Python versions: what they hold, and that nothing they name is run."""

import os
import pickle
import random
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
from support.batches import batch, python2_pickle
from support.pickles import Malicious

from pipelines.data.images import batch_file
from pipelines.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 3072), dtype=np.uint8)
LABELS = np.arange(300) % 100
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
HUGE = 2 * b"J\xff\xff\xff\x7f"
BYTES = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


def refused(raw: bytes) -> str:
    with pytest.raises(UserError) as error:
        batch_file.read(raw, "there/data_batch_1")
    assert str(error.value).startswith("there/data_batch_1 is no batch file of CIFAR (")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_holds_what_pickle_itself_reads():
    raw = batch(LABELS, IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the place of NumPy's functions in these files
        expected = pickle.loads(raw, encoding="bytes")
    found = batch_file.read(raw, "")
    assert list(found) == list(expected) == [b"batch_label", b"labels", b"data", b"filenames"]
    assert np.array_equal(batch_file.images(found, ""), expected[b"data"].reshape(-1, 3, 32, 32))
    assert batch_file.labels(found, b"labels", "").tolist() == expected[b"labels"] == LABELS.tolist()
    assert found[b"filenames"] == expected[b"filenames"]


@pytest.mark.parametrize("protocol", range(6))
def test_what_would_be_run_is_named_and_is_not_run(tmp_path, protocol):
    for harmful in (Malicious(tmp_path / "victim"), {"data": Malicious(tmp_path / "victim")}):
        message = refused(pickle.dumps(harmful, protocol))
        assert "it would call pathlib" in message or "getattr" in message
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("raw", "reason"),
    {
        "system": (b"\x80\x02c" + os.system.__module__.encode() + b"\nsystem\nU\x06exit 1\x85R.", "posix.system"),
        "INST": (b"(S'exit 1'\nios\nsystem\n.", "os.system"),
        "NumPy's file reader": (b"\x80\x02cnumpy\nload\nU\x01a\x85R.", "numpy.load"),
        "array of a subclass": (ARRAY.replace(b"ndarray", b"matrix") + b".", "numpy.matrix"),
        "array of a list": (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n]K\x00\x85U\x01b\x87R.",
            "array of another class",
        ),
        "array made by its class": (b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.", "not callable"),
        "registry": (b"\x80\x02\x82\x01.", "unregistered extension"),
        "persistent": (b"\x80\x02U\x01aQ.", "persistent"),
        "attributes of a function": (b"\x80\x02cnumpy\ndtype\nN}U\x04nameK\x01s\x86b.", ""),
        "no dictionary": (python2_pickle([b"data"]), "no dictionary"),
        "nothing": (b"", ""),
        "text": (b"<html>", ""),
        "objects": (python2_pickle({b"data": IMAGES[:1]}).replace(b"U\x02u1", b"U\x02O8"), "something else than bytes"),
        "fewer bytes than the shape": (
            b"\x80\x02}U\x04data" + ARRAY + b"(K\x01" + HUGE + b"\x86" + BYTES + b"\x89U\x03abctbs.",
            "reshape",
        ),
        "shape that is none": (b"\x80\x02}U\x04data" + ARRAY + b"(K\x01U\x01a" + BYTES + b"\x89U\x03abctbs.", "shape"),
        "array without content": (b"\x80\x02}U\x04data" + ARRAY + b"s.", "something else than bytes"),
        "array never made": (b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)\x81s.", ""),
        "memo of 2 GiB": (b"\x80\x02}r\xff\xff\xff\x7f.", "gaps"),
        "text of 2 GiB": (b"\x80\x02}U\x04dataT\xff\xff\xff\x7fabcs.", "only"),
        "text of 8 EiB": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.", ""),
    }.values(),
)  # fmt: skip
def test_anything_else_is_refused_in_one_line_and_takes_no_memory(raw, reason):
    tracemalloc.start()
    try:
        assert reason in refused(raw)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_refused_file_leaves_the_next_one_readable():
    refused(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}U\x0c__setstate__Ns\x86b.")
    assert np.array_equal(batch_file.read(python2_pickle({b"data": IMAGES}), "")[b"data"], IMAGES)


@pytest.mark.parametrize("data", [[1, 2], IMAGES[:, :3071], IMAGES[0], b"text"])
def test_data_that_are_no_images_are_refused(data):
    found = batch_file.read(python2_pickle({b"data": data, b"labels": [0]}), "")
    with pytest.raises(UserError, match=r"here: b'data' is no array \(N, 3072\) of bytes"):
        batch_file.images(found, "here")


@pytest.mark.parametrize("labels", [b"text", [b"cat"], [-1], [1 << 16], IMAGES[0]])
def test_labels_that_are_none_are_refused(labels):
    found = batch_file.read(python2_pickle({b"labels": labels}), "")
    with pytest.raises(UserError, match="here: b'labels' is no list of labels"):
        batch_file.labels(found, b"labels", "here")


def reading(raw: bytes) -> str:
    try:
        batch_file.read(raw, "there")
    except UserError as error:
        return str(error)
    return "read"


def test_whatever_byte_is_changed_it_is_read_or_refused_in_one_line():
    raw, rng = batch(LABELS[:2], IMAGES[:2]), random.Random(0)
    messages = []
    for _ in range(2000):
        changed = bytearray(raw)
        for _ in range(rng.randint(1, 3)):
            changed[rng.choice([rng.randrange(200), rng.randrange(len(raw))])] = rng.randrange(256)
        messages.append(reading(bytes(changed)))
    assert "read" in messages
    assert all(message == "read" or (message.startswith("there is no") and "\n" not in message) for message in messages)
    assert len(set(messages)) > 20
