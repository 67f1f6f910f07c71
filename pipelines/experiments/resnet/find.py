"""Pretrained weights of ResNets: finds them, and determines stem, shortcut and normalisation of their network.

Only plain tensors are read, so that a file with an unknown digest may give wrong figures but cannot run code.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.protocol import CIFAR10
from pipelines.errors import UserError
from pipelines.experiments.resnet import digests, published, recipes, state_dicts
from pipelines.experiments.resnet.locate import Fetch, Found, downloaded, locate, present, train
from pipelines.experiments.resnet.recipes import AUTO, Given, Recipe
from pipelines.experiments.resnet.sources import Source
from pipelines.experiments.resnet.untrusted import refusing
from pipelines.experiments.resnet.weights import Weights

FOLDER = "weights"  # within data_dir, for downloads and files of the user


def find(
    model: str,
    weights: str,
    data_dir: str | Path,
    stem: str = AUTO,
    normalisation: str = AUTO,
    fetch_champion: Fetch | None = None,
    dataset: str = CIFAR10,
    key: str = "",
    classes: int = 10,
) -> Weights:
    """Find the weights of a model.

    Args:
        model: key of rows.RESNETS.
        weights: a file of torch.save or safetensors; a folder or zip archive with a file that names the model; the name
            of a known source (sources.SOURCES), downloaded to ``data_dir/weights``; ``models:/name@alias``; or
            "auto": the champion in the registry, else, for CIFAR-10, a file in ``data_dir/weights``, else the first
            known source that can be downloaded: those with a digest in the order of SOURCES, then the others, the
            smallest first.
        data_dir: folder that holds the folder of downloads.
        stem: "pool", "plain", or "auto": the source's. Ignored if the model has only one.
        normalisation: key of sources.NORMALISATIONS, six numbers (means, then stds), or "auto": the source's.
        fetch_champion: function of the name and alias of a registered model that returns the file of its state dict and
            its recipe (names.STEM, MEAN, DEVIATION, SHA256), which is validated here; or None if there is no such
            model.
        dataset: data set that the champion was trained on.
        key, classes: see state_dicts.read.

    Raises:
        NoWeightsError: no champion was trained on `dataset`, which is not CIFAR-10.
        UserError: there are none; or they are damaged, of another digest or architecture, or not only tensors; or stem
            or normalisation are neither known nor given.
    """
    request = _Request(model, recipes.read_options(stem, normalisation), key, classes)
    folder = Path(data_dir) / FOLDER
    if weights != AUTO:
        return _read_or_discard(request, locate(model, weights, folder, fetch_champion), folder)
    if found := present(model, folder, fetch_champion, dataset):
        return _read_or_discard(request, found, folder)
    return _downloaded_first(request, folder, dataset)


@dataclass(frozen=True)
class _Request:
    """Arguments of `find` on how a file is read."""

    model: str
    given: Given
    key: str
    classes: int


def _downloaded_first(request: _Request, folder: Path, dataset: str) -> Weights:
    """Download the weights of the first source that is available and valid."""
    model = request.model
    failures = []
    for source in published.by_preference(model):
        try:
            weights = _read_or_discard(request, downloaded(source, folder), folder)
        except UserError as error:
            failures.append(str(error))
        else:
            return replace(weights, notes=(*failures, *weights.notes))
    absent = ", and ".join([f"weights={AUTO}: no registered {dataset}-{model}, no {model} in {folder}", *failures])
    named = "|".join(source.name for source in published.sources_of(model))
    raise UserError(f"{absent}; or {train(dataset, model, folder.parent)}; or give weights=FILE, or weights={named}")


def _read_or_discard(request: _Request, found: Found, folder: Path) -> Weights:
    """Read the weights that were found. An invalid download is deleted, so that the next attempt is not blocked."""
    try:
        return _read_weights(request, found, folder)
    except UserError:
        if found.downloaded:
            found.downloaded.unlink()
        raise


def _read_weights(request: _Request, found: Found, folder: Path) -> Weights:
    file, recipe = found.file, found.recipe
    with refusing(file.where):
        raw = file.read()
        sha256 = hashlib.sha256(raw).hexdigest()
        source = found.source or (None if recipe else published.recognised(request.model, file, sha256))
    digest = _expected(source, recipe)
    digests.require(file, sha256, digest)
    read = state_dicts.read(request.model, raw, file.where, request.key, request.classes)
    stem, normalisation = recipes.determined(request.model, request.given, read, recipe, source, file.where)
    notes = [read.note] if read.note else []
    if source and not digest and file.path.parent == folder:
        notes += digests.require_as_before(file, sha256)
    return Weights(
        state=read.tensors,
        sha256=sha256,
        origin=f"{source.name}, {file.where}" if source else file.where,
        stem=stem,
        shortcut=read.shortcut,
        mean=normalisation.mean,
        deviation=normalisation.deviation,
        published=source.accuracy if source else None,
        dialect=read.dialect,
        verified=bool(digest) if source or recipe else None,
        notes=tuple(notes),
    )


def _expected(source: Source | None, recipe: Recipe | None) -> str:
    """Digest that is known beforehand, or its first digits, or ""."""
    return source.sha256 if source else recipe.sha256 if recipe else ""
