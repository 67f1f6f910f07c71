"""The residual networks: published counts, the report's equations, published weights, and the import of torchvision."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.images import photographs, settled
from support.place import ROOT
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from nnmodels import resnet as module
from nnmodels import vision
from nnmodels.images import ImageClassifier
from nnmodels.resnet import MODELS, SHORTCUTS, STEMS, WITH_STEM, folded, multiply_adds, resnet
from nnmodels.vision import torchvision

VARIANTS = {
    f"{name}, {option} {value}": (name, {option: value})
    for name in MODELS
    for option, values in [("stem", STEMS) if name in WITH_STEM else ("shortcut", SHORTCUTS)]
    for value in values
}


def variant(label: str) -> nn.Module:
    name, options = VARIANTS[label]
    return resnet(name, **options)


# Counts.

# Parameters in millions as printed: huyvnphan/PyTorch_CIFAR10; He et al. (2016), Table 6, and akamaster's README;
# chenyaofo/pytorch-cifar-models.
MILLIONS = {
    "resnet18, stem pool": "11.174",
    "resnet34, stem pool": "21.282",
    "resnet50, stem pool": "23.521",
    "resnet20, shortcut A": "0.27",
    "resnet32, shortcut A": "0.46",
    "resnet44, shortcut A": "0.66",
    "resnet56, shortcut A": "0.85",
    "resnet110, shortcut A": "1.7",
    "resnet20, shortcut B": "0.27",
    "resnet32, shortcut B": "0.47",
    "resnet44, shortcut B": "0.66",
    "resnet56, shortcut B": "0.86",
}
# Exactly: the counts that implementations of the same networks give.
PARAMETERS = {
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnet20, shortcut A": 269_722,
    "resnet32, shortcut A": 464_154,
    "resnet44, shortcut A": 658_586,
    "resnet56, shortcut A": 853_018,
    "resnet110, shortcut A": 1_727_962,
}
# Multiply-adds in millions as printed: da2so/DA2Lite's model zoo; HRank (Lin et al. 2020), the unpruned networks;
# chenyaofo/pytorch-cifar-models.
MEGA_MULTIPLY_ADDS = {
    "resnet18, stem plain": "0.56e3",
    "resnet34, stem plain": "1.16e3",
    "resnet50, stem plain": "1.30e3",
    "resnet56, shortcut A": "125.49",
    "resnet110, shortcut A": "252.89",
    "resnet20, shortcut B": "40.81",
    "resnet32, shortcut B": "69.12",
    "resnet44, shortcut B": "97.44",
    "resnet56, shortcut B": "125.75",
}


def as_printed(value: float, printed: str) -> str:
    """`value` in millions, with as many digits as `printed`."""
    mantissa, _, exponent = printed.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return f"{value / 1e6 / 10 ** int(exponent or 0):.{decimals}f}" + (f"e{exponent}" if exponent else "")


def documented() -> dict[str, tuple[int, int, int]]:
    """Layers, parameters and multiply-adds of each row of the docstring's table."""
    rows = re.findall(r"^\| (resnet[^|]+?) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", module.__doc__, re.MULTILINE)
    return {label: tuple(int(count.replace(",", "")) for count in counts) for label, *counts in rows}


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_table_has_every_network():
    assert list(documented()) == list(VARIANTS)


@pytest.mark.parametrize("label", VARIANTS)
@pytest.mark.medium
def test_the_table_says_what_the_networks_have(label):
    model = variant(label)
    layers = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]
    assert documented()[label] == (len(layers), count_parameters(model), multiply_adds(model))
    assert len(layers) == int(VARIANTS[label][0].removeprefix("resnet"))


def test_the_table_agrees_with_published_counts():
    table = documented()
    for label, printed in MILLIONS.items():
        assert as_printed(table[label][1], printed) == printed, label
    for label, printed in MEGA_MULTIPLY_ADDS.items():
        assert as_printed(table[label][2], printed) == printed, label
    for label, (_, parameters, _) in table.items():
        exact = PARAMETERS.get(label) or PARAMETERS.get(label.partition(",")[0], parameters)
        assert parameters == exact, label


@pytest.mark.parametrize("name", WITH_STEM)
def test_max_pooling_leaves_a_quarter_of_all_but_stem_and_head(name):
    stem, head = 3 * 3 * 3 * 64 * 32 * 32, (2048 if name == "resnet50" else 512) * 10
    pool, plain = (documented()[f"{name}, stem {stem}"][2] for stem in ("pool", "plain"))
    assert 4 * (pool - stem - head) == plain - stem - head


@pytest.mark.parametrize("name", [name for name in MODELS if name not in WITH_STEM])
def test_projections_are_what_shortcut_b_adds(name):
    (_, *a), (_, *b) = (documented()[f"{name}, shortcut {shortcut}"] for shortcut in "AB")
    # A matrix of inputs x outputs and a scale and a shift of each output, at 16x16 and at 8x8 pixels.
    assert b[0] - a[0] == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert b[1] - a[1] == 16 * 32 * 256 + 32 * 64 * 64


@pytest.mark.parametrize("name", WITH_STEM)
def test_multiply_adds_of_the_imagenet_networks_are_those_torchvision_publishes(name):
    published = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta["_ops"]
    model = getattr(torchvision.models, name)()
    assert round(multiply_adds(model, (3, 224, 224)) / 1e9, 3) == published


def test_counting_leaves_the_network_as_it_is():
    model = resnet("resnet20").bfloat16()
    assert multiply_adds(model) == 40_551_040
    assert model.training
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("cpu", torch.bfloat16)}


# What the networks are made of.


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # The report's listing: 3, 4, 6 and 3 bottlenecks of 256, 512, 1024 and 2048 channels.
        ("resnet50, stem pool", [(256, 16, 3), (512, 8, 4), (1024, 4, 6), (2048, 2, 3)]),
        ("resnet18, stem plain", [(64, 32, 2), (128, 16, 2), (256, 8, 2), (512, 4, 2)]),
        ("resnet34, stem pool", [(64, 16, 3), (128, 8, 4), (256, 4, 6), (512, 2, 3)]),
        ("resnet32, shortcut A", [(16, 32, 5), (32, 16, 5), (64, 8, 5)]),
        ("resnet110, shortcut B", [(16, 32, 18), (32, 16, 18), (64, 8, 18)]),
    ],
)
def test_channels_sides_and_blocks_of_each_stage(label, expected):
    model, seen = variant(label).eval(), []
    for stage in range(1, len(expected) + 1):
        model.get_submodule(f"layer{stage}").register_forward_hook(
            lambda stage, _, output: seen.append((output.shape[1], output.shape[2], len(stage)))
        )
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert seen == expected


@pytest.mark.parametrize("name", WITH_STEM)
def test_the_stem_replaces_torchvisions_and_leaves_no_trace_in_the_keys(name):
    theirs = getattr(torchvision.models, name)().state_dict()
    pool, plain = (resnet(name, stem) for stem in ("pool", "plain"))
    assert list(pool.state_dict()) == list(plain.state_dict()) == list(theirs)
    differing = {key for key, value in pool.state_dict().items() if value.shape != theirs[key].shape}
    assert differing == {"conv1.weight", "fc.weight", "fc.bias"}
    assert type(pool) is torchvision.models.ResNet
    x = torch.randn(1, 3, 32, 32)
    for model in (pool, plain):
        assert torch.equal(model.conv1(x), F.conv2d(x, model.conv1.weight, stride=1, padding=1))
    y = torch.randn(1, 64, 32, 32)
    assert torch.equal(pool.maxpool(y), F.max_pool2d(y, 3, stride=2, padding=1))
    assert torch.equal(plain.maxpool(y), y)


def test_keys_of_the_small_networks():
    normalisation = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = ["conv1.weight", *(f"bn1.{part}" for part in normalisation)]
    for block in [f"layer{stage}.{number}" for stage in (1, 2, 3) for number in (0, 1, 2)]:
        for number in (1, 2):
            expected += [f"{block}.conv{number}.weight", *(f"{block}.bn{number}.{part}" for part in normalisation)]
        if block in ("layer2.0", "layer3.0"):
            expected += [f"{block}.downsample.0.weight", *(f"{block}.downsample.1.{part}" for part in normalisation)]
    expected += ["fc.weight", "fc.bias"]
    assert list(resnet("resnet20", shortcut="B").state_dict()) == expected
    without = [key for key in expected if "downsample" not in key]
    assert list(resnet("resnet20", shortcut="A").state_dict()) == without


@pytest.mark.parametrize(
    "label", ["resnet18, stem plain", "resnet50, stem pool", "resnet20, shortcut A", "resnet56, shortcut B"]
)
def test_convolutions_start_as_he_et_al_say(label):
    """Normal, of variance 2 / (kernel² · outputs)."""
    torch.manual_seed(0)
    for name, part in variant(label).named_modules():
        if isinstance(part, nn.Conv2d) and part.weight.numel() > 1000:
            variance = 2 / (part.kernel_size[0] ** 2 * part.out_channels)
            assert part.weight.var().item() == pytest.approx(variance, rel=0.2), name


def test_the_number_of_classes():
    for name in ("resnet18", "resnet20"):
        assert resnet(name, classes=7).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resnet36",), r"no model 'resnet36': choose one of resnet18, resnet34, resnet50, resnet20, "),
        (("resnet18", "none"), "no stem 'none': choose one of pool, plain"),
        (("resnet20", "pool", "C"), "no shortcut 'C': choose one of A, B"),
    ],
)
def test_what_is_unknown_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        resnet(*arguments)


# The report's equations, section 1.2.1, on the blocks in use.


def restless(model: nn.Module) -> nn.Module:
    """`model` in double precision, with scales γ and shifts β that are not 1 and 0."""
    torch.manual_seed(1)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    return model.double()


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """The report's equations, mended.

    Its variance lacks the 1/m, its normalised x̂ has x̂ in the numerator, and y = γ x̂ + β is missing.
    """
    m = x.shape[0] * x.shape[2] * x.shape[3]
    mu = x.sum((0, 2, 3), keepdim=True) / m
    variance = ((x - mu) ** 2).sum((0, 2, 3), keepdim=True) / m
    x_hat = (x - mu) / torch.sqrt(variance + 1e-5)
    return norm.weight.view(1, -1, 1, 1) * x_hat + norm.bias.view(1, -1, 1, 1)


def convolved(x: Tensor, convolution: nn.Conv2d, kernel: int, stride: int) -> Tensor:
    assert convolution.weight.shape[2:] == (kernel, kernel)
    return F.conv2d(x, convolution.weight, stride=stride, padding=kernel // 2)


@pytest.mark.parametrize("label", ["resnet18, stem pool", "resnet20, shortcut A"])
def test_batch_normalisation(label):
    norm = restless(variant(label)).bn1
    x = torch.randn(4, norm.num_features, 5, 5, dtype=torch.float64) + 3
    x[:, 0] *= 1e-3  # a variance smaller than epsilon
    y = norm(x)
    torch.testing.assert_close(y, normalised(x, norm), rtol=1e-12, atol=1e-12)
    # x̂ has variance σ² / (σ² + ε), almost 1; as the report prints σ², it would have a hundredth, m being 4 · 5 · 5.
    x_hat = (y - norm.bias.view(1, -1, 1, 1)) / norm.weight.view(1, -1, 1, 1)
    variance, of_x_hat = (each.var((0, 2, 3), correction=0) for each in (x, x_hat))
    torch.testing.assert_close(of_x_hat, variance / (variance + 1e-5), rtol=1e-9, atol=0)
    assert of_x_hat[0] < 0.2
    assert of_x_hat[1:].min() > 0.9999


# Network, block, kernels of its convolutions, which of them has the block's stride, the stride, and its shortcut.
BASIC, BOTTLENECK = (3, 3), (1, 3, 1)  # the report has the bottleneck's last convolution as 3x3
EQUATIONS = [
    ("resnet18, stem pool", "layer1.0", BASIC, 0, 1, "identity"),
    ("resnet34, stem plain", "layer3.0", BASIC, 0, 2, "projection"),
    ("resnet50, stem pool", "layer1.0", BOTTLENECK, 1, 1, "projection"),
    ("resnet50, stem pool", "layer2.0", BOTTLENECK, 1, 2, "projection"),
    ("resnet50, stem pool", "layer2.3", BOTTLENECK, 1, 1, "identity"),
    ("resnet20, shortcut A", "layer1.2", BASIC, 0, 1, "identity"),
    ("resnet20, shortcut A", "layer2.0", BASIC, 0, 2, "padding"),
    ("resnet56, shortcut A", "layer3.0", BASIC, 0, 2, "padding"),
    ("resnet20, shortcut B", "layer3.0", BASIC, 0, 2, "projection"),
]


@pytest.mark.parametrize(("label", "path", "kernels", "strided", "stride", "shortcut"), EQUATIONS)
def test_a_block_computes_the_residual_equations(label, path, kernels, strided, stride, shortcut):
    """s = f(x) + x, Output = ReLU(s), where f is convolutions with batch normalisation, and ReLU between them."""
    block = restless(variant(label)).get_submodule(path)
    x = torch.randn(3, block.conv1.in_channels, 6, 6, dtype=torch.float64)

    f = x
    for number, kernel in enumerate(kernels):
        convolution, norm = (getattr(block, f"{kind}{number + 1}") for kind in ("conv", "bn"))
        f = normalised(convolved(f, convolution, kernel, stride if number == strided else 1), norm)
        if number < len(kernels) - 1:
            f = f.clamp(min=0)

    if shortcut == "projection":
        convolution, norm = block.downsample
        carried = normalised(convolved(x, convolution, 1, stride), norm)
    elif shortcut == "padding":
        before = f.shape[1] // 4
        carried = torch.zeros_like(f)
        carried[:, before : 3 * before] = x[:, :, ::2, ::2]
    else:
        carried = x

    output = block(x)
    assert not hasattr(block, f"conv{len(kernels) + 1}")
    torch.testing.assert_close(output, (f + carried).clamp(min=0), rtol=1e-9, atol=1e-9)
    assert (output == 0).any()


# Folding.


@pytest.mark.parametrize("label", [label for label in VARIANTS if "plain" not in label or "resnet18" in label])
@pytest.mark.medium
def test_folding_changes_nothing_but_the_number_of_layers(label):
    images = photographs(16)
    model = settled(variant(label), images)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    compact = folded(model)

    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not compact.training
    assert not any(isinstance(part, nn.BatchNorm2d) for part in compact.modules())
    with torch.no_grad():
        expected, got = model.eval()(images), compact(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)
    assert torch.equal(got.argmax(1), expected.argmax(1))


def test_a_network_with_its_normalisation_folds_too():
    pixels = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = settled(ImageClassifier(resnet("resnet20"), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), pixels)
    compact = folded(model)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in compact.modules())
    with torch.no_grad():
        torch.testing.assert_close(compact(pixels), model.eval()(pixels), rtol=0, atol=1e-4)


# Published weights.


def he_et_al(weights: dict[str, Tensor], n: int, x: Tensor) -> Tensor:
    """Logits by He et al. (2016), section 4.2, with shortcuts "A", of weights under akamaster's names."""

    def layer(x: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        x = F.conv2d(x, weights[f"module.{convolution}.weight"], stride=stride, padding=1)
        mean, variance, scale, shift = (
            weights[f"module.{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, scale, shift, training=False, eps=1e-5)

    x = F.relu(layer(x, "conv1", "bn1"))
    for stage in (1, 2, 3):
        for number in range(n):
            block, narrowing = f"layer{stage}.{number}", stage > 1 and number == 0
            inner = F.relu(layer(x, f"{block}.conv1", f"{block}.bn1", stride=2 if narrowing else 1))
            if narrowing:
                zeros = torch.zeros_like(x[:, ::2, ::2, ::2])
                x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
            x = F.relu(layer(inner, f"{block}.conv2", f"{block}.bn2") + x)
    return x.mean((2, 3)) @ weights["module.linear.weight"].T + weights["module.linear.bias"]


@pytest.mark.parametrize(("depth", "n"), [(20, 3), (32, 5), (56, 9)])
def test_published_weights_give_the_papers_logits_folded_or_not(real_weights, depth, n):
    file = next(real_weights.glob(f"resnet{depth}-*.th"))
    weights = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    model = resnet(f"resnet{depth}").eval()
    renamed = {key.removeprefix("module.").replace("linear", "fc"): value for key, value in weights.items()}
    model.load_state_dict(renamed)

    images = photographs(64)
    with torch.no_grad():
        expected, logits, compact = he_et_al(weights, n, images), model(images), folded(model)(images)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(compact, expected, rtol=0, atol=1e-4)
    assert torch.equal(logits.argmax(1), expected.argmax(1))
    assert torch.equal(compact.argmax(1), expected.argmax(1))
    assert len(logits.argmax(1).unique()) > 3


# torchvision.


def run(code: str, *path: Path) -> str:
    """What `code` prints in a fresh interpreter that takes every warning for an error."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.medium
def test_torchvision_imports_in_a_fresh_interpreter():
    code = """
import torch
from nnmodels.vision import torchvision, transforms
import torchvision as again
from nnmodels.resnet import resnet
images = torch.arange(2 * 3 * 32 * 32).float().view(2, 3, 32, 32)
print(again is torchvision, resnet("resnet18").eval()(images).shape)
print(torch.equal(transforms.RandomHorizontalFlip(p=1)(images), images.flip(-1)))
"""
    assert run(code) == "True torch.Size([2, 10])\nTrue\n"


STAND_IN = """
import torch
from torchvision import extension
for name in {names}:
    torch.library.register_fake("torchvision::" + name, lambda: None, allow_override={override})
{last}
"""


def write_stand_in(folder: Path, names: list[str], loads: bool = False, override: bool = True, last: str = "") -> None:
    """A package torchvision that gives operators of these names fake implementations when imported."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(STAND_IN.format(names=names, override=override, last=last))
    (package / "extension.py").write_text(f"import torchvision\n\ndef _has_ops():\n    return {loads}\n")


@pytest.mark.medium
def test_older_torch_that_refuses_a_second_fake_implementation(tmp_path):
    write_stand_in(tmp_path, ["nms", "qnms"], override=False, last="transforms = None")
    (tmp_path / "torchvision" / "transforms.py").write_text("v2 = 'version 2'")
    assert run("from nnmodels.vision import transforms; print(transforms)", tmp_path) == "version 2\n"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A function that puts a stand-in (see `write_stand_in`) in the place of torchvision until the test ends."""

    def loaded() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] == "torchvision"]

    def put(*args, **kwargs):
        write_stand_in(tmp_path, *args, **kwargs)
        monkeypatch.syspath_prepend(tmp_path)
        for name in loaded():
            monkeypatch.delitem(sys.modules, name)

    yield put
    for name in loaded():
        del sys.modules[name]


def test_operators_of_later_versions_are_defined_too(stand_in):
    stand_in(["of_a_later_version", "and_another"])
    vision.make_importable()
    assert sys.modules["torchvision"] is not torchvision
    # Nothing is left of the packages whose import failed.
    assert sys.modules["torchvision.extension"].torchvision is sys.modules["torchvision"]
    assert hasattr(torch.ops.torchvision, "of_a_later_version")
    assert hasattr(torch.ops.torchvision, "and_another")


def test_an_installation_whose_operators_load_is_left_alone(stand_in, monkeypatch):
    stand_in([], loads=True)
    monkeypatch.setattr(torch.library, "define", None)
    vision.make_importable()


@pytest.mark.parametrize(
    ("names", "loads", "last", "words"),
    [
        # Loaded, and an operator is missing all the same: torchvision is broken otherwise.
        (["missing_though_loaded"], True, "", "operator torchvision::missing_though_loaded does not exist"),
        ([], False, "raise RuntimeError('Detected that PyTorch and torchvision')", "Detected that PyTorch"),
        # Defining it did not help.
        (["helpless"], False, "raise RuntimeError('operator torchvision::helpless does not exist')", "operator .*less"),
        ([], False, "raise RuntimeError('No operator torchvision::x does not exist')", "No operator"),
    ],
)
def test_other_errors_are_passed_on(stand_in, names, loads, last, words):
    stand_in(names, loads, last=last)
    with pytest.raises(RuntimeError, match=f"^{words}"):
        vision.make_importable()
