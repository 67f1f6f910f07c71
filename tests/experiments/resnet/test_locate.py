"""What may be given as weights: a path, a registered version, or nothing but `auto`."""

from pathlib import Path

import pytest
import safetensors.torch
from support.weights import assert_same_logits, refusal, small_resnet

from pipelines.experiments.resnet.find import find


def test_nothing_there_names_what_may_be_given(data_dir):
    for given in ("nothing.pt", "", "a\0b", "x" * 300):
        line = refusal("resnet18", given, data_dir)
        assert line.startswith((f"weights={given}: there is no such file", f"{given} cannot be read"))
    assert "known are auto, huyvnphan, edadaltocg, akamaster, chenyaofo, models:/name@alias, and any file" in refusal(
        "resnet18", "no.pt", data_dir
    )


@pytest.fixture
def registry(put, small):
    """A registry that holds one version, and `asked` for others too."""
    path = put("registry/weights.safetensors", safetensors.torch.save(small_resnet("resnet20", "B").state_dict()))
    recipe = {"stem": "plain", "mean": [0.1, 0.2, 0.3], "deviation": [0.4, 0.5, 0.6]}
    asked = []

    def fetch_champion(name, alias):
        asked.append((name, alias))
        return (Path(path), recipe) if (name, alias) == ("cifar10-resnet20", "champion") else None

    fetch_champion.asked = asked
    return fetch_champion


def test_a_registered_version_comes_with_its_recipe(registry, data_dir):
    uri = "models:/cifar10-resnet20@champion"
    for given in (uri, "auto"):
        found = find("resnet20", given, data_dir, fetch_champion=registry)
        assert_same_logits(small_resnet("resnet20", "B"), found, "resnet20")
        assert (found.origin, found.mean, found.deviation) == (uri, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    told = find("resnet20", uri, data_dir, normalisation="half", fetch_champion=registry)
    assert told.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("given", ["models:/x@champion", "models:/cifar10-resnet20@best"])
def test_a_version_that_is_not_there_is_refused(registry, data_dir, given):
    assert refusal("resnet20", given, data_dir, fetch_champion=registry).startswith(f"{given}: no such model")
    assert refusal("resnet20", given, data_dir).startswith(f"{given}: no such model")


@pytest.mark.parametrize("given", ["models:/cifar10-resnet20", "models:/a/3", "models:", "models:/a@b@c"])
def test_another_way_to_name_a_version_is_refused(registry, data_dir, given):
    line = refusal("resnet20", given, data_dir, fetch_champion=registry)
    assert line.startswith(f"weights={given}: give models:/name@alias")
    assert registry.asked == []


def test_auto_on_another_data_set_is_the_registry_or_nothing(registry, put, data_dir, small):
    put("data/weights/resnet20.pt", small)
    line = refusal("resnet20", "auto", data_dir, fetch_champion=registry, dataset="sample")
    assert line.startswith("weights=auto: no registered sample-resnet20; train one")
    assert registry.asked == [("sample-resnet20", "champion")]


def test_auto_takes_what_lies_in_the_data_folder(put, data_dir, small):
    path = put("data/weights/resnet20.pt", small)
    assert find("resnet20", "auto", data_dir, fetch_champion=lambda *name: None).origin == path
