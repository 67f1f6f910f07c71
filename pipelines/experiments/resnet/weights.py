"""Pretrained weights of ResNets: finds them, and determines stem, shortcut and normalisation of their network.

A state dict does not contain stem and normalisation of a ResNet-18, 34 or 50. They follow from the source, which is
recognised by the digest or the name of the file, or from the project whose names the tensors have, or the user gives
them.

Only plain tensors are read, so that a file with an unknown digest may give wrong figures but cannot run code. If a
source publishes no digest, that of the first download is recorded beside it, and required from then on.
"""

import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType

import safetensors.torch
from torch import Tensor

from pipelines import names
from pipelines.common import launcher, locks
from pipelines.common.files import open_regular, write_text
from pipelines.data.files.download import fetch
from pipelines.data.protocol import CIFAR10
from pipelines.errors import UserError
from pipelines.experiments.resnet import state_dicts
from pipelines.experiments.resnet.rows import OPTION_B, PLAIN, POOL, RESNETS
from pipelines.experiments.resnet.sources import NORMALISATIONS, SHORTCUT_NORMALISATIONS, SOURCES, Normalisation, Source
from pipelines.experiments.resnet.state_dicts import one_line, refusing, require_size

AUTO = "auto"
FOLDER = "weights"  # within data_dir, for downloads and files of the user
RECORD = ".json"  # suffix of the record of digests, beside a download of a source without published digest
SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".safetensors")

_REGISTERED = re.compile(r"models:/([^@/]+)@([^@/]+)")
# A digest in the name of a published file, see torch.hub.load_state_dict_from_url.
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{64}|[0-9a-f]{8})\.")

# kuangliu's project has no pooling, and this normalisation; for forks with others the user can give them.
_PROGRAMS = {state_dicts.KUANGLIU: (PLAIN, NORMALISATIONS["cifar10"])}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1000  # limit of a mean or std

Fetch = Callable[[str, str], tuple[Path, object] | None]


class NoWeightsError(UserError):
    """There are no weights of a model for the data set; they can be trained."""


@dataclass(frozen=True)
class Weights:
    """Weights of a model, with the form of its network and the normalisation of its input.

    Attributes:
        state: the complete state dict for the model's load_state_dict; float32, on the CPU.
        sha256: SHA-256 of the file.
        origin: description of the source.
        stem: "pool" or "plain".
        shortcut: "A" or "B".
        mean, deviation: mean and std by which the red, green and blue pixels are normalised, in units of 0-1.
        published: test accuracy that the source gives, in percent, or None.
        dialect: naming and wrapping of the tensors in the file.
        verified: True if the digest agrees with the one published by the source or kept in the registry, False if these
            have none, None for weights from no known source.
        notes: messages for the user on how the weights were chosen, each one line.
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
    verified: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Handed:
    """Weights for another process, with the tensors in a file.

    Attributes:
        weights: everything but the tensors.
        path: safetensors file with the tensors.
        sha256: SHA-256 of that file, hexadecimal.
    """

    weights: Weights
    path: Path
    sha256: str


def handed_over(weights: Weights, path: Path) -> Handed:
    """Write the tensors of `weights` to `path`, for `received` in another process."""
    raw = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.state.items()})
    path.write_bytes(raw)
    return Handed(replace(weights, state={}), path, hashlib.sha256(raw).hexdigest())


def received(handed: Handed) -> Weights:
    """Load the weights that `handed_over` wrote.

    Raises:
        UserError: the file has changed since it was written.
    """
    raw = handed.path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != handed.sha256:
        raise UserError(f"{handed.path} is not as this launch wrote it: start anew")
    return replace(handed.weights, state=safetensors.torch.load(raw))


def find(
    model: str,
    weights: str,
    data_dir: str | Path,
    stem: str = AUTO,
    normalisation: str = AUTO,
    fetch_champion: Fetch | None = None,
    dataset: str = CIFAR10,
    key: str = "",
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
        key: see state_dicts.read.

    Raises:
        NoWeightsError: no champion was trained on `dataset`, which is not CIFAR-10.
        UserError: there are none; or they are damaged, of another digest or architecture, or not only tensors; or stem
            or normalisation are neither known nor given.
    """
    if stem not in (AUTO, POOL, PLAIN):
        raise UserError(f"stem={stem}: give {AUTO}, {POOL} or {PLAIN}")
    request = _Request(model, stem, _normalisation(normalisation), key)
    folder = Path(data_dir) / FOLDER
    if weights != AUTO:
        return _read_or_discard(request, _locate(model, weights, folder, fetch_champion), folder)
    if found := _find_present(model, folder, fetch_champion, dataset):
        return _read_or_discard(request, found, folder)
    return _downloaded_first(request, folder, dataset)


# Finding the file.


@dataclass(frozen=True)
class _Request:
    """Arguments of `find`; `normalisation` is None for "auto"."""

    model: str
    stem: str
    normalisation: Normalisation | None
    key: str


@dataclass(frozen=True)
class _File:
    """A file of weights, in a folder or in an archive.

    Attributes:
        path: path of the file, or of the archive.
        name: file name without folders.
        where: location, for messages.
        read: returns the content.
        beside: functions that read the files in the same folder or archive, by name.
    """

    path: Path
    name: str
    where: str
    read: Callable[[], bytes]
    beside: Mapping[str, Callable[[], bytes]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class _Recipe:
    """Stem and normalisation of a registered network; `sha256` of its file is empty if none was recorded."""

    stem: str
    normalisation: Normalisation
    sha256: str


@dataclass(frozen=True)
class _Found:
    """A file, with its source or recipe if they are known beforehand.

    Attributes:
        file: the file.
        source: source that it was downloaded from.
        recipe: recipe of a registered model.
        downloaded: path of the download if it was made just now.
    """

    file: _File
    source: Source | None = None
    recipe: _Recipe | None = None
    downloaded: Path | None = None


def _locate(model: str, weights: str, folder: Path, fetch_champion: Fetch | None) -> _Found:
    if weights.startswith("models:"):
        return _registered(weights, fetch_champion)
    if weights in _source_names():
        return _published(model, weights, folder)
    path = launcher.given_input(weights)
    with refusing(weights):
        if weights and path.is_dir():
            file = _in_folder(model, path)
        elif path.is_file():
            file = _in_archive(model, path) if _is_archive(path) else _on_disk(path)
        elif weights and path.exists():
            raise UserError(f"weights={weights} is neither a file nor a folder; give one of them")
        else:
            ways = ", ".join([AUTO, "a file, folder or zip archive", "models:/name@alias", *_source_names()])
            raise UserError(
                f"weights={path if weights else weights}: there is no such file or folder; give one of {ways}"
            )
    if file is None:
        raise UserError(f"{weights}: no file in it is named after {model}; name its weights {model}.pt, or the like")
    return _Found(file)


def _find_present(model: str, folder: Path, fetch_champion: Fetch | None, dataset: str) -> _Found | None:
    """Find weights that need no download: the registry's champion or, for CIFAR-10, a file in `folder`."""
    name = f"{dataset}-{model}"
    if fetch_champion and (registered := fetch_champion(name, names.CHAMPION)):
        return _champion(f"models:/{name}@{names.CHAMPION}", *registered)
    if dataset != CIFAR10:
        raise NoWeightsError(f"weights={AUTO}: no registered {name}; {_train(dataset, model)}")
    with refusing(str(folder)):
        file = _in_folder(model, folder) if folder.is_dir() else None
    return _Found(file) if file else None


def _train(dataset: str, models: str) -> str:
    return f"train one: python -m pipelines pretrain --models {models} --dataset {dataset}"


def _downloaded_first(request: _Request, folder: Path, dataset: str) -> Weights:
    """Download the weights of the first source that is available and valid."""
    model = request.model
    failures = []
    for source in _by_preference(model):
        try:
            weights = _read_or_discard(request, _downloaded(source, folder), folder)
        except UserError as error:
            failures.append(str(error))
        else:
            return replace(weights, notes=(*failures, *weights.notes))
    absent = ", and ".join([f"weights={AUTO}: no registered {dataset}-{model}, no {model} in {folder}", *failures])
    named = "|".join(source.name for source in SOURCES if source.model == model)
    raise UserError(f"{absent}; or {_train(dataset, model)}; or give weights=FILE, or weights={named}")


def _by_preference(model: str) -> list[Source]:
    """The sources of a model, those with a digest first, then the smallest."""
    sources = [source for source in SOURCES if source.model == model]
    return sorted(sources, key=lambda source: (not source.sha256, 0 if source.sha256 else source.megabytes))


def _registered(weights: str, fetch_champion: Fetch | None) -> _Found:
    named = _REGISTERED.fullmatch(weights)
    if named is None:
        raise UserError(f"weights={weights}: give models:/name@alias, for instance models:/cifar10-resnet18@champion")
    registered = fetch_champion(*named.groups()) if fetch_champion else None
    if registered is None:
        raise UserError(f"{weights}: no such model in the registry; train one: python -m pipelines pretrain")
    return _champion(weights, *registered)


def _champion(where: str, path: Path, recipe: object) -> _Found:
    return _Found(_File(path, path.name, where, partial(_read, path)), recipe=_checked_recipe(recipe, where))


def _checked_recipe(recipe: object, where: str) -> _Recipe:
    """Validate a recipe that `pretrain` wrote; those of early versions have no digest."""
    remedy = "train it again with python -m pipelines pretrain, or give weights=FILE"
    if not isinstance(recipe, dict):
        raise UserError(f"{where}: its {names.WEIGHTS_RECIPE} is not there, or no recipe; {remedy}")

    def refused(key: str) -> UserError:
        found = one_line(repr(recipe.get(key)))
        return UserError(f"{where}: {key} in its {names.WEIGHTS_RECIPE} cannot be {found}; {remedy}")

    stem, sha256 = recipe.get(names.STEM), recipe.get(names.SHA256, "")
    if stem not in (POOL, PLAIN):
        raise refused(names.STEM)
    mean = _colour(recipe.get(names.MEAN), lowest=-_LARGEST)
    if mean is None:
        raise refused(names.MEAN)
    deviation = _colour(recipe.get(names.DEVIATION), lowest=0)
    if deviation is None:
        raise refused(names.DEVIATION)
    if sha256 != "" and not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256)):
        raise refused(names.SHA256)
    return _Recipe(stem, Normalisation(mean, deviation), sha256)


def _colour(numbers: object, lowest: float) -> tuple[float, float, float] | None:
    """Red, green and blue, each above `lowest` and below _LARGEST; None where `numbers` is not a list of such three."""
    if not isinstance(numbers, list) or len(numbers) != 3:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        return None
    red, green, blue = numbers
    return (red, green, blue) if all(lowest < number < _LARGEST for number in numbers) else None


def _published(model: str, name: str, folder: Path) -> _Found:
    source = next((source for source in SOURCES if (source.name, source.model) == (name, model)), None)
    if source is None:
        models = ", ".join(source.model for source in SOURCES if source.name == name)
        raise UserError(f"weights={name}: it has no {model}, only {models}; give another source, or a file")
    return _downloaded(source, folder)


def _downloaded(source: Source, folder: Path) -> _Found:
    path = folder / source.file
    was_there = path.exists()
    # A digest of a member is not that of its archive.
    fetch(source.url, path, "" if source.member else source.sha256)
    file = _on_disk(path)
    if source.member:
        file = _File(path, source.member, f"{path}/{source.member}", partial(_read_named, path, source.member))
    return _Found(file, source, downloaded=None if was_there else path)


def _source_names() -> list[str]:
    return list(dict.fromkeys(source.name for source in SOURCES))


def _in_folder(model: str, folder: Path) -> _File | None:
    """Find the file in `folder` that is named after the model, else one in the zip archives there."""
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    beside = {path.name: partial(_read, path) for path in paths}
    files = [_File(path, path.name, str(path), beside[path.name], beside) for path in paths]
    if file := _chosen(model, files, folder):
        return file
    archived = (_in_archive(model, path) for path in paths if path.suffix == ".zip")
    return next(filter(None, archived), None)


def _in_archive(model: str, path: Path) -> _File | None:
    return _chosen(model, _members(path), path)


def _members(path: Path) -> list[_File]:
    """List the files in a zip archive, which is not unpacked; a link is read as the text of its target."""
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    readers = [partial(_read_member, path, member) for member in members]
    found = [PurePath(member.filename).name for member in members]
    beside = dict(zip(found, readers, strict=True))
    return [
        _File(path, name, f"{path}/{one_line(member.filename)}", read, beside)
        for name, member, read in zip(found, members, readers, strict=True)
    ]


def _chosen(model: str, files: Sequence[_File], where: Path) -> _File | None:
    """Choose the file named after the model; of several, all from known sources, the first one in SOURCES."""
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
    """True for a zip archive of files, False for a file of torch.save, whose format is a zip archive too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return not any(PurePath(member).name == "data.pkl" for member in archive.namelist())


def _on_disk(path: Path) -> _File:
    return _File(path, path.name, str(path), partial(_read, path))


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        require_size(os.fstat(file.fileno()).st_size, path)
        return file.read()


def _read_member(path: Path, member: zipfile.ZipInfo) -> bytes:
    require_size(member.file_size, f"{path}/{one_line(member.filename)}")
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)  # checks the CRC, and reads no more than the size given


def _read_named(path: Path, name: str) -> bytes:
    for file in _members(path):
        if file.name == name:
            return file.read()
    raise UserError(f"{path}: there is no {name} in it; fetch it again")


# Reading the file.


def _read_or_discard(request: _Request, found: _Found, folder: Path) -> Weights:
    """Read the weights that were found. An invalid download is deleted, so that the next attempt is not blocked."""
    try:
        return _read_weights(request, found, folder)
    except UserError:
        if found.downloaded:
            found.downloaded.unlink()
        raise


def _read_weights(request: _Request, found: _Found, folder: Path) -> Weights:
    file, recipe = found.file, found.recipe
    with refusing(file.where):
        raw = file.read()
        sha256 = hashlib.sha256(raw).hexdigest()
        source = found.source or (None if recipe else _source(request.model, file, sha256))
    digest = _expected(source, recipe)
    _require_digest(file, sha256, digest)
    read = state_dicts.read(request.model, raw, file.where, request.key)
    stem, normalisation = _stem_and_normalisation(request, read, recipe, source, file.where)
    notes = [read.note] if read.note else []
    if source and not digest and file.path.parent == folder:
        notes += _same_as_before(file, sha256)
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


def _source(model: str, file: _File, sha256: str) -> Source | None:
    """Recognise the source of a file by its digest, its name, or the digest of another file of the source beside it."""
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
    """True if a file beside `file`, in its archive or folder, has a digest that the source `name` publishes."""
    return any(
        hashlib.sha256(file.beside[source.member]()).hexdigest().startswith(source.sha256)
        for source in SOURCES
        if source.name == name and source.sha256 and source.member in file.beside
    )


def _expected(source: Source | None, recipe: _Recipe | None) -> str:
    """Digest that is known beforehand, or its first digits, or ""."""
    return source.sha256 if source else recipe.sha256 if recipe else ""


def _require_digest(file: _File, sha256: str, known: str) -> None:
    in_name = _DIGEST_IN_NAME.search(file.name)
    # Eight decimal digits may be a date.
    stated = in_name[1] if in_name and not in_name[1].isdecimal() else ""
    for expected in (known, stated):
        if not sha256.startswith(expected):
            raise UserError(
                f"{file.where}: expected sha256 {expected}, got {sha256}; it is damaged or another: fetch it again"
            )


def _same_as_before(file: _File, sha256: str) -> list[str]:
    """Compare the digest of a file without a published one with the recorded one, or record it if it is the first.

    Returns:
        Messages for the user.

    Raises:
        UserError: the digest differs.
    """
    record = file.path.with_name(f"{file.path.name}{RECORD}")
    try:
        with locks.on_file(record.with_name(f"{record.name}.lock"), "record a digest"):
            digests = _recorded(record)
            if file.name not in digests:
                write_text(record, json.dumps(digests | {file.name: sha256}, indent=1) + "\n")
    except OSError as error:
        return [
            f"{file.where}: its digest cannot be recorded in {record} ({error.strerror}), so a later change "
            "of the file would not be noticed"
        ]
    if (before := digests.get(file.name, sha256)) != sha256:
        raise UserError(
            f"{file.where}: sha256 was {before} when it was first used, and is {sha256}; "
            f"take the first one again or, if you want the other, delete {record}"
        )
    return (
        []
        if file.name in digests
        else [f"{file.where}: no digest of it is published; {sha256} is required from now on, as {record} says"]
    )


def _recorded(record: Path) -> dict[str, str]:
    """Recorded digests by file name; empty if there is no record."""
    if not record.exists():
        return {}
    try:
        with open_regular(record) as file:
            digests = json.loads(file.read())
    except ValueError as error:
        raise UserError(f"{record} is no record of digests; delete it") from error
    if not isinstance(digests, dict) or not all(isinstance(value, str) for value in digests.values()):
        raise UserError(f"{record} is no record of digests; delete it")
    return digests


def _stem_and_normalisation(
    request: _Request, read: state_dicts.StateDict, recipe: _Recipe | None, source: Source | None, where: str
) -> tuple[str, Normalisation]:
    """Determine stem and normalisation: those the user gives, else those known from the source of the weights.

    Raises:
        UserError: they are neither given nor known.
    """
    stems = RESNETS[request.model].stems
    stem, normalisation = _known_stem_and_normalisation(request.model, read, recipe, source)
    if len(stems) == 1:
        stem = stems[0]
    elif request.stem != AUTO:
        stem = request.stem
    normalisation = request.normalisation or normalisation
    if stem is None or normalisation is None:
        raise UserError(
            f"{where}: the weights of a {request.model} do not tell how it was trained; give stem={'|'.join(stems)} "
            f"and normalisation={'|'.join(NORMALISATIONS)}, or six numbers"
        )
    return stem, normalisation


def _known_stem_and_normalisation(
    model: str, read: state_dicts.StateDict, recipe: _Recipe | None, source: Source | None
) -> tuple[str | None, Normalisation | None]:
    """Stem and normalisation as known from the recipe, the source or the naming; None if unknown."""
    if recipe:
        return recipe.stem, recipe.normalisation
    if source:
        return source.stem, NORMALISATIONS[source.normalisation]
    if read.naming in _PROGRAMS:
        return _PROGRAMS[read.naming]
    # Akamaster's own weights have no convolutions in their shortcuts; those of others may be normalised otherwise.
    if len(RESNETS[model].stems) > 1 or (read.naming, read.shortcut) == (state_dicts.AKAMASTER, OPTION_B):
        return None, None
    return None, NORMALISATIONS[SHORTCUT_NORMALISATIONS[read.shortcut]]


def _normalisation(given: str) -> Normalisation | None:
    """Read the option `normalisation`; None for "auto"."""
    if given == AUTO:
        return None
    if given in NORMALISATIONS:
        return NORMALISATIONS[given]
    try:
        numbers = tuple(float(text) for text in re.split(r"[,;/\s]+", given.strip()))
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or min(numbers[3:]) <= 0:
        ways = ", ".join([AUTO, *NORMALISATIONS])
        raise UserError(f"normalisation={given}: give {ways}, or three means and three positive deviations")
    return Normalisation(numbers[:3], numbers[3:])
