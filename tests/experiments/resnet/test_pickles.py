"""What a pickle would call, against what pickle itself looks up when it is loaded."""

import argparse
import collections
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.experiments.resnet.pickles import foreign_names


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def looked_up(raw):
    """The names that the unpickler asks for, of what is safe to load here."""
    found = set()

    class Listening(pickle.Unpickler):
        def find_class(self, module, name):
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    Listening(io.BytesIO(raw)).load()
    return sorted(found)


FOREIGN = {
    "args": argparse.Namespace(lr=0.1, names=["a", "b"]),
    "best": np.float64(91.5),
    "counts": [np.arange(3), np.int64(3)],
    "again": [argparse.Namespace, argparse.Namespace()],
    "text": "os system",
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_names_are_those_that_pickle_looks_up(protocol):
    raw = pickle.dumps(FOREIGN, protocol)
    expected = [name for name in looked_up(raw) if name != "_codecs.encode"]
    assert "argparse.Namespace" in expected
    assert foreign_names(raw) == expected


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}], ids=str)
def test_files_of_torch_save_are_read(options):
    raw = saved(FOREIGN | {"model": nn.Linear(2, 2).state_dict()}, **options)
    assert foreign_names(raw) == looked_up(pickle.dumps(FOREIGN, 4))


@pytest.mark.parametrize("new", [True, False])
def test_a_whole_network_is_named(new):
    found = foreign_names(saved(nn.Sequential(nn.Linear(2, 2)), _use_new_zipfile_serialization=new))
    assert {"torch.nn.modules.container.Sequential", "torch.nn.modules.linear.Linear"} <= set(found)


@pytest.mark.parametrize("new", [True, False])
def test_nothing_is_foreign_in_what_torch_reads_as_plain(new):
    """Of every kind of tensor, and the containers that torch takes for harmless."""
    dtypes = (
        torch.float16,
        torch.bfloat16,
        torch.float64,
        torch.uint8,
        torch.int8,
        torch.int64,
        torch.bool,
        torch.complex64,
        *([torch.float8_e4m3fn, torch.uint16] if new else []),
    )
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter], amsgrad=True)
    parameter.sum().backward()
    optimizer.step()
    content = {
        "tensors": [torch.zeros(2, dtype=dtype) for dtype in dtypes],
        "dtypes": list(dtypes),
        "size": torch.Size([1]),
        "device": torch.device("cpu"),
        "parameter": parameter,
        "optimizer": optimizer.state_dict(),
        "ordered": collections.OrderedDict(a=1),
        "counter": collections.Counter("ab"),
        "set": {1},
        "sparse": torch.eye(2).to_sparse(),
        "layout": torch.strided,
        "bytes": bytearray(b"x"),
    }
    raw = saved(content, _use_new_zipfile_serialization=new)
    torch.load(io.BytesIO(raw), weights_only=True)
    assert foreign_names(raw) == []


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x80\x04", b"cos\n", b"\x80\x04\x93.", bytes(100), b"c\n\n."])
def test_what_is_no_pickle_has_no_names(raw):
    assert foreign_names(raw) in ([], ["."], [""])


def test_an_archive_without_a_pickle_has_no_names():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"cos\nsystem\n.")
    assert foreign_names(buffer.getvalue()) == []


def test_what_comes_before_the_damage_is_named():
    raw = pickle.dumps(FOREIGN, 2)
    assert foreign_names(raw[:-20])[0] == "argparse.Namespace"
