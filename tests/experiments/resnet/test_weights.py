"""Finding, reading and recognising pretrained weights; what they were saved from is torchvision's, or written here."""

import hashlib
import io
import os
import pickle
import re
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from nnmodels.resnet import resnet
from nnmodels.vision import torchvision
from pipelines.errors import UserError
from pipelines.experiments.resnet import state_dicts, weights
from pipelines.experiments.resnet.sources import SOURCES, Source
from pipelines.experiments.resnet.weights import Weights, find, handed_over, received

# sha256sum of akamaster's files.
REAL_DIGESTS = {
    "resnet20-12fca82f.th": "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
    "resnet32-d509ac18.th": "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
    "resnet56-4bfd9763.th": "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
}
TOLD = {"stem": "pool", "normalisation": "half"}


def torchvision_resnet(name, stem="plain", classes=10):
    """torchvision's own, with the stem for small images."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    if stem == "plain":
        model.maxpool = nn.Identity()
    return used(model)


class Block(nn.Module):
    """He et al.'s basic block, with a zero-padded (A) or convolved (B) shortcut where the size changes."""

    def __init__(self, before, after, shortcut):
        super().__init__()
        stride = after // before
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        if stride == 1:
            self.bypass = lambda x: x
        elif shortcut == "A":
            self.bypass = lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, after // 4, after // 4))
        else:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, 2, bias=False), nn.BatchNorm2d(after))
            self.bypass = self.downsample.forward

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.bypass(x))


class SmallResNet(nn.Module):
    """ResNet-20 to 110 as akamaster writes it (option A, `linear`), or chenyaofo (option B, `fc`)."""

    def __init__(self, layers, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for number, (before, after) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
            sizes = [before] + [after] * ((layers - 2) // 6)
            blocks = [Block(*pair, shortcut) for pair in pairwise(sizes)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.last = "linear" if shortcut == "A" else "fc"
        setattr(self, self.last, nn.Linear(64, 10))

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return getattr(self, self.last)(x.mean((2, 3)))


def small_resnet(name, shortcut="A"):
    torch.manual_seed(0)
    return used(SmallResNet(int(name.removeprefix("resnet")), shortcut))


def used(model):
    """`model` as after training: batch norms with statistics of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2)
            module.num_batches_tracked.fill_(7)
    return model.eval()


def prefixed(state):
    return {f"module.{key}": value for key, value in state.items()}


def uncounted(state):
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def saved(state, **options):
    """The bytes that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


@torch.inference_mode()
def assert_same_logits(model, found, name):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    ours = resnet(name, found.stem, found.shortcut)
    ours.load_state_dict(found.state)
    torch.testing.assert_close(ours.eval()(images), model(images), rtol=1e-5, atol=1e-5)


def refusal(*arguments, **options):
    """The one line that `find` refuses with."""
    with pytest.raises(UserError) as error:
        find(*arguments, **options)
    line = str(error.value)
    assert "\n" not in line
    return line


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


@pytest.fixture(scope="module")
def small():
    """State dict of a resnet20 in akamaster's names."""
    return small_resnet("resnet20").state_dict()


@pytest.fixture(scope="module")
def big():
    """State dict of a resnet18."""
    return torchvision_resnet("resnet18").state_dict()


# Dialects.


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


# Several state dicts in one file.


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


def test_the_digest_and_the_origin_are_those_of_the_file(put, data_dir, small):
    path = put("a.th", small)
    found = find("resnet20", path, data_dir)
    assert found.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert found.origin == path


# Stem and normalisation.


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
    assert line.startswith(f"normalisation={given}: give auto, huyvnphan, cifar10, imagenet, half")


def test_another_stem_is_refused(data_dir):
    assert refusal("resnet18", "auto", data_dir, "pooled") == "stem=pooled: give auto, pool or plain"


def source_of(raw, model="resnet18", **own):
    """A row of the catalogue for a file of these bytes."""
    row = Source(
        "somebody",
        model,
        "http://127.0.0.1:9/",
        f"somebody-{model}.pt",
        91.5,
        "pool",
        "huyvnphan",
        "MIT",
        1,
        hashlib.sha256(raw).hexdigest(),
    )
    return replace(row, **own)


@pytest.mark.parametrize("digits", [64, 8])
def test_a_file_of_a_known_source_is_recognised_by_its_digest(put, data_dir, big, monkeypatch, digits):
    raw = saved(big)
    digest = hashlib.sha256(raw).hexdigest()[:digits]
    monkeypatch.setattr(weights, "SOURCES", (source_of(raw, sha256=digest),))
    found = find("resnet18", put("renamed.pt", raw), data_dir)
    assert (found.stem, found.published, found.origin.partition(",")[0]) == ("pool", 91.5, "somebody")
    assert found.deviation == (0.2471, 0.2435, 0.2616)


def test_what_the_user_tells_beats_what_the_source_does(put, data_dir, big, monkeypatch):
    raw = saved(big)
    monkeypatch.setattr(weights, "SOURCES", (source_of(raw),))
    found = find("resnet18", put("renamed.pt", raw), data_dir, "plain", "half")
    assert (found.stem, found.mean) == ("plain", (0.5, 0.5, 0.5))


def test_the_small_family_can_be_told_a_normalisation(put, data_dir, small):
    found = find("resnet20", put("a.th", small), data_dir, "pool", "half")
    assert (found.stem, found.mean) == ("plain", (0.5, 0.5, 0.5))


# The published files.


@pytest.mark.parametrize(
    ("file", "accuracy"),
    [("resnet20-12fca82f.th", 91.73), ("resnet32-d509ac18.th", 92.63), ("resnet56-4bfd9763.th", 93.39)],
)
def test_the_published_files_are_recognised(real_weights, data_dir, file, accuracy):
    model = file.partition("-")[0]
    for given in (real_weights / file, real_weights):
        found = find(model, str(given), data_dir)
        assert found.sha256 == REAL_DIGESTS[file]
        assert found.origin == f"akamaster, {real_weights / file}"
        assert (found.shortcut, found.dialect) == ("A", "akamaster, module., state_dict")
        assert (found.mean, found.published) == ((0.485, 0.456, 0.406), accuracy)


def test_a_flipped_bit_in_a_published_file_is_found(real_weights, put, data_dir):
    raw = bytearray((real_weights / "resnet20-12fca82f.th").read_bytes())
    raw[500_000] ^= 1
    line = refusal("resnet20", put("resnet20-12fca82f.th", bytes(raw)), data_dir)
    assert "expected sha256 12fca82f" in line
    # Under another name nothing tells: the format has no checksum.
    assert find("resnet20", put("resnet20.th", bytes(raw)), data_dir).published is None


# What does not fit.


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


# Files that mean harm, or were harmed.


class Harm:
    """Unpickled without care, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture(params=["zip", "legacy", "wrapped", "pickle"])
def malicious(request, put, small, tmp_path):
    """A file that makes a folder when it is loaded without care, a function that does so, and the folder."""
    harm = Harm(tmp_path / "harmed")
    content = {
        "zip": lambda: saved(small | {"x": harm}),
        "legacy": lambda: saved(small | {"x": harm}, _use_new_zipfile_serialization=False),
        "wrapped": lambda: saved({"state_dict": small, "optimizer": harm}),
        "pickle": lambda: pickle.dumps(harm),
    }[request.param]()
    path = put("resnet20.th", content)
    careless = pickle.loads if request.param == "pickle" else lambda raw: torch.load(path, weights_only=False)
    return SimpleNamespace(path=path, load=lambda: careless(content), folder=harm.folder)


@pytest.mark.fault(19)
def test_a_malicious_file_is_refused_unrun(malicious, data_dir, recwarn):
    line = refusal("resnet20", malicious.path, data_dir)
    assert not recwarn.list
    assert line == (
        f"{malicious.path} holds more than tensors ({os.mkdir.__module__}.mkdir), none of which was run; "
        "save the tensors alone where it was made: torch.save(model.state_dict(), 'weights.pt')"
    )
    assert not malicious.folder.exists()
    malicious.load()
    assert malicious.folder.is_dir(), "it would do no harm anyway"


@pytest.mark.fault(20)
def test_the_environment_cannot_make_the_reader_careless(malicious, data_dir, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert "holds more than tensors" in refusal("resnet20", malicious.path, data_dir)
    assert not malicious.folder.exists()


FORMATS = {
    "zip": saved,
    "legacy": lambda state: saved(state, _use_new_zipfile_serialization=False),
    "safetensors": lambda state: safetensors.torch.save(state),
}


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(put, data_dir, small, written, share):
    raw = FORMATS[written](small)
    path = put("a.th", raw[: int(share * len(raw))])
    assert refusal("resnet20", path, data_dir).startswith(f"{path} is damaged")


def test_a_flipped_bit_is_found_where_the_format_has_checksums(put, data_dir, small):
    raw = bytearray(saved(small))
    at = raw.index(small["linear.weight"].numpy().tobytes())
    raw[at + 100] ^= 1
    line = refusal("resnet20", put("a.th", bytes(raw)), data_dir)
    assert re.search(r"data/\d+ in it has another checksum; it is damaged: fetch it again", line)


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.medium
def test_whatever_is_damaged_it_is_one_line(put, data_dir, small, written):
    raw = FORMATS[written](small)
    random = torch.Generator().manual_seed(0)
    ends = 2000  # bytes at both ends, where the structure is
    refusals = []
    for _ in range(25):
        broken = bytearray(raw)
        at = int(torch.randint(-ends, ends, (), generator=random))
        broken[at] ^= 1 << int(torch.randint(0, 8, (), generator=random))
        try:
            find("resnet20", put("a.th", bytes(broken)), data_dir)
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert "\n" not in "".join(refusals)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"PK\x03\x04", b"\x80\x02.", bytes(100), b"{" * 100])
def test_another_file_is_refused(put, data_dir, content):
    path = put("resnet20.pt", content)
    assert refusal("resnet20", path, data_dir).startswith(f"{path} is damaged")


def test_a_file_larger_than_any_resnet_is_not_read(put, data_dir):
    path = put("a.pt", b"")
    os.truncate(path, (1 << 29) + 1)  # takes no room on the disk
    assert refusal("resnet20", path, data_dir).startswith(f"{path} has more than 512 MiB")


def bomb(path, member, size=1 << 20):
    """A zip archive whose member is a thousand times larger than the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, bytes(size))
    return str(path)


@pytest.mark.fault(25)
@pytest.mark.parametrize("member", ["a/data.pkl", "state_dicts/resnet20.pt"])
def test_a_zip_bomb_is_not_unpacked(tmp_path, data_dir, monkeypatch, member):
    monkeypatch.setattr(state_dicts, "MAX_BYTES", (1 << 20) - 1)
    path = bomb(tmp_path / "a.zip", member)
    assert re.match(rf"{path}\S*( unpacked,)? has more than", refusal("resnet20", path, data_dir))


def test_a_digest_in_the_name_is_compared(put, data_dir, small):
    raw = saved(small)
    digest = hashlib.sha256(raw).hexdigest()
    for good in (digest[:8], digest, "20261122", "c0ffee"):
        find("resnet20", put(f"resnet20-{good}.pt", raw), data_dir)
    path = put("resnet20-c0ffee00.pt", raw)
    line = refusal("resnet20", path, data_dir)
    assert line.startswith(f"{path}: expected sha256 c0ffee00, got {digest}")


def test_nothing_there_names_what_may_be_given(data_dir):
    for given in ("nothing.pt", "", "a\0b", "x" * 300):
        line = refusal("resnet18", given, data_dir)
        assert line.startswith((f"weights={given}: there is no such file", f"{given} cannot be read"))
    assert "models:/name@alias, huyvnphan, edadaltocg, akamaster, chenyaofo" in refusal("resnet18", "no.pt", data_dir)


# Folders and archives.


def test_a_folder_maps_files_to_models_by_their_names(put, data_dir, tmp_path):
    states = {name: small_resnet(name).state_dict() for name in ("resnet20", "resnet32", "resnet56")}
    put("all/resnet20-x.th", states["resnet20"])
    put("all/cifar10_ResNet32.pt", states["resnet32"])
    put("all/resnet56.safetensors", safetensors.torch.save(states["resnet56"]))
    for other in ("README", "resnet20.txt", "resnet20.pt.part", ".resnet20.pt", "resnet200.pt", "xresnet20.pt"):
        put(f"all/{other}", b"")
    (tmp_path / "all" / "resnet20.pt").mkdir()
    for name, state in states.items():
        found = find(name, str(tmp_path / "all"), data_dir)
        assert torch.equal(found.state["conv1.weight"], state["conv1.weight"])
    line = refusal("resnet44", str(tmp_path / "all"), data_dir)
    assert line == f"{tmp_path}/all: no file in it is named after resnet44; name its weights resnet44.pt, or the like"


def test_two_files_for_a_model_are_refused(put, data_dir, tmp_path):
    put("all/resnet20.pt", b"")
    put("all/resnet20-best.pt", b"")
    line = refusal("resnet20", str(tmp_path / "all"), data_dir)
    assert "resnet20-best.pt, resnet20.pt are all named after resnet20" in line


def test_of_two_published_files_the_first_of_the_catalogue_is_taken(put, data_dir, tmp_path, monkeypatch, small):
    raws = {"b": saved(small), "a": saved(prefixed(small))}
    rows = tuple(source_of(raw, "resnet20", name=name, file=f"{name}-resnet20.pt") for name, raw in raws.items())
    monkeypatch.setattr(weights, "SOURCES", rows)
    for row in rows:
        put(f"all/{row.file}", raws[row.name])
    assert find("resnet20", str(tmp_path / "all"), data_dir).origin.startswith("b, ")


@pytest.fixture(scope="module")
def both():
    """The bytes of a ResNet-20 and a ResNet-32, named as in huyvnphan's archive."""
    return {f"{name}.pt": saved(small_resnet(name).state_dict()) for name in ("resnet20", "resnet32")}


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, raw in members.items():
            file.writestr(name, raw)
    return str(path)


@pytest.fixture
def archived(tmp_path, both):
    """Like ``state_dicts.zip`` as published, with what a Mac adds."""
    members = {"state_dicts/vgg11_bn.pt": b"", "__MACOSX/state_dicts/._resnet20.pt": b"?"}
    return archive(tmp_path / "state_dicts.zip", members | {f"state_dicts/{name}": both[name] for name in both})


@pytest.mark.parametrize("name", ["resnet20", "resnet32"])
def test_an_archive_is_read_without_being_unpacked(archived, data_dir, tmp_path, both, name):
    found = find(name, archived, data_dir)
    assert found.sha256 == hashlib.sha256(both[f"{name}.pt"]).hexdigest()
    assert found.origin == f"{archived}/state_dicts/{name}.pt"
    assert [path.name for path in tmp_path.iterdir()] == ["state_dicts.zip"]
    assert find(name, str(tmp_path), data_dir).origin == found.origin
    assert "no file in it is named after resnet44" in refusal("resnet44", archived, data_dir)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_file_without_a_digest_is_known_by_one_beside_it(data_dir, tmp_path, put, big, monkeypatch, unpacked):
    members = {"resnet18.pt": saved(big), "resnet34.pt": b"of which the digest is known"}
    rows = (
        source_of(b"", sha256="", file="state_dicts.zip", member="resnet18.pt"),
        source_of(members["resnet34.pt"], "resnet34", file="state_dicts.zip", member="resnet34.pt"),
    )
    monkeypatch.setattr(weights, "SOURCES", rows)
    if unpacked:
        given = str(Path(put("states/resnet34.pt", members["resnet34.pt"])).parent)
        put("states/resnet18.pt", members["resnet18.pt"])
    else:
        given = archive(tmp_path / "state_dicts.zip", members)
    found = find("resnet18", given, data_dir)
    assert (found.stem, found.published) == ("pool", 91.5)
    monkeypatch.setattr(weights, "SOURCES", (rows[0], replace(rows[1], sha256="0" * 64)))
    assert "stem=pool|plain" in refusal("resnet18", given, data_dir)


def test_a_damaged_member_is_refused(archived, data_dir, both):
    raw = bytearray(Path(archived).read_bytes())
    raw[raw.index(both["resnet32.pt"]) + len(both["resnet32.pt"]) // 2] ^= 1
    Path(archived).write_bytes(raw)
    find("resnet20", archived, data_dir)
    assert refusal("resnet32", archived, data_dir).startswith(f"{archived}/state_dicts/resnet32.pt is damaged")


def test_a_truncated_archive_is_refused(archived, data_dir):
    os.truncate(archived, Path(archived).stat().st_size - 10)
    assert refusal("resnet20", archived, data_dir).startswith(f"{archived} is damaged")


def test_names_in_an_archive_cannot_break_the_line(tmp_path, data_dir):
    path = archive(tmp_path / "a.zip", {"x\n/resnet20\n.pt": b""})
    assert refusal("resnet20", path, data_dir).startswith(f"{path}/x?/resnet20?.pt is damaged")


# The registry.


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


def test_the_champions_stem_is_taken(put, big, data_dir):
    path = Path(put("weights.safetensors", safetensors.torch.save(big)))
    recipe = {"stem": "pool", "mean": [0.5] * 3, "deviation": [0.5] * 3}
    assert find("resnet18", "auto", data_dir, fetch_champion=lambda *name: (path, recipe)).stem == "pool"


@pytest.mark.fault(22)
def test_a_registered_version_is_verified_by_its_digest(put, small, data_dir):
    raw = safetensors.torch.save(small)
    digest = hashlib.sha256(raw).hexdigest()
    plain = {"stem": "plain", "mean": [0.5] * 3, "deviation": [0.5] * 3}

    def found(content, recipe):
        path = Path(put("weights.safetensors", content))
        return find("resnet20", "auto", data_dir, fetch_champion=lambda *name: (path, recipe))

    assert found(raw, plain | {"sha256": digest}).verified is True
    assert found(raw, plain).verified is False, "one that was registered before there were digests"
    flipped = bytearray(raw)
    flipped[-100] ^= 1
    flipped[-200] ^= 1
    assert found(bytes(flipped), plain).verified is False
    with pytest.raises(UserError, match=f"models:/cifar10-resnet20@champion: expected sha256 {digest}, got"):
        found(bytes(flipped), plain | {"sha256": digest})


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


# Downloads.


@pytest.fixture
def published(publisher, monkeypatch):
    """A function that puts bytes on the server, as what `somebody` publishes."""

    def publish(raw, **own):
        row = source_of(raw, "resnet20", **{"url": publisher.url("weights"), "stem": "plain"} | own)
        monkeypatch.setattr(weights, "SOURCES", (row,))
        publisher.files["weights"] = raw
        return row

    return publish


def kept(folder):
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock")


@pytest.mark.parametrize("given", ["somebody", "auto"])
@pytest.mark.parametrize("digits", [64, 8])
def test_a_known_source_is_downloaded_once(publisher, published, data_dir, small, given, digits):
    raw = saved(small)
    published(raw, sha256=hashlib.sha256(raw).hexdigest()[:digits])
    for _ in range(2):
        found = find("resnet20", given, data_dir)
        assert found.origin == f"somebody, {data_dir}/weights/somebody-resnet20.pt"
        assert (found.published, found.deviation) == (91.5, (0.2471, 0.2435, 0.2616))
    assert publisher.asked == [("weights", None)]
    assert kept(data_dir / "weights") == ["somebody-resnet20.pt"]


def test_a_download_is_resumed(publisher, published, data_dir, small, put):
    raw = saved(small)
    published(raw)
    put("data/weights/somebody-resnet20.pt.part", raw[:1000])
    assert find("resnet20", "somebody", data_dir).sha256 == hashlib.sha256(raw).hexdigest()
    assert publisher.asked == [("weights", "bytes=1000-")]


@pytest.mark.fault(22)
@pytest.mark.parametrize("digits", [64, 8])
def test_a_download_of_another_digest_leaves_nothing(published, data_dir, small, digits):
    published(saved(small), sha256="c0ffee00" * (digits // 8))
    assert "expected sha256 c0ffee00" in refusal("resnet20", "somebody", data_dir)
    assert kept(data_dir / "weights") == []


def test_a_download_without_a_digest_that_is_no_weights_leaves_nothing(publisher, published, data_dir, small):
    published(b"<html>try again later</html>", sha256="")
    assert "somebody-resnet20.pt is damaged" in refusal("resnet20", "somebody", data_dir)
    assert kept(data_dir / "weights") == []
    publisher.files["weights"] = saved(small)
    find("resnet20", "somebody", data_dir)


def test_a_member_of_a_downloaded_archive_is_verified(publisher, published, data_dir, both, tmp_path):
    raw = Path(archive(tmp_path / "a.zip", {f"x/{name}": both[name] for name in both})).read_bytes()
    digest = hashlib.sha256(both["resnet20.pt"]).hexdigest()
    row = {"file": "state_dicts.zip", "member": "resnet20.pt"}
    published(raw, **row, sha256="0" * 64)
    line = refusal("resnet20", "auto", data_dir)
    assert f"state_dicts.zip/resnet20.pt: expected sha256 {'0' * 64}, got {digest}" in line
    assert kept(data_dir / "weights") == []
    published(raw, **row, sha256=digest)
    found = find("resnet20", "auto", data_dir)
    assert found.sha256 == digest
    assert found.origin == f"somebody, {data_dir}/weights/state_dicts.zip/resnet20.pt"
    published(raw, **row | {"member": "resnet20.th"})
    assert "no resnet20.th in it" in refusal("resnet20", "somebody", data_dir)
    assert kept(data_dir / "weights") == ["state_dicts.zip"], "what was there before stays"


def test_a_source_that_is_gone_is_one_line_with_the_ways_on(publisher, published, data_dir, small):
    published(saved(small))
    publisher.files.clear()
    line = refusal("resnet20", "auto", data_dir)
    assert "HTTP 404" in line
    assert line.endswith("--dataset cifar10; or give weights=FILE, or weights=somebody")


def test_a_source_without_the_model_says_what_it_has(data_dir):
    line = refusal("resnet18", "akamaster", data_dir)
    assert line.startswith(
        "weights=akamaster: it has no resnet18, only resnet20, resnet32, resnet44, resnet56, resnet110"
    )


# The table of sources.


def test_the_sources_agree_with_what_is_published():
    rows = {(row.name, row.model): row for row in SOURCES}
    assert len(rows) == len(SOURCES)
    # Names and figures as the repositories print them.
    accuracies = {
        "huyvnphan": {"resnet18": 93.07, "resnet34": 93.34, "resnet50": 93.65},
        "edadaltocg": {"resnet18": 94.98, "resnet34": 95.40, "resnet50": 94.65},
        "akamaster": {"resnet20": 91.73, "resnet32": 92.63, "resnet44": 93.10, "resnet56": 93.39, "resnet110": 93.68},
        "chenyaofo": {"resnet20": 92.60, "resnet32": 93.53, "resnet44": 94.01, "resnet56": 94.37},
    }
    assert accuracies == {
        name: {model: row.accuracy for (source, model), row in rows.items() if source == name} for name in accuracies
    }
    assert {name: rows["akamaster", name].file for name in accuracies["akamaster"]} == {
        "resnet20": "resnet20-12fca82f.th",
        "resnet32": "resnet32-d509ac18.th",
        "resnet44": "resnet44-014dd654.th",
        "resnet56": "resnet56-4bfd9763.th",
        "resnet110": "resnet110-1d1ed7c2.th",
    }
    assert {name: rows["chenyaofo", name].file for name in accuracies["chenyaofo"]} == {
        "resnet20": "cifar10_resnet20-4118986f.pt",
        "resnet32": "cifar10_resnet32-ef93fc4d.pt",
        "resnet44": "cifar10_resnet44-2a3cabcb.pt",
        "resnet56": "cifar10_resnet56-187c023a.pt",
    }
    assert all(rows["akamaster", file.partition("-")[0]].sha256 == digest for file, digest in REAL_DIGESTS.items())
    assert rows["edadaltocg", "resnet18"].url == (
        "https://huggingface.co/edadaltocg/resnet18_cifar10/resolve/main/pytorch_model.bin"
    )
    assert {row.stem for row in rows.values() if row.name == "huyvnphan"} == {"pool"}
    assert {row.model for row in rows.values() if not row.sha256} == {"resnet18", "resnet34", "resnet50"}


# On the way from the launch to the process of a row.


def handed(tmp_path):
    state = {"fc.weight": torch.arange(6.0).view(2, 3), "bn.num_batches_tracked": torch.tensor(7)}
    found = Weights(state, "0f" * 32, "somebody", "plain", "A", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 91.7, "torchvision")
    return found, handed_over(found, tmp_path / "handed.safetensors")


def test_a_row_receives_the_weights_that_the_launch_found(tmp_path):
    sent, given = handed(tmp_path)
    assert not given.weights.state, "the tensors lie in the file"
    found = received(pickle.loads(pickle.dumps(given)))
    assert found.state.keys() == sent.state.keys()
    for name, tensor in sent.state.items():
        assert found.state[name].dtype == tensor.dtype
        assert torch.equal(found.state[name], tensor)
    assert replace(found, state={}) == replace(sent, state={})


def test_weights_that_changed_since_the_launch_are_refused(tmp_path):
    _, given = handed(tmp_path)
    raw = bytearray(given.path.read_bytes())
    raw[-1] ^= 1
    given.path.write_bytes(raw)
    with pytest.raises(UserError, match=r"handed\.safetensors is not as this launch wrote it: start anew$"):
        received(given)
