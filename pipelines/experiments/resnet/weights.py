"""Pretrained weights of ResNets: where they are found, and how the network they fit is built and fed.

A state dict does not tell everything. Stem and normalisation of a ResNet-18, 34 or 50 leave no trace in it: they follow
from the source, which is known by its digest or its name, from the program whose names the tensors have, or the user
tells them.

Only plain tensors are ever read, so that a file of unknown digest endangers figures and not the machine. Where a source
has no digest, that of the first download is recorded beside it, and required from then on.
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
FOLDER = "weights"  # within data_dir: downloads, and what the user puts there
RECORD = ".json"  # of digests, beside a download of a source without
SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".safetensors")

_REGISTERED = re.compile(r"models:/([^@/]+)@([^@/]+)")
# As in the names of published files, see torch.hub.load_state_dict_from_url.
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{64}|[0-9a-f]{8})\.")

# kuangliu's program has no pooling, and these figures; forks of it may have others, which the user can tell.
_PROGRAMS = {state_dicts.KUANGLIU: (PLAIN, NORMALISATIONS["cifar10"])}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1000  # of a mean or deviation

Fetch = Callable[[str, str], tuple[Path, object] | None]


class NoWeightsError(UserError):
    """Of a model there are no weights that suit the data set; one can be trained."""


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
        verified: whether a digest that was known before says that they are those of the source or of the registry; None
            of weights that are said to be nobody's.
        notes: what the user should know of how they were chosen, each one line.
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
    """Weights on their way to another process: their tensors lie in a file, `weights` has none.

    Attributes:
        weights: all but the tensors.
        path: of a safetensors file.
        sha256: of that file, hexadecimal.
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
    """The weights that `handed_over` wrote.

    Raises:
        UserError: the file is not the one that was written.
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
    """The weights of a model.

    Args:
        model: key of rows.RESNETS.
        weights: a file of torch.save or safetensors; a folder or zip archive with a file that names the model; the name
            of a known source (sources.SOURCES), downloaded to ``data_dir/weights``; ``models:/name@alias``; or
            "auto": the champion in the registry, else, for CIFAR-10, what lies in ``data_dir/weights``, else the first
            known source that can be had: those with a digest in the order of the catalogue, then the others, the
            smallest first.
        data_dir: where downloads are kept.
        stem: "pool", "plain", or "auto": the source's. Without meaning where the model has but one.
        normalisation: key of sources.NORMALISATIONS, six numbers (means, then deviations), or "auto": the source's.
        fetch_champion: of a registered model's name and alias gives its state dict, as a file, and its recipe
            (names.STEM, MEAN, DEVIATION, SHA256), of which nothing is taken for granted; None where there is none.
        dataset: that the champion was trained on.
        key: see state_dicts.read.

    Raises:
        NoWeightsError: no champion was trained on `dataset`, which is not CIFAR-10.
        UserError: there are none, or they are damaged, of another digest, of another architecture, not plain tensors,
            or do not tell what was not told either.
    """
    if stem not in (AUTO, POOL, PLAIN):
        raise UserError(f"stem={stem}: give {AUTO}, {POOL} or {PLAIN}")
    wanted = _Wanted(model, stem, _told(normalisation), key)
    folder = Path(data_dir) / FOLDER
    if weights != AUTO:
        return _understood(wanted, _located(model, weights, folder, fetch_champion), folder)
    if found := _present(model, folder, fetch_champion, dataset):
        return _understood(wanted, found, folder)
    return _downloaded_first(wanted, folder, dataset)


# Finding.


@dataclass(frozen=True)
class _Wanted:
    """What `find` is asked for; `told` is the normalisation, if the user tells it."""

    model: str
    stem: str
    told: Normalisation | None
    key: str


@dataclass(frozen=True)
class _File:
    """A file of weights, in a folder or in an archive.

    Attributes:
        path: of the file, or of the archive.
        name: without folders.
        where: for messages.
        read: gives its bytes.
        beside: readers of the files in the same folder or archive, by name.
    """

    path: Path
    name: str
    where: str
    read: Callable[[], bytes]
    beside: Mapping[str, Callable[[], bytes]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class _Recipe:
    """How a registered network must be built and fed; `sha256` of its file is empty where none was kept."""

    stem: str
    normalisation: Normalisation
    sha256: str


@dataclass(frozen=True)
class _Found:
    """A file, with its source or recipe where they are known beforehand.

    Attributes:
        downloaded: where it lies if it was downloaded just now.
    """

    file: _File
    source: Source | None = None
    recipe: _Recipe | None = None
    downloaded: Path | None = None


def _located(model: str, weights: str, folder: Path, fetch_champion: Fetch | None) -> _Found:
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


def _present(model: str, folder: Path, fetch_champion: Fetch | None, dataset: str) -> _Found | None:
    """What is there without a download: the registry's champion or, for CIFAR-10, what lies in `folder`."""
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


def _downloaded_first(wanted: _Wanted, folder: Path, dataset: str) -> Weights:
    """The weights of the first source that gives some."""
    model = wanted.model
    failures = []
    for source in _by_preference(model):
        try:
            weights = _understood(wanted, _downloaded(source, folder), folder)
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
    """A recipe as `pretrain` writes it; that of a version made before there were digests has none."""
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
    # The digest of a member is no digest of its archive.
    fetch(source.url, path, "" if source.member else source.sha256)
    file = _on_disk(path)
    if source.member:
        file = _File(path, source.member, f"{path}/{source.member}", partial(_read_named, path, source.member))
    return _Found(file, source, downloaded=None if was_there else path)


def _source_names() -> list[str]:
    return list(dict.fromkeys(source.name for source in SOURCES))


def _in_folder(model: str, folder: Path) -> _File | None:
    """The file of `folder` that is named after the model, else of the zip archives in it."""
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
    """The files in a zip archive, which is never unpacked; a link in it is the text of its target."""
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
    return _File(path, path.name, str(path), partial(_read, path))


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        require_size(os.fstat(file.fileno()).st_size, path)
        return file.read()


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


def _understood(wanted: _Wanted, found: _Found, folder: Path) -> Weights:
    """Weights from what was found; a download that is refused is removed, it would be in the way of the next try."""
    try:
        return _recognised(wanted, found, folder)
    except UserError:
        if found.downloaded:
            found.downloaded.unlink()
        raise


def _recognised(wanted: _Wanted, found: _Found, folder: Path) -> Weights:
    file, recipe = found.file, found.recipe
    with refusing(file.where):
        raw = file.read()
        sha256 = hashlib.sha256(raw).hexdigest()
        source = found.source or (None if recipe else _source(wanted.model, file, sha256))
    digest = _expected(source, recipe)
    _require_digest(file, sha256, digest)
    read = state_dicts.read(wanted.model, raw, file.where, wanted.key)
    stem, normalisation = _building(wanted, read, recipe, source, file.where)
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


def _expected(source: Source | None, recipe: _Recipe | None) -> str:
    """The digest that is known of weights, or its first digits, or nothing."""
    return source.sha256 if source else recipe.sha256 if recipe else ""


def _require_digest(file: _File, sha256: str, known: str) -> None:
    in_name = _DIGEST_IN_NAME.search(file.name)
    # Eight decimal digits may as well be a date.
    stated = in_name[1] if in_name and not in_name[1].isdecimal() else ""
    for expected in (known, stated):
        if not sha256.startswith(expected):
            raise UserError(
                f"{file.where}: expected sha256 {expected}, got {sha256}; it is damaged or another: fetch it again"
            )


def _same_as_before(file: _File, sha256: str) -> list[str]:
    """Requires the digest that was recorded of a file without a published one, or records it; what to tell of that.

    Raises:
        UserError: it is another.
    """
    record = file.path.with_name(f"{file.path.name}{RECORD}")
    try:
        with locks.on_file(record.with_name(f"{record.name}.lock"), "record a digest"):
            digests = _recorded(record)
            if file.name not in digests:
                write_text(record, json.dumps(digests | {file.name: sha256}, indent=1) + "\n")
    except OSError as error:
        return [f"{file.where}: its digest cannot be recorded in {record} ({error.strerror}), so nothing keeps it so"]
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
    """Digests by name; none where there is no record."""
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


def _building(
    wanted: _Wanted, read: state_dicts.StateDict, recipe: _Recipe | None, source: Source | None, where: str
) -> tuple[str, Normalisation]:
    """Stem and normalisation: what the user tells, else registry, source or program, else the only ones there are."""
    stems = RESNETS[wanted.model].stems
    stem, told = _known(wanted.model, read, recipe, source)
    if len(stems) == 1:
        stem = stems[0]
    elif wanted.stem != AUTO:
        stem = wanted.stem
    told = wanted.told or told
    if stem is None or told is None:
        raise UserError(
            f"{where}: the weights of a {wanted.model} do not tell how it was trained; give stem={'|'.join(stems)} and "
            f"normalisation={'|'.join(NORMALISATIONS)}, or six numbers"
        )
    return stem, told


def _known(
    model: str, read: state_dicts.StateDict, recipe: _Recipe | None, source: Source | None
) -> tuple[str | None, Normalisation | None]:
    """Stem and normalisation, as far as where they are from tells them."""
    if recipe:
        return recipe.stem, recipe.normalisation
    if source:
        return source.stem, NORMALISATIONS[source.normalisation]
    if read.naming in _PROGRAMS:
        return _PROGRAMS[read.naming]
    # Whoever convolves akamaster's shortcuts has trained without his figures beside.
    if len(RESNETS[model].stems) > 1 or (read.naming, read.shortcut) == (state_dicts.AKAMASTER, OPTION_B):
        return None, None
    return None, NORMALISATIONS[SHORTCUT_NORMALISATIONS[read.shortcut]]


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
