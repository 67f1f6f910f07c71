"""Pretrained weights of ResNets: where they are found, and how the network they fit is built and fed.

A state dict does not tell everything. Stem and normalisation of a ResNet-18, 34 or 50 leave no trace in it: they follow
from the source, which is known by its digest or its name, or the user tells them.
"""

import hashlib
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from torch import Tensor

from pipelines import names, state_dicts
from pipelines.catalogue import (
    CIFAR10,
    NORMALISATIONS,
    PLAIN,
    POOL,
    RESNETS,
    SHORTCUT_NORMALISATIONS,
    SOURCES,
    Normalisation,
    Source,
)
from pipelines.data.download import fetch
from pipelines.errors import UserError
from pipelines.state_dicts import one_line, refusing, require_size

AUTO = "auto"
FOLDER = "weights"  # within data_dir: downloads, and what the user puts there
SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".safetensors")

_REGISTERED = re.compile(r"models:/([^@/]+)@([^@/]+)")
# As in the names of published files, see torch.hub.load_state_dict_from_url.
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{64}|[0-9a-f]{8})\.")

Fetch = Callable[[str, str], tuple[Path, Mapping[str, Any]] | None]


@dataclass(frozen=True)
class Weights:
    """Weights that fit a model, and how it must be built and fed.

    Attributes:
        state: all that the model's load_state_dict wants; float32, on the CPU.
        sha256: of the file.
        origin: where they are from, for people.
        stem: "pool" or "plain".
        shortcut: "A" or "B".
        mean, deviation: of the red, green and blue pixels that the input is normalised with, in units of 0-1.
        published: test accuracy that the source gives, in percent, or None.
        dialect: how the file named and wrapped its tensors.
    """

    state: Mapping[str, Tensor]
    sha256: str
    origin: str
    stem: str
    shortcut: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    published: float | None
    dialect: str


def find(
    model: str,
    weights: str,
    data_dir: str | Path,
    stem: str = AUTO,
    normalisation: str = AUTO,
    fetch_champion: Fetch | None = None,
    dataset: str = CIFAR10,
) -> Weights:
    """The weights of a model.

    Args:
        model: key of catalogue.RESNETS.
        weights: a file of torch.save or safetensors; a folder or zip archive with a file that names the model; the name
            of a known source (catalogue.SOURCES), downloaded to ``data_dir/weights``; ``models:/name@alias``; or
            "auto": the champion in the registry, else, for CIFAR-10, what lies in ``data_dir/weights``, else the first
            known source with a digest.
        data_dir: where downloads are kept.
        stem: "pool", "plain", or "auto": the source's. Without meaning where the model has but one.
        normalisation: key of catalogue.NORMALISATIONS, six numbers (means, then deviations), or "auto": the source's.
        fetch_champion: of a registered model's name and alias gives its state dict, as a file, and its recipe
            (names.STEM, MEAN, DEVIATION); None where there is none.
        dataset: that the champion was trained on.

    Raises:
        UserError: there are none, or they are damaged, of another digest, of another architecture, not plain tensors,
            or do not tell what was not told either.
    """
    if stem not in (AUTO, POOL, PLAIN):
        raise UserError(f"stem={stem}: give {AUTO}, {POOL} or {PLAIN}")
    told = _told(normalisation)
    found = _locate(model, weights, Path(data_dir) / FOLDER, fetch_champion, dataset)
    try:
        return _understood(model, found, stem, told)
    except UserError:
        if found.downloaded:
            found.downloaded.unlink()  # it would be in the way of the next try
        raise


# Finding.


@dataclass(frozen=True)
class _File:
    """A file of weights, in a folder or in an archive.

    Attributes:
        name: without folders.
        where: for messages.
        read: gives its bytes.
        beside: readers of the files in the same folder or archive, by name.
    """

    name: str
    where: str
    read: Callable[[], bytes]
    beside: Mapping[str, Callable[[], bytes]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class _Found:
    """A file, with its source or recipe where they are known beforehand.

    Attributes:
        downloaded: where it lies if it was downloaded just now.
    """

    file: _File
    source: Source | None = None
    recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    downloaded: Path | None = None


def _locate(model: str, weights: str, folder: Path, fetch_champion: Fetch | None, dataset: str) -> _Found:
    if weights == AUTO:
        return _automatic(model, folder, fetch_champion, dataset)
    if weights.startswith("models:"):
        return _registered(weights, fetch_champion)
    if weights in _source_names():
        return _published(model, weights, folder)
    path = Path(weights)
    with refusing(weights):
        if weights and path.is_dir():
            file = _in_folder(model, path)
        elif path.is_file():
            file = _in_archive(model, path) if _is_archive(path) else _on_disk(path)
        else:
            ways = ", ".join([AUTO, "a file, folder or zip archive", "models:/name@alias", *_source_names()])
            raise UserError(f"weights={weights}: there is no such file or folder; give one of {ways}")
    if file is None:
        raise UserError(f"{weights}: no file in it is named after {model}; name its weights {model}.pt, or the like")
    return _Found(file)


def _automatic(model: str, folder: Path, fetch_champion: Fetch | None, dataset: str) -> _Found:
    name = f"{dataset}-{model}"
    if fetch_champion and (registered := fetch_champion(name, names.CHAMPION)):
        return _champion(f"models:/{name}@{names.CHAMPION}", *registered)
    absent = f"weights={AUTO}: no registered {name}"
    train = f"train one: python -m pipelines pretrain --models {model} --dataset {dataset}"
    if dataset != CIFAR10:
        raise UserError(f"{absent}; {train}")
    with refusing(str(folder)):
        if folder.is_dir() and (file := _in_folder(model, folder)):
            return _Found(file)
    absent += f", no {model} in {folder}"
    sources = [source for source in SOURCES if source.model == model]
    ways = f"{train}; or give weights=FILE, or weights={'|'.join(source.name for source in sources)}"
    chosen = next((source for source in sources if source.sha256), None)
    if chosen is None:
        raise UserError(f"{absent}, no known source with a digest; {ways}")
    try:
        return _downloaded(chosen, folder)
    except UserError as error:
        raise UserError(f"{absent}, and {error}; or {ways}") from error


def _registered(weights: str, fetch_champion: Fetch | None) -> _Found:
    named = _REGISTERED.fullmatch(weights)
    if named is None:
        raise UserError(f"weights={weights}: give models:/name@alias, for instance models:/cifar10-resnet18@champion")
    registered = fetch_champion(*named.groups()) if fetch_champion else None
    if registered is None:
        raise UserError(f"{weights}: no such model in the registry; train one: python -m pipelines pretrain")
    return _champion(weights, *registered)


def _champion(where: str, path: Path, recipe: Mapping[str, Any]) -> _Found:
    return _Found(_File(path.name, where, partial(_read, path)), recipe=recipe)


def _published(model: str, name: str, folder: Path) -> _Found:
    source = next((source for source in SOURCES if (source.name, source.model) == (name, model)), None)
    if source is None:
        models = ", ".join(source.model for source in SOURCES if source.name == name)
        raise UserError(f"weights={name}: it has no {model}, only {models}; give another source, or a file")
    return _downloaded(source, folder)


def _downloaded(source: Source, folder: Path) -> _Found:
    path = folder / source.file
    was_there = path.exists()
    # The digest of a member is no digest of its archive.
    fetch(source.url, path, "" if source.member else source.sha256)
    file = _on_disk(path)
    if source.member:
        file = _File(source.member, f"{path}/{source.member}", partial(_read_named, path, source.member))
    return _Found(file, source, downloaded=None if was_there else path)


def _source_names() -> list[str]:
    return list(dict.fromkeys(source.name for source in SOURCES))


def _in_folder(model: str, folder: Path) -> _File | None:
    """The file of `folder` that is named after the model, else of the zip archives in it."""
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    beside = {path.name: partial(_read, path) for path in paths}
    files = [_File(path.name, str(path), beside[path.name], beside) for path in paths]
    if file := _chosen(model, files, folder):
        return file
    archived = (_in_archive(model, path) for path in paths if path.suffix == ".zip")
    return next(filter(None, archived), None)


def _in_archive(model: str, path: Path) -> _File | None:
    return _chosen(model, _members(path), path)


def _members(path: Path) -> list[_File]:
    """The files in a zip archive, which is never unpacked; a link in it is the text of its target."""
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    readers = [partial(_read_member, path, member) for member in members]
    found = [PurePath(member.filename).name for member in members]
    beside = dict(zip(found, readers, strict=True))
    return [
        _File(name, f"{path}/{one_line(member.filename)}", read, beside)
        for name, member, read in zip(found, members, readers, strict=True)
    ]


def _chosen(model: str, files: Sequence[_File], where: Path) -> _File | None:
    """The file that is named after the model. Of several, all of known sources, that of the first in the catalogue."""
    named = re.compile(rf"(?<![a-z0-9]){model}(?!\d)", re.IGNORECASE)
    fitting = [
        file
        for file in files
        if named.search(file.name) and PurePath(file.name).suffix.lower() in SUFFIXES and not file.name.startswith(".")
    ]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    published = [source.file for source in SOURCES if source.model == model]
    if all(file.name in published for file in fitting):
        return min(fitting, key=lambda file: published.index(file.name))
    several = ", ".join(one_line(file.name) for file in fitting)
    raise UserError(f"{where}: {several} are all named after {model}; give weights= one of them")


def _is_archive(path: Path) -> bool:
    """Whether it is a zip archive of files. What torch.save writes is a zip archive too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return not any(PurePath(member).name == "data.pkl" for member in archive.namelist())


def _on_disk(path: Path) -> _File:
    return _File(path.name, str(path), partial(_read, path))


def _read(path: Path) -> bytes:
    require_size(path.stat().st_size, path)
    return path.read_bytes()


def _read_member(path: Path, member: zipfile.ZipInfo) -> bytes:
    require_size(member.file_size, f"{path}/{one_line(member.filename)}")
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)  # checks its CRC, and gives no more than its size


def _read_named(path: Path, name: str) -> bytes:
    for file in _members(path):
        if file.name == name:
            return file.read()
    raise UserError(f"{path}: there is no {name} in it; fetch it again")


# Recognising.


def _understood(model: str, found: _Found, stem: str, told: Normalisation | None) -> Weights:
    file = found.file
    with refusing(file.where):
        raw = file.read()
        sha256 = hashlib.sha256(raw).hexdigest()
        source = found.source or (None if found.recipe else _source(model, file, sha256))
        _require_digest(file, sha256, source)
    read = state_dicts.read(model, raw, file.where)
    stem, normalisation = _recipe(model, read.shortcut, stem, told, found.recipe, source, file.where)
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
    )


def _source(model: str, file: _File, sha256: str) -> Source | None:
    """The known source of a file, by its digest, its name, or the digest of another file of that source beside it."""
    sources = [source for source in SOURCES if source.model == model]
    for source in sources:
        if source.sha256 and sha256.startswith(source.sha256):
            return source
    for source in sources:
        if source.member and file.name == source.member and _has_beside(file, source.name):
            return source
        if not source.member and file.name == source.file:
            return source
    return None


def _has_beside(file: _File, name: str) -> bool:
    """Whether beside a member of an archive, or what was unpacked of it, lies one that the source gives a digest of."""
    return any(
        hashlib.sha256(file.beside[source.member]()).hexdigest().startswith(source.sha256)
        for source in SOURCES
        if source.name == name and source.sha256 and source.member in file.beside
    )


def _require_digest(file: _File, sha256: str, source: Source | None) -> None:
    in_name = _DIGEST_IN_NAME.search(file.name)
    # Eight decimal digits may as well be a date.
    stated = in_name[1] if in_name and not in_name[1].isdecimal() else ""
    for expected in (source.sha256 if source else "", stated):
        if not sha256.startswith(expected):
            raise UserError(
                f"{file.where}: expected sha256 {expected}, got {sha256}; it is damaged or another: fetch it again"
            )


def _recipe(
    model: str,
    shortcut: str,
    stem: str,
    told: Normalisation | None,
    recipe: Mapping[str, Any],
    source: Source | None,
    where: str,
) -> tuple[str, Normalisation]:
    """Stem and normalisation: what the user tells, else the registry or the source, else the only ones there are."""
    stems = RESNETS[model].stems
    if len(stems) == 1:
        stem = stems[0]
    elif stem == AUTO:
        stem = recipe.get(names.STEM) or (source.stem if source else None)
    if told is None and recipe:
        told = Normalisation(tuple(recipe[names.MEAN]), tuple(recipe[names.DEVIATION]))
    if told is None and source:
        told = NORMALISATIONS[source.normalisation]
    if told is None and len(stems) == 1:
        told = NORMALISATIONS[SHORTCUT_NORMALISATIONS[shortcut]]
    if stem is None or told is None:
        raise UserError(
            f"{where}: the weights of a {model} do not tell how it was trained; give stem={'|'.join(stems)} and "
            f"normalisation={'|'.join(NORMALISATIONS)}, or six numbers"
        )
    return stem, told


def _told(normalisation: str) -> Normalisation | None:
    if normalisation == AUTO:
        return None
    if normalisation in NORMALISATIONS:
        return NORMALISATIONS[normalisation]
    try:
        numbers = tuple(float(text) for text in re.split(r"[,;/\s]+", normalisation.strip()))
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or min(numbers[3:]) <= 0:
        ways = ", ".join([AUTO, *NORMALISATIONS])
        raise UserError(f"normalisation={normalisation}: give {ways}, or three means and three positive deviations")
    return Normalisation(numbers[:3], numbers[3:])
