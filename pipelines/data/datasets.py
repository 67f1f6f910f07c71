"""List of the data sets, with their kinds, preparation and loading; does not import torch.

A data set is added by a file with the functions `prepare` and `load`, as pjm.py and cifar10.py have them, and a line in
`DATASETS`.
"""

import shlex
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Union, cast

from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.data.protocol import CIFAR10, DATA_DIR, META_FILE, PJM, SAMPLE
from pipelines.errors import UserError, meant

if TYPE_CHECKING:  # their imports take half a second, which no listing of names needs
    from pipelines.data.energy.series import EnergyDataset
    from pipelines.data.images.dataset import ImageDataset

LOAD, IMAGES = "load", "images"  # kinds: hourly electricity load, and labelled images


@dataclass(frozen=True)
class Dataset:
    """A data set that can be requested by its name.

    Attributes:
        name: unique among those of its kind.
        kind: LOAD or IMAGES.
        module: the module with its functions `load(data_dir)` and `prepare(data_dir, source, allow_unverified)`, or
            `load()` alone where it is `embedded`; imported when the first of them is called.
        size: number of its training windows or images, where it is published; None: as prepared.
        embedded: whether it comes with the project or its dependencies, so that there is nothing to prepare.
    """

    name: str
    kind: str
    module: str
    size: int | None = None
    embedded: bool = False

    def prepare(
        self, data_dir: str | Path = DATA_DIR, source: str | Path = "", allow_unverified: bool = False
    ) -> Union["EnergyDataset", "ImageDataset"]:
        """Read its files, verify and cache them in ``data_dir/name``, and load the cache.

        Args:
            data_dir: folder of the caches.
            source: folder or archive that holds the files; empty: they are downloaded.
            allow_unverified: take files that are not the published ones, and record that in the data set.

        Raises:
            UserError: the files are not available, cannot be read or are not accepted, or the cache cannot be written.
        """
        if self.embedded:
            return self.load()
        return import_module(self.module).prepare(data_dir, source, allow_unverified)

    def load(self, data_dir: str | Path = DATA_DIR) -> Union["EnergyDataset", "ImageDataset"]:
        """Load what was prepared, checked against its digest.

        Raises:
            UserError: not prepared, or changed since it was; names the command that prepares it.
        """
        module = import_module(self.module)
        return module.load() if self.embedded else module.load(data_dir)

    def is_prepared(self, data_dir: str | Path = DATA_DIR) -> bool:
        """Returns whether `load` would succeed."""
        try:
            self.load(data_dir)
        except UserError:
            return False
        return True

    def train_size(self, data_dir: str | Path = DATA_DIR) -> int:
        """Number of training windows or images: the published one, or that of the prepared data.

        Raises:
            UserError: as of `load`.
        """
        return self.load(data_dir).train_size if self.size is None else self.size


DATASETS = (
    Dataset(PJM, LOAD, "pipelines.data.energy.pjm", size=980_185),
    Dataset(CIFAR10, IMAGES, "pipelines.data.images.cifar10", size=50_000),
    Dataset(SAMPLE, LOAD, "pipelines.data.energy.taylor", size=1_734, embedded=True),
    Dataset(SAMPLE, IMAGES, "pipelines.data.images.digits", size=1_438, embedded=True),
)

# The reports' own data sets; `auto` is resolved to them if they have been prepared.
REPORTED = MappingProxyType({LOAD: PJM, IMAGES: CIFAR10})


def known(*kinds: str) -> list[str]:
    """Returns the names of the data sets of these kinds, each once, in the order of the list."""
    return list(dict.fromkeys(dataset.name for dataset in DATASETS if dataset.kind in kinds))


def published() -> list[Dataset]:
    """Returns the data sets that are downloaded or read from files."""
    return [dataset for dataset in DATASETS if not dataset.embedded]


def named(name: str) -> list[Dataset]:
    """Returns the data sets of that name: there is a sample of each kind."""
    return [dataset for dataset in DATASETS if dataset.name == name]


def find(name: str, kind: str) -> Dataset:
    """Returns the data set of that name and kind.

    Raises:
        UserError: there is none.
    """
    for dataset in DATASETS:
        if (dataset.name, dataset.kind) == (name, kind):
            return dataset
    raise UserError(f"unknown {kind} dataset {name!r}; {meant(name, known(kind))}")


def load_energy(name: str, data_dir: str | Path = DATA_DIR) -> "EnergyDataset":
    """Load a prepared data set of electricity load by its name; see `Dataset.load`."""
    return cast("EnergyDataset", find(name, LOAD).load(data_dir))  # as its kind says


def load_images(name: str, data_dir: str | Path = DATA_DIR) -> "ImageDataset":
    """Load a prepared data set of images by its name; see `Dataset.load`."""
    return cast("ImageDataset", find(name, IMAGES).load(data_dir))  # as its kind says


def available_dataset(given: str, kind: str, data_dir: str) -> str:
    """Resolve `auto` to the report's data set if that has been prepared, else to the sample, which is announced.

    Args:
        given: `auto` or a data set's name.
        kind: LOAD or IMAGES.
        data_dir: folder of the prepared data.

    Raises:
        UserError: the given data set is not prepared, and cannot be downloaded; or that of `auto` is damaged.
    """
    if given == "auto":
        report = REPORTED[kind]
        if (Path(data_dir) / report / META_FILE).exists():
            find(report, kind).load(data_dir)
            return report
        remedy = hint(f"python -m pipelines prepare --dataset {report} --data-dir {shlex.quote(data_dir)}")
        announce(
            f"dataset=auto: no {report} data in {data_dir}, using the embedded sample; for the real data: {remedy}"
        )
        return SAMPLE
    dataset = find(given, kind)
    if not dataset.is_prepared(data_dir):
        try:
            dataset.prepare(data_dir)
        except UserError as error:
            command = hint(f"python -m pipelines prepare --dataset {given} --data-dir {shlex.quote(data_dir)}")
            raise UserError(f"dataset={given} is not prepared, and `{command}` says: {error}") from error
    return given
