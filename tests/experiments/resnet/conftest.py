"""Fixtures of the tests of weights."""

import pytest
from support.weights import saved, small_resnet, source_of, torchvision_resnet

from pipelines.experiments.resnet import published


@pytest.fixture
def put(tmp_path):
    """A function that writes bytes or a state dict to a file, and gives its path as text."""

    def write(name, content, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else saved(content, **options))
        return str(path)

    return write


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture(scope="session")
def small():
    """State dict of a resnet20 in akamaster's names."""
    return small_resnet("resnet20").state_dict()


@pytest.fixture(scope="session")
def big():
    """State dict of a resnet18."""
    return torchvision_resnet("resnet18").state_dict()


@pytest.fixture(scope="session")
def both():
    """The bytes of a ResNet-20 and a ResNet-32, named as in huyvnphan's archive."""
    return {f"{name}.pt": saved(small_resnet(name).state_dict()) for name in ("resnet20", "resnet32")}


@pytest.fixture
def publish(publisher, monkeypatch):
    """A function that puts bytes on the server, as what `somebody` publishes."""

    def put_there(raw, **own):
        row = source_of(raw, "resnet20", **{"url": publisher.url("weights"), "stem": "plain"} | own)
        monkeypatch.setattr(published, "SOURCES", (row,))
        publisher.files["weights"] = raw
        return row

    return put_there
