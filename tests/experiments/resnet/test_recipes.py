"""Stem and normalisation: what the user gives, else what the registry, the source or the names tell."""

from pathlib import Path

import pytest
import safetensors.torch
from support.weights import assert_same_logits, prefixed, refusal, saved, small_resnet, source_of, torchvision_resnet

from pipelines.experiments.resnet import published
from pipelines.experiments.resnet.find import find


def kuangliu(state):
    """The state dict of a network that has its shortcuts and last layer under kuangliu's names."""
    return {key.replace("downsample.", "shortcut.").replace("fc.", "linear."): value for key, value in state.items()}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.medium
def test_kuangliu_names_tell_the_stem_and_normalisation_of_their_program(put, data_dir, name):
    model = torchvision_resnet(name, "plain")
    path = put("ckpt.pth", {"net": prefixed(kuangliu(model.state_dict())), "acc": 95.5, "epoch": 199})
    found = find(name, path, data_dir)
    assert_same_logits(model, found, name)
    assert found.dialect == "kuangliu, module., net"
    assert (found.stem, found.mean) == ("plain", (0.4914, 0.4822, 0.4465))
    assert found.deviation == (0.2023, 0.1994, 0.2010)
    told = find(name, path, data_dir, "pool", "half")
    assert (told.stem, told.mean) == ("pool", (0.5, 0.5, 0.5))


def test_akamaster_shortcuts_that_are_convolved_must_be_told_the_normalisation(put, data_dir):
    model = small_resnet("resnet20", "B")
    path = put("a.th", kuangliu(model.state_dict()))
    assert "normalisation=huyvnphan" in refusal("resnet20", path, data_dir)
    found = find("resnet20", path, data_dir, normalisation="imagenet")
    assert_same_logits(model, found, "resnet20")
    assert (found.shortcut, found.dialect) == ("B", "akamaster")


def test_a_resnet18_of_unknown_source_must_be_told_stem_and_normalisation(put, data_dir, big):
    path = put("a.pt", big)
    for told in ({}, {"stem": "pool"}, {"normalisation": "half"}):
        line = refusal("resnet18", path, data_dir, **told)
        assert all(part in line for part in (path, "stem=pool|plain", "normalisation=huyvnphan|cifar10|imagenet|half"))


def test_a_normalisation_may_be_given_as_six_numbers(put, data_dir, big):
    found = find("resnet18", put("a.pt", big), data_dir, "plain", "0.1, 0.2,0.3 0.4,0.5,0.6")
    assert (found.mean, found.deviation) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("given", ["", "mine", "0.5,0.5,0.5", "0,0,0,1,1,0", "0,0,0,1,1,-1", "0,0,nan,1,1,1"])
def test_another_normalisation_is_refused(data_dir, given):
    line = refusal("resnet18", "auto", data_dir, "pool", given)
    assert line.startswith(f"normalisation={given}: known are auto, huyvnphan, cifar10, imagenet, half")


def test_another_stem_is_refused(data_dir):
    assert refusal("resnet18", "auto", data_dir, "pooled") == "stem=pooled: give auto, pool or plain"


def test_what_the_user_tells_beats_what_the_source_does(put, data_dir, big, monkeypatch):
    raw = saved(big)
    monkeypatch.setattr(published, "SOURCES", (source_of(raw),))
    found = find("resnet18", put("renamed.pt", raw), data_dir, "plain", "half")
    assert (found.stem, found.mean) == ("plain", (0.5, 0.5, 0.5))


def test_the_small_family_can_be_told_a_normalisation(put, data_dir, small):
    found = find("resnet20", put("a.th", small), data_dir, "pool", "half")
    assert (found.stem, found.mean) == ("plain", (0.5, 0.5, 0.5))


def test_the_champions_stem_is_taken(put, big, data_dir):
    path = Path(put("weights.safetensors", safetensors.torch.save(big)))
    recipe = {"stem": "pool", "mean": [0.5] * 3, "deviation": [0.5] * 3}
    assert find("resnet18", "auto", data_dir, fetch_champion=lambda *name: (path, recipe)).stem == "pool"


RECIPE = {"stem": "plain", "mean": [0.1, 0.2, 0.3], "deviation": [0.4, 0.5, 0.6], "sha256": ""}


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (None, "not there"),
        ([], "no recipe"),
        ("plain", "no recipe"),
        (3, "no recipe"),
        ({}, "stem"),
        (RECIPE | {"stem": "pooled"}, "stem"),
        (RECIPE | {"stem": ["pool"]}, "stem"),
        (RECIPE | {"mean": 0.5}, "mean"),
        (RECIPE | {"mean": [0.5, 0.5]}, "mean"),
        (RECIPE | {"mean": ["0.5"] * 3}, "mean"),
        (RECIPE | {"mean": [float("nan")] * 3}, "mean"),
        (RECIPE | {"mean": [10**400] * 3}, "mean"),
        (RECIPE | {"mean": [True] * 3}, "mean"),
        (RECIPE | {"mean": {"0": 1}}, "mean"),
        (RECIPE | {"deviation": [0.5, 0.5, 0.0]}, "deviation"),
        (RECIPE | {"deviation": [0.5, 0.5, -1.0]}, "deviation"),
        (RECIPE | {"deviation": [[0.5]] * 3}, "deviation"),
        (RECIPE | {"sha256": 3}, "sha256"),
        (RECIPE | {"sha256": None}, "sha256"),
        (RECIPE | {"sha256": "12fca82f"}, "sha256"),
    ],
)
def test_a_recipe_that_is_none_is_refused_in_one_line(put, small, data_dir, recipe, named):
    path = Path(put("weights.safetensors", safetensors.torch.save(small)))
    line = refusal("resnet20", "auto", data_dir, fetch_champion=lambda *name: (path, recipe))
    assert line.startswith("models:/cifar10-resnet20@champion: ")
    assert named in line
    assert line.endswith("python -m pipelines pretrain, or give weights=FILE")
    assert "Error" not in line
