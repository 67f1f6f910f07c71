"""Settings that follow the size of the data, so that every data set has them; torch-free.

They were chosen on two data sets of a kind, the sample and the report's. Of a data set of another size, whatever
differs between the two is interpolated on logarithmic scales; beyond them the nearer one's hold.
"""

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pipelines.data import datasets
from pipelines.data.protocol import CIFAR10, PJM, SAMPLE

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ProtocolType = TypeVar("ProtocolType", bound="DataclassInstance")
Number = TypeVar("Number", int, float)


class Sizes(NamedTuple):
    """Numbers of training windows or images of the small and the large data set."""

    small: int
    large: int


WINDOW_SIZES = Sizes(*(datasets.find(name, datasets.LOAD).train_size() for name in (SAMPLE, PJM)))
IMAGE_SIZES = Sizes(*(datasets.find(name, datasets.IMAGES).train_size() for name in (SAMPLE, CIFAR10)))


def between(size: int, sizes: Sizes, small: ProtocolType, large: ProtocolType) -> ProtocolType:
    """The settings for a data set of `size`.

    Args:
        size: number of its training windows or images.
        sizes: those for which `small` and `large` were chosen, and have exactly these.
        small, large: of one dataclass; they differ in positive numbers only.
    """
    of_small, of_large = asdict(small), asdict(large)
    differing = [name for name, value in of_small.items() if value != of_large[name]]
    return replace(large, **{name: interpolated(size, sizes, of_small[name], of_large[name]) for name in differing})


def interpolated(size: int, sizes: Sizes, small: Number, large: Number) -> Number:
    """The positive number for a data set of `size`: rounded, a whole one as such, another to two digits."""
    if size <= sizes.small:
        return small
    if size >= sizes.large:
        return large
    share = math.log(size / sizes.small) / math.log(sizes.large / sizes.small)
    value = small ** (1 - share) * large**share
    return round(value) if isinstance(small, int) else float(f"{value:.2g}")


def validation_images(images: int) -> int:
    """Number of images to hold out of so many training images, for whatever is chosen; at most a fifth of them."""
    return min(interpolated(images, IMAGE_SIZES, 200, 5000), images // 5)
