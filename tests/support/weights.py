"""Files of weights as others make them: networks that are torchvision's, or written here, and how they are saved."""

import hashlib
import io
import zipfile
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from nnmodels.resnet import resnet
from nnmodels.vision import torchvision
from pipelines.errors import UserError
from pipelines.experiments.resnet.find import find
from pipelines.experiments.resnet.sources import Source

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


def archive(path, members):
    """A zip archive of these bytes by name; its path as text."""
    with zipfile.ZipFile(path, "w") as file:
        for name, raw in members.items():
            file.writestr(name, raw)
    return str(path)


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


def kept(folder):
    """Names of the files in a folder but for locks."""
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock")
