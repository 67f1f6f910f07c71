"""The option `launcher`: what is refused, in one line, before any run."""

import pytest

from pipelines.launching import launchers

ASKED = ("recurrent", "--dataset", "sample", "--models", "persistence", "--launcher")


@pytest.mark.medium
def test_a_package_that_is_not_installed_is_named_with_its_extra(place, refused, monkeypatch):
    monkeypatch.setattr(launchers, "is_installed", lambda package: False)
    line = refused(place.folder, place.uri, *ASKED, "ray")
    assert line.startswith("error: launcher=ray: ray is not installed: pip install 'nn-experiment-registry[ray]'")
    assert place.runs() == {}


@pytest.mark.medium
def test_ray_chooses_the_gpu(place, refused, monkeypatch):
    monkeypatch.setattr(launchers, "is_installed", lambda package: True)
    monkeypatch.setattr("pipelines.experiments.recurrent.experiment.available_device", lambda device: device)
    line = refused(place.folder, place.uri, *ASKED, "ray", "--device", "cuda:1")
    assert line == "error: device=cuda:1: launcher=ray chooses which GPU a row gets: give --device cuda"
    assert place.runs() == {}


def test_a_folder_by_the_name_of_a_package_is_none(tmp_path, monkeypatch):
    (tmp_path / "surely_not_a_package").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert launchers.is_installed("pytest")
    assert not launchers.is_installed("surely_not_a_package")
    assert not launchers.is_installed("surely_not_there")
