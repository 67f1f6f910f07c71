"""Files of weights, located by what the user gives: a path, a published source, a registered model, or "auto"."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines import names
from pipelines.common import launcher
from pipelines.common.command import hint
from pipelines.data.files.meta import elsewhere
from pipelines.data.protocol import CIFAR10
from pipelines.errors import UserError, meant
from pipelines.experiments.resnet import files, published, recipes
from pipelines.experiments.resnet.files import File
from pipelines.experiments.resnet.recipes import AUTO, Recipe
from pipelines.experiments.resnet.sources import Source
from pipelines.experiments.resnet.untrusted import refusing

Fetch = Callable[[str, str], tuple[Path, object] | None]

_REGISTERED = re.compile(r"models:/([^@/]+)@([^@/]+)")


class NoWeightsError(UserError):
    """There are no weights of a model for the data set; they can be trained."""


@dataclass(frozen=True)
class Found:
    """A file, with its source or recipe if they are known beforehand.

    Attributes:
        file: the file.
        source: source that it was downloaded from.
        recipe: recipe of a registered model.
        downloaded: path of the download if it was made just now.
    """

    file: File
    source: Source | None = None
    recipe: Recipe | None = None
    downloaded: Path | None = None


def locate(model: str, weights: str, folder: Path, fetch_champion: Fetch | None) -> Found:
    """Locate the weights that the user names; those of a source are downloaded to `folder`.

    Arguments as of find.find, but for `weights`, which is not "auto", and `folder`, that of the downloads.

    Raises:
        UserError: there are none, or several files are named after the model.
    """
    if weights.startswith("models:"):
        return _registered(weights, fetch_champion)
    if weights in published.publishers():
        return downloaded(published.source_of(model, weights), folder)
    path = launcher.given_input(weights)
    preferred = _published_names(model)
    with refusing(weights):
        if weights and path.is_dir():
            file = files.in_folder(model, path, preferred)
        elif path.is_file():
            file = files.in_archive(model, path, preferred) if files.is_archive(path) else files.on_disk(path)
        elif weights and path.exists():
            raise UserError(f"weights={weights} is neither a file nor a folder; give one of them")
        else:
            raise UserError(
                f"weights={path if weights else weights}: there is no such file or folder; "
                f"{meant(weights, [AUTO, *published.publishers()])}, models:/name@alias, and any file, folder or zip "
                "archive"
            )
    if file is None:
        raise UserError(f"{weights}: no file in it is named after {model}; name its weights {model}.pt, or the like")
    return Found(file)


def present(model: str, folder: Path, fetch_champion: Fetch | None, dataset: str) -> Found | None:
    """Locate weights that need no download: the registry's champion or, for CIFAR-10, a file in `folder`.

    Raises:
        NoWeightsError: there is no champion, and none of the model are published for `dataset`.
        UserError: several files in `folder` are named after the model.
    """
    name = f"{dataset}-{model}"
    if fetch_champion and (registered := fetch_champion(name, names.CHAMPION)):
        return _champion(f"models:/{name}@{names.CHAMPION}", *registered)
    file = None
    if dataset == CIFAR10 and folder.is_dir():
        with refusing(str(folder)):
            file = files.in_folder(model, folder, _published_names(model))
    if file is None and (dataset != CIFAR10 or not published.sources_of(model)):
        raise NoWeightsError(f"weights={AUTO}: no registered {name}; {train(dataset, model, folder.parent)}")
    return Found(file) if file else None


def downloaded(source: Source, folder: Path) -> Found:
    """Download the weights of a source to `folder`, unless they are there; errors as of published.download."""
    path = folder / source.file
    was_there = path.exists()
    return Found(published.download(source, path), source, downloaded=None if was_there else path)


def train(dataset: str, models: str, data_dir: Path) -> str:
    """The advice to train models on a data set in `data_dir`, with the command."""
    given = f"--models {models} --dataset {dataset}{elsewhere(data_dir)}"
    return f"train one: {hint(f'python -m pipelines pretrain {given}')}"


def _published_names(model: str) -> list[str]:
    return [source.file for source in published.sources_of(model)]


def _registered(weights: str, fetch_champion: Fetch | None) -> Found:
    named = _REGISTERED.fullmatch(weights)
    if named is None:
        raise UserError(f"weights={weights}: give models:/name@alias, for instance models:/cifar10-resnet18@champion")
    registered = fetch_champion(*named.groups()) if fetch_champion else None
    if registered is None:
        raise UserError(f"{weights}: no such model in the registry; train one: {hint('python -m pipelines pretrain')}")
    return _champion(weights, *registered)


def _champion(where: str, path: Path, recipe: object) -> Found:
    return Found(files.on_disk(path, where), recipe=recipes.validated(recipe, where))
