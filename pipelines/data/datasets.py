"""List of the data sets, with their kinds, preparation and loading; does not import torch.

A data set is added by a file with the functions `prepare` and `load`, as pjm.py and cifar10.py have them, and a line in
`DATASETS`. Beside these there are a user's own, which lie prepared in a folder of data and are found there by name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Union, cast

import click

from pipelines.common.choices import Names
from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.data.files.meta import elsewhere, peek
from pipelines.data.protocol import CIFAR10, DATA_DIR, IMAGES, KIND, LOAD, META_FILE, PJM, SAMPLE
from pipelines.errors import UserError, meant

if TYPE_CHECKING:  # their imports take half a second, which no listing of names needs
    from pipelines.data.energy.series import EnergyDataset
    from pipelines.data.images.dataset import ImageDataset

CONTENT = MappingProxyType({LOAD: "hourly load", IMAGES: "images"})  # of each kind, for messages
AUTO, ALL = "auto", "all"  # names that are those of no data set
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")  # of a data set, which is that of a folder, and stands in tables


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

    @property
    def is_own(self) -> bool:
        """Whether it is a user's own."""
        return False

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


@dataclass(frozen=True)
class OwnDataset(Dataset):
    """A user's own data set, which the command `prepare` has made from files, with what it was told of these.

    Its module has a function `load(name, data_dir)`.
    """

    def prepare(
        self, data_dir: str | Path = DATA_DIR, source: str | Path = "", allow_unverified: bool = False
    ) -> Union["EnergyDataset", "ImageDataset"]:
        """Load it, since only `prepare` knows how to read its files."""
        return self.load(data_dir)

    def load(self, data_dir: str | Path = DATA_DIR) -> Union["EnergyDataset", "ImageDataset"]:
        """Load what was prepared, see `Dataset.load`."""
        return import_module(self.module).load(self.name, data_dir)

    @property
    def is_own(self) -> bool:
        """Whether it is a user's own."""
        return True


DATASETS = (
    Dataset(PJM, LOAD, "pipelines.data.energy.pjm", size=980_185),
    Dataset(CIFAR10, IMAGES, "pipelines.data.images.cifar10", size=50_000),
    Dataset(SAMPLE, LOAD, "pipelines.data.energy.taylor", size=1_734, embedded=True),
    Dataset(SAMPLE, IMAGES, "pipelines.data.images.digits", size=1_438, embedded=True),
)

OWN_MODULES = MappingProxyType({LOAD: "pipelines.data.energy.own", IMAGES: "pipelines.data.images.own"})

# The course reports' own data sets; `auto` is resolved to them if they have been prepared.
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


def own(data_dir: str | Path = DATA_DIR) -> list[Dataset]:
    """Returns the user's own data sets in a folder of data, by name."""
    try:
        folders = sorted(each for each in Path(data_dir).iterdir() if _NAME.fullmatch(each.name))
    except OSError:
        return []
    found = [(folder.name, peek(folder, KIND)) for folder in folders if not named(folder.name)]
    return [OwnDataset(name, kind, OWN_MODULES[kind]) for name, kind in found if kind in OWN_MODULES]


def find(name: str, kind: str, data_dir: str | Path = DATA_DIR) -> Dataset:
    """Returns the data set of that name and kind.

    Args:
        name: of a data set of the list, or of one of the user's own in `data_dir`.
        kind: LOAD or IMAGES.
        data_dir: folder of the prepared data.

    Raises:
        UserError: there is none.
    """
    candidates = [*DATASETS, *own(data_dir)]
    for dataset in candidates:
        if (dataset.name, dataset.kind) == (name, kind):
            return dataset
    of_kind = [dataset.name for dataset in candidates if dataset.kind == kind]
    for dataset in candidates:
        if dataset.name == name:
            raise UserError(
                f"dataset {name} holds {CONTENT[dataset.kind]}, not {CONTENT[kind]}; give one of {', '.join(of_kind)}"
            )
    example = hint(f"python -m pipelines prepare --dataset {name} --source FILE{elsewhere(data_dir)}")
    raise UserError(
        f"unknown dataset {name!r:.60} of {CONTENT[kind]}; {meant(name, of_kind)}; of files of your own: {example}"
    )


def find_own(name: str, data_dir: str | Path) -> Dataset:
    """Returns the user's own data set of that name.

    Raises:
        UserError: there is none in `data_dir`.
    """
    prepared = own(data_dir)
    for dataset in prepared:
        if dataset.name == name:
            return dataset
    known_names = [dataset.name for dataset in (*DATASETS, *prepared)]
    raise UserError(
        f"unknown dataset {name!r:.60}; {meant(name, dict.fromkeys(known_names))}; to make a new one of files of your "
        f"own, give them: --dataset {name} --source FILE"
    )


class DataName(Names):
    """The name of a data set: one that is known, or of a form that one of a user's own may have.

    Args:
        listed: names that are completed, beside those of the data sets in the default folder.
    """

    def __init__(self, listed: Iterable[str]):
        self._listed = list(listed)
        super().__init__(lambda: [*self._listed, *(each.name for each in own())], metavar="name", lists=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; raises click.BadParameter."""
        text = str(super().convert(value, param, ctx))
        if text not in self._listed and (not _NAME.fullmatch(text) or text in (AUTO, ALL)):
            self.fail(
                f"{text!r:.60} is no name of a data set; {meant(text, self._listed)}, or a name of your own, of at "
                "most 40 small letters, digits and . _ -",
                param,
                ctx,
            )
        return text


def load_energy(name: str, data_dir: str | Path = DATA_DIR) -> "EnergyDataset":
    """Load a prepared data set of electricity load by its name; see `Dataset.load`."""
    return cast("EnergyDataset", find(name, LOAD, data_dir).load(data_dir))  # as its kind says


def load_images(name: str, data_dir: str | Path = DATA_DIR) -> "ImageDataset":
    """Load a prepared data set of images by its name; see `Dataset.load`."""
    return cast("ImageDataset", find(name, IMAGES, data_dir).load(data_dir))  # as its kind says


def available_dataset(given: str, kind: str, data_dir: str) -> str:
    """Resolve `auto` to the course report's data set if that has been prepared, else to the sample, which is announced.

    Args:
        given: `auto` or a data set's name.
        kind: LOAD or IMAGES.
        data_dir: folder of the prepared data.

    Raises:
        UserError: the given data set is not prepared, and cannot be downloaded; or that of `auto` is damaged.
    """
    if given == AUTO:
        report = REPORTED[kind]
        if (Path(data_dir) / report / META_FILE).exists():
            find(report, kind).load(data_dir)
            return report
        remedy = hint(f"python -m pipelines prepare --dataset {report}{elsewhere(data_dir)}")
        announce(
            f"dataset=auto: no {report} data in {data_dir}, using the embedded sample; for the real data: {remedy}"
        )
        return SAMPLE
    dataset = find(given, kind, data_dir)
    if dataset.is_own:
        dataset.load(data_dir)
    elif not dataset.is_prepared(data_dir):
        try:
            dataset.prepare(data_dir)
        except UserError as error:
            command = hint(f"python -m pipelines prepare --dataset {given}{elsewhere(data_dir)}")
            raise UserError(f"dataset={given} is not prepared, and `{command}` says: {error}") from error
    return given
