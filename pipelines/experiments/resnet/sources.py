"""Published weights of ResNets, and the normalisations they were trained with, as plain data; torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.data.protocol import HALF
from pipelines.experiments.resnet.rows import OPTION_A, OPTION_B, PLAIN, POOL


@dataclass(frozen=True)
class Normalisation:
    """Mean and std of the red, green and blue pixels, in units of 0-1, by which a network's input is normalised."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


_CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)


NORMALISATIONS: Mapping[str, Normalisation] = MappingProxyType(
    {
        # The std of all pixels of the training part.
        "huyvnphan": Normalisation(_CIFAR10_MEAN, (0.2471, 0.2435, 0.2616)),
        # The mean over the images of each one's std: smaller, and as widely used.
        "cifar10": Normalisation(_CIFAR10_MEAN, (0.2023, 0.1994, 0.2010)),
        "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "half": Normalisation(HALF, HALF),
    }
)


# Normalisations of weights of He et al.'s form: akamaster's have option A shortcuts, chenyaofo's option B.
SHORTCUT_NORMALISATIONS: Mapping[str, str] = MappingProxyType({OPTION_A: "imagenet", OPTION_B: "cifar10"})


@dataclass(frozen=True)
class Source:
    """Published weights of one model.

    Attributes:
        name: publisher.
        model: key of RESNETS.
        url: address of the download.
        file: file name of the download.
        accuracy: published accuracy on the test part, in percent.
        stem: "pool" or "plain".
        normalisation: key of NORMALISATIONS.
        licence: SPDX identifier.
        megabytes: approximate size of the download.
        sha256: hexadecimal; only the first digits if no more is published, empty if nothing is.
        member: file name of the weights within `file` if that is an archive, with `sha256` being that of the member.
    """

    name: str
    model: str
    url: str
    file: str
    accuracy: float
    stem: str
    normalisation: str
    licence: str
    megabytes: int
    sha256: str = ""
    member: str = ""


_HUYVNPHAN = "https://rutgers.box.com/shared/static/gkw08ecs797j2et1ksmbg1w5t3idf5r5.zip"  # all of its models


_EDADALTOCG = "https://huggingface.co/edadaltocg"


_AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/d5489e8995e81e91ce6b1d69dcc98ad579b0b153"


_CHENYAOFO = "https://github.com/chenyaofo/pytorch-cifar-models/releases/download/resnet"


_MEGABYTES = {  # four bytes a parameter
    "resnet18": 45,
    "resnet34": 85,
    "resnet50": 94,
    "resnet20": 1,
    "resnet32": 2,
    "resnet44": 3,
    "resnet56": 3,
    "resnet110": 7,
}


def _huyvnphan(model: str, accuracy: float, sha256: str = "") -> Source:
    return Source(
        "huyvnphan",
        model,
        _HUYVNPHAN,
        "state_dicts.zip",
        accuracy,
        POOL,
        "huyvnphan",
        "MIT",
        933,
        sha256,
        f"{model}.pt",
    )


def _edadaltocg(model: str, accuracy: float, sha256: str = "") -> Source:
    url, file = f"{_EDADALTOCG}/{model}_cifar10/resolve/main/pytorch_model.bin", f"edadaltocg-{model}.bin"
    return Source("edadaltocg", model, url, file, accuracy, PLAIN, "cifar10", "MIT", _MEGABYTES[model], sha256)


def _akamaster(model: str, accuracy: float, sha256: str) -> Source:
    file = f"{model}-{sha256[:8]}.th"
    url = f"{_AKAMASTER}/pretrained_models/{file}"
    return Source("akamaster", model, url, file, accuracy, PLAIN, "imagenet", "BSD-2-Clause", _MEGABYTES[model], sha256)


def _chenyaofo(model: str, accuracy: float, sha256: str) -> Source:
    file = f"cifar10_{model}-{sha256[:8]}.pt"
    url = f"{_CHENYAOFO}/{file}"
    return Source("chenyaofo", model, url, file, accuracy, PLAIN, "cifar10", "BSD-3-Clause", _MEGABYTES[model], sha256)


# The weights of a model that its published figure belongs to come first. `auto` takes the first one with a digest that
# can be downloaded, else the smallest one of the others.
SOURCES = (
    _huyvnphan("resnet18", 93.07, "72d30ca70e7d54e24a26628113604c40bc872eb8dc7a44f50ec58c3a1400f1b0"),
    _huyvnphan("resnet34", 93.34),
    _huyvnphan("resnet50", 93.65),
    _edadaltocg("resnet18", 94.98),
    _edadaltocg("resnet34", 95.40),  # its best epoch; the last one has 95.38
    _edadaltocg("resnet50", 94.65, "600e3f79fa41bc7c91d751a65b29b1ed2733345f8b6908381caa79a32ff28a6e"),
    _akamaster("resnet20", 91.73, "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"),
    _akamaster("resnet32", 92.63, "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850"),
    _akamaster("resnet44", 93.10, "014dd654"),
    _akamaster("resnet56", 93.39, "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"),
    _akamaster("resnet110", 93.68, "1d1ed7c2"),
    _chenyaofo("resnet20", 92.60, "4118986f"),
    _chenyaofo("resnet32", 93.53, "ef93fc4d"),
    _chenyaofo("resnet44", 94.01, "2a3cabcb"),
    _chenyaofo("resnet56", 94.37, "187c023a"),
)
