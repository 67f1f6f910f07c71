"""The weights of an earlier evaluation, found again."""

from dataclasses import replace

import pytest

from pipelines.errors import UserError
from pipelines.experiments.resnet.experiment import settings_of, surroundings
from pipelines.experiments.resnet.find import find
from pipelines.experiments.resnet.options import ResnetOptions
from pipelines.experiments.resnet.weights import received


@pytest.fixture
def settings(put, small, data_dir):
    path = put("a.th", small)
    weights = find("resnet20", path, data_dir, normalisation="half")
    options = ResnetOptions(models="resnet20", weights=path, normalisation="half")
    return settings_of("resnet20", weights, "sample", options, "cpu", "fp32")


def test_they_are_read_as_they_were(settings, data_dir, tmp_path, small):
    found = received(surroundings(settings, str(data_dir), tmp_path).weights["resnet20"])
    assert (found.sha256, found.mean, found.deviation) == (settings.sha256, settings.mean, settings.deviation)
    assert sum(tensor.numel() for tensor in found.state.values()) >= 269_722


def test_others_in_their_place_are_refused(settings, data_dir, tmp_path):
    with pytest.raises(UserError, match=r"are other weights of resnet20 now: sha256 .* then 000000000000 of "):
        surroundings(replace(settings, sha256="0" * 64), str(data_dir), tmp_path)
