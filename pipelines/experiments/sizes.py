"""Settings that depend on the size of the data set; torch-free.

They were chosen on two data sets of each kind, the sample and the report's. For a data set of another size, values that
differ between the two are interpolated on logarithmic scales; outside this range those of the nearer one are used.
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
    """Numbers of training windows or images of the small and of the large data set."""

    small: int
    large: int


WINDOW_SIZES = Sizes(*(datasets.find(name, datasets.LOAD).train_size() for name in (SAMPLE, PJM)))
IMAGE_SIZES = Sizes(*(datasets.find(name, datasets.IMAGES).train_size() for name in (SAMPLE, CIFAR10)))


def between(size: int, sizes: Sizes, small: ProtocolType, large: ProtocolType) -> ProtocolType:
    """Interpolate the settings for a data set of `size`.

    Args:
        size: number of its training windows or images.
        sizes: sizes of the data sets for which `small` and `large` were chosen.
        small, large: settings for these sizes, of the same dataclass; they differ in positive numbers only.
    """
    of_small, of_large = asdict(small), asdict(large)
    differing = [name for name, value in of_small.items() if value != of_large[name]]
    return replace(large, **{name: interpolated(size, sizes, of_small[name], of_large[name]) for name in differing})


def interpolated(size: int, sizes: Sizes, small: Number, large: Number) -> Number:
    """Interpolate one positive number; an integer is rounded to an integer, a float to two significant digits."""
    if size <= sizes.small:
        return small
    if size >= sizes.large:
        return large
    share = math.log(size / sizes.small) / math.log(sizes.large / sizes.small)
    value = small ** (1 - share) * large**share
    return round(value) if isinstance(small, int) else float(f"{value:.2g}")


def validation_images(images: int) -> int:
    """Number of training images to hold out for validation, at most a fifth of `images`."""
    return min(interpolated(images, IMAGE_SIZES, 200, 5000), images // 5)
