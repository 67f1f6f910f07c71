"""State dicts of whatever naming, wrapping and format, and what is no state dict of the model."""

import zipfile

import pytest
import safetensors.torch
import torch
from support.weights import (
    TOLD,
    assert_same_logits,
    prefixed,
    refusal,
    small_resnet,
    torchvision_resnet,
    uncounted,
    used,
)
from torch import nn

from nnmodels.resnet import resnet
from pipelines.experiments.resnet.find import find


@pytest.mark.parametrize("stem", ["pool", "plain"])
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
@pytest.mark.medium
def test_torchvision_and_timm_names_give_the_same_logits(put, data_dir, name, stem):
    model = torchvision_resnet(name, stem)
    found = find(name, put("weights.pt", model.state_dict()), data_dir, stem, "cifar10")
    assert_same_logits(model, found, name)
    assert (found.stem, found.dialect, found.published) == (stem, "torchvision", None)
    assert (found.mean, found.deviation) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
@pytest.mark.medium
def test_a_wrapped_and_prefixed_checkpoint_gives_the_same_logits(put, data_dir, name):
    model = torchvision_resnet(name, "pool")
    checkpoint = {"epoch": 3, "best_prec1": 91.5, "state_dict": prefixed(uncounted(model.state_dict()))}
    found = find(name, put("model_best.pth.tar", checkpoint), data_dir, **TOLD)
    assert_same_logits(model, found, name)
    assert found.dialect == "torchvision, module., state_dict"


@pytest.mark.parametrize("name", ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"])
@pytest.mark.parametrize(
    ("shortcut", "dialect", "mean", "deviation"),
    [
        ("A", "akamaster", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("B", "chenyaofo", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ],
)
@pytest.mark.medium
def test_the_small_family_needs_to_be_told_nothing(put, data_dir, name, shortcut, dialect, mean, deviation):
    model = small_resnet(name, shortcut)
    found = find(name, put("weights.th", model.state_dict()), data_dir)
    assert_same_logits(model, found, name)
    assert (found.shortcut, found.dialect) == (shortcut, dialect)
    assert (found.mean, found.deviation) == (mean, deviation)


def test_a_state_dict_of_the_registry_is_read_again(tmp_path, data_dir):
    ours = used(resnet("resnet32", shortcut="A"))
    safetensors.torch.save_file(ours.state_dict(), tmp_path / "weights.safetensors")
    found = find("resnet32", str(tmp_path / "weights.safetensors"), data_dir)
    assert_same_logits(ours, found, "resnet32")
    assert (found.shortcut, found.dialect) == ("A", "torchvision")


@pytest.fixture(scope="module")
def beside():
    """What people save beside a state dict; after a step the optimizer has tensors by name as well."""
    model = nn.Linear(4, 10)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    criterion = nn.CrossEntropyLoss(weight=torch.ones(10))
    return {
        "epoch": 7,
        "arch": "resnet20",
        "acc": 91.5,
        "best": True,
        "history": [1.0, 0.5],
        "optimizer": optimizer.state_dict(),
        "criterion": criterion.state_dict(),
        "class_weights": {"cat": torch.ones(1)},
        "rng": torch.get_rng_state(),
    }


KEYS = ("net", "model", "model_state_dict", "state_dict", "weights", "params", "network", "trainer.state.net", "my key")


@pytest.mark.parametrize("ddp", [False, True])
@pytest.mark.parametrize("key", KEYS)
def test_a_state_dict_is_found_at_any_key(put, data_dir, small, beside, key, ddp):
    checkpoint = prefixed(small) if ddp else small
    for level in reversed(key.split(".")):
        checkpoint = {level: checkpoint}
    found = find("resnet20", put("a.pt", beside | checkpoint), data_dir)
    assert torch.equal(found.state["fc.bias"], small["linear.bias"])
    assert found.dialect == ", ".join(["akamaster", *(["module."] if ddp else []), key])


PREFIXES = (
    ("_orig_mod.",),
    ("module.", "_orig_mod."),
    ("_orig_mod.", "module."),
    ("module.",),
    ("model.",),
    ("backbone.",),
    ("net.", "module."),
    ("model.", "_orig_mod.", "backbone."),
    ("a.", "b.", "c."),
)


@pytest.mark.parametrize("prefixes", PREFIXES, ids="".join)
def test_prefixes_are_stripped_in_any_order_and_number(put, data_dir, small, prefixes):
    state = {"".join(prefixes) + key: value for key, value in small.items()}
    found = find("resnet20", put("a.pt", state), data_dir)
    assert torch.equal(found.state["fc.bias"], small["linear.bias"])
    naming, *said = found.dialect.split(", ")
    assert naming == "akamaster"
    assert sorted(said) == sorted(prefixes)


def test_wrappers_within_the_names_are_stripped(put, data_dir, small):
    """torch.compile or FSDP of a part of a network puts its name in the middle."""
    names = {key: key.replace("layer1.", "layer1._orig_mod.").replace(".0.conv", ".0.module.conv") for key in small}
    found = find("resnet20", put("a.pt", {names[key]: value for key, value in small.items()}), data_dir)
    assert torch.equal(found.state["layer1.0.conv1.weight"], small["layer1.0.conv1.weight"])
    assert found.dialect == "akamaster, _orig_mod., module."


def test_what_torch_itself_wraps_is_read(put, data_dir, small):
    model = resnet("resnet20", shortcut="A")
    averaged = torch.optim.swa_utils.AveragedModel(nn.DataParallel(model))
    averaged.update_parameters(nn.DataParallel(model))
    found = find("resnet20", put("a.pt", {"model": averaged.state_dict()}), data_dir)
    assert torch.equal(found.state["fc.bias"], model.fc.bias)
    assert found.dialect == "torchvision, n_averaged, module., model"


def test_names_that_become_one_are_refused(put, data_dir, small):
    state = small | {"module.conv1.weight": small["conv1.weight"]}
    assert "several tensors have the same name" in refusal("resnet20", put("a.pt", state), data_dir)


def changed(state):
    return {key: value + 1 if value.is_floating_point() else value for key, value in state.items()}


@pytest.mark.parametrize("average", ["state_dict_ema", "ema", "model_ema", "ema_state_dict", "swa", "averaged_model"])
def test_the_trained_weights_are_taken_before_their_average_and_it_is_said(put, data_dir, small, average):
    path = put("a.pt", {average: changed(small), "state_dict": small})
    found = find("resnet20", path, data_dir)
    assert torch.equal(found.state["fc.bias"], small["linear.bias"])
    (note,) = found.notes
    assert note == f"{path} holds {average}, state_dict: state_dict is taken, give weights_key= for {average}"
    assert found.dialect == "akamaster, state_dict"
    found = find("resnet20", path, data_dir, key=average)
    assert torch.equal(found.state["fc.bias"], small["linear.bias"] + 1)
    assert (found.dialect, found.notes) == (f"akamaster, {average}", ())


def test_an_average_alone_is_read(put, data_dir, small):
    found = find("resnet20", put("a.pt", {"state_dict_ema": small, "epoch": 3}), data_dir)
    assert (found.dialect, found.notes) == ("akamaster, state_dict_ema", ())


def test_of_several_trained_ones_the_user_takes_one(put, data_dir, small):
    path = put("a.pt", {"student": small, "best": {"model": changed(small)}, "epoch": 3})
    line = refusal("resnet20", path, data_dir)
    assert line == f"{path} holds several state dicts, student, best.model; give weights_key= one of them"
    found = find("resnet20", path, data_dir, key="best.model")
    assert torch.equal(found.state["fc.bias"], small["linear.bias"] + 1)


def test_a_key_that_is_not_there_is_refused(put, data_dir, small):
    path = put("a.pt", {"model": small})
    line = refusal("resnet20", path, data_dir, key="ema")
    assert line.startswith(f"weights_key=ema: {path} holds tensors by name under model; give one")
    path = put("b.pt", small)
    assert refusal("resnet20", path, data_dir, key="ema").startswith(f"weights_key=ema: {path} has no keys")


def test_a_file_that_holds_itself_is_read_in_time(put, data_dir, small):
    loop = {}
    for number in range(300):
        loop[f"key {number}"] = loop
    found = find("resnet20", put("a.pt", loop | {"net": small}), data_dir)
    assert found.dialect == "akamaster, net"


@pytest.mark.parametrize("legacy", [False, True])
def test_both_formats_of_torch_save_are_read(put, data_dir, small, legacy):
    path = put("a.th", {"state_dict": prefixed(small)}, _use_new_zipfile_serialization=not legacy)
    assert zipfile.is_zipfile(path) is not legacy
    found = find("resnet20", path, data_dir)
    assert torch.equal(found.state["fc.bias"], small["linear.bias"])


def test_weights_come_as_float32_whatever_they_were_saved_in(put, data_dir, small):
    halved = {key: value.half() if value.is_floating_point() else value for key, value in small.items()}
    found = find("resnet20", put("a.th", halved), data_dir)
    assert found.state["conv1.weight"].dtype == torch.float32
    assert torch.equal(found.state["conv1.weight"], small["conv1.weight"].half().float())


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("change", "key", "expected", "found"),
    [
        (lambda s: s | {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "conv1.weight", "64x3x3x3", "64x3x7x7"),
        (lambda s: {k: v for k, v in s.items() if k != "bn1.bias"}, "bn1.bias", "64", "none"),
        (lambda s: s | {"fc.weight": torch.zeros(100, 512)}, "fc.weight", "10x512", "100x512"),
        (lambda s: s | {"fc.bias": torch.zeros(10, dtype=torch.int64)}, "fc.bias", "10", "10 of torch.int64"),
        (lambda s: s | {"fc.bias": torch.zeros(10).to_sparse()}, "fc.bias", "10", "torch.sparse_coo"),
        (lambda s: s | {"layer5.0.conv1.weight": torch.zeros(1)}, "layer5.0.conv1.weight", "none", "one"),
    ],
)
def test_the_first_key_that_differs_is_named(put, data_dir, big, change, key, expected, found):
    path = put("a.pt", change(big))
    line = refusal("resnet18", path, data_dir, **TOLD)
    assert line.startswith(f"{path} is no resnet18: {key}: expected {expected}, found {found}; ")


@pytest.mark.parametrize(
    ("model", "key"), [("resnet18", "layer1.2.conv1.weight"), ("resnet50", "layer1.0.conv1.weight")]
)
def test_weights_of_another_architecture_are_refused(put, data_dir, model, key):
    path = put("resnet34.pt", torchvision_resnet("resnet34").state_dict())
    assert f"is no {model}: {key}: " in refusal(model, path, data_dir, **TOLD)


def test_weights_of_another_family_are_refused(put, data_dir, small, big):
    assert "is no resnet18: conv1.weight: " in refusal("resnet18", put("a.th", small), data_dir, **TOLD)
    assert "is no resnet20: conv1.weight: " in refusal("resnet20", put("b.th", big), data_dir)


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(1)], "a list"),
        (torch.zeros(1), "a Tensor"),
        ({"state_dict": {"conv1.weight": 1}}, "state_dict of type dict"),
        ({}, "none"),
        ({"epoch": 3, "losses": {"train": torch.zeros(3)}}, "epoch of type int"),
        ({3: torch.zeros(1)}, "3 of type Tensor"),
        ({"a\nb": "c"}, "a?b of type str"),
    ],
)
def test_what_is_no_state_dict_is_refused(put, data_dir, content, found):
    assert f"found {found}; save model.state_dict()" in refusal("resnet20", put("a.th", content), data_dir)


@pytest.mark.fault(26)
def test_weights_that_are_not_finite_are_refused(put, data_dir, small):
    path = put("a.th", small | {"bn1.running_var": torch.full((16,), torch.inf)})
    assert refusal("resnet20", path, data_dir).startswith(f"{path}: bn1.running_var is not finite")
