"""Weights that are found, with their digest and origin; of downloads that are none, nothing is left."""

import hashlib
from pathlib import Path

import pytest
from support.weights import kept, refusal, saved

from pipelines.experiments.resnet.find import find


def test_the_digest_and_the_origin_are_those_of_the_file(put, data_dir, small):
    path = put("a.th", small)
    found = find("resnet20", path, data_dir)
    assert found.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert found.origin == path


@pytest.mark.fault(22)
@pytest.mark.parametrize("digits", [64, 8])
def test_a_download_of_another_digest_leaves_nothing(publish, data_dir, small, digits):
    publish(saved(small), sha256="c0ffee00" * (digits // 8))
    assert "expected sha256 c0ffee00" in refusal("resnet20", "somebody", data_dir)
    assert kept(data_dir / "weights") == []


def test_a_download_without_a_digest_that_is_no_weights_leaves_nothing(publisher, publish, data_dir, small):
    publish(b"<html>try again later</html>", sha256="")
    assert "somebody-resnet20.pt is damaged" in refusal("resnet20", "somebody", data_dir)
    assert kept(data_dir / "weights") == []
    publisher.files["weights"] = saved(small)
    find("resnet20", "somebody", data_dir)


def test_a_source_that_is_gone_is_one_line_with_the_ways_on(publisher, publish, data_dir, small):
    publish(saved(small))
    publisher.files.clear()
    line = refusal("resnet20", "auto", data_dir)
    assert "HTTP 404" in line
    assert line.endswith(f"--dataset cifar10 --data-dir {data_dir}; or give weights=FILE, or weights=somebody")
