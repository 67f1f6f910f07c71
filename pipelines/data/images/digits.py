"""The images of the data set ``sample``, which need no download: scikit-learn's ``load_digits``.

They are the 1,797 handwritten digits of the test set of

    E. Alpaydin, C. Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository,

with 8x8 pixels of 0-16.
"""

import hashlib
from importlib import resources

import numpy as np

from pipelines.common.origins import Origin
from pipelines.data.images.dataset import Counts, ImageDataset, counts_of, digest_of, moments
from pipelines.data.protocol import SAMPLE

FILE = "digits.csv.gz"


def load() -> ImageDataset:
    """Make the data set: the last fifth of the digits is the test part."""
    images, labels = digits()
    images.flags.writeable = labels.flags.writeable = False
    test = len(images) // 5
    arrays = {
        "train_labels": labels[:-test],
        "train_images": images[:-test],
        "test_labels": labels[-test:],
        "test_images": images[-test:],
    }
    classes = tuple("0123456789")
    mean, deviation = moments([arrays["train_images"]])
    counts = Counts(
        train=counts_of(classes, arrays["train_labels"]),
        test=counts_of(classes, arrays["test_labels"]),
        not_official=[],
    )
    digest = digest_of(classes, {name: [array] for name, array in arrays.items()})
    return ImageDataset(
        SAMPLE,
        classes,
        mean=mean,
        deviation=deviation,
        digest=digest,
        counts=counts,
        verified=True,
        origin=_origin(),
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"],
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"],
    )


def _origin() -> Origin:
    raw = resources.files("sklearn.datasets.data").joinpath(FILE).read_bytes()
    where = f"embedded in scikit-learn: sklearn/datasets/data/{FILE}"
    return Origin(where, {FILE: hashlib.sha256(raw).hexdigest()})


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The handwritten digits in the form of CIFAR-10's images.

    Returns:
        images: (1797, 3, 32, 32) uint8, each pixel repeated 4x4, its 0-16 scaled to 0-255, the three channels equal.
        labels: (1797,) uint8, 0-9.
    """
    # Imported here, as it takes a second, and the electricity data do not need it.
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.rint(found.images * (255 / 16)).astype(np.uint8)
    large = grey.repeat(4, axis=1).repeat(4, axis=2)
    return np.repeat(large[:, np.newaxis], 3, axis=1), found.target.astype(np.uint8)
