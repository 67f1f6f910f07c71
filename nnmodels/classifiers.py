"""Networks for images of 3x32x32 by their names: the ResNets of resnet.py and the networks of airbench.py."""

from torch import nn

from nnmodels.airbench import FORMS, Airbench
from nnmodels.images import ImageClassifier
from nnmodels.resnet import resnet


def network(name: str, stem: str = "pool", shortcut: str = "A", classes: int = 10) -> nn.Module:
    """A network, freshly initialised, that gives logits (B, classes) of normalised images (B, 3, 32, 32).

    Args:
        name: of resnet.MODELS or airbench.FORMS.
        stem, shortcut: of a ResNet, see resnet.resnet; others have one form.
        classes: neurons of the output.

    Raises:
        ValueError: an unknown name, stem or shortcut.
    """
    return Airbench(name, classes) if name in FORMS else resnet(name, stem, shortcut, classes)


class Sent(ImageClassifier):
    """A classifier for another process, which imports this module to unpickle it, and so torchvision by vision.py."""
