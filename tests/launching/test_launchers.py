"""The option `launcher`: what is refused, in one line, before any run."""

import pytest

from pipelines.launching import launchers

ASKED = ("recurrent", "--dataset", "sample", "--models", "persistence", "--launcher")


@pytest.mark.medium
def test_a_package_that_is_not_installed_is_named_with_its_extra(place, refused, monkeypatch):
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    line = refused(place.folder, place.uri, *ASKED, "ray")
    assert line.startswith("error: launcher=ray: ray is not installed: pip install 'nn-experiment-registry[ray]'")
    assert place.runs() == {}


@pytest.mark.medium
def test_ray_chooses_the_gpu(place, refused, monkeypatch):
    monkeypatch.setattr(launchers, "find_spec", lambda name: object())
    monkeypatch.setattr("pipelines.experiments.recurrent.experiment.available_device", lambda device: device)
    line = refused(place.folder, place.uri, *ASKED, "ray", "--device", "cuda:1")
    assert line == "error: device=cuda:1: launcher=ray chooses which GPU a row gets: give --device cuda"
    assert place.runs() == {}
