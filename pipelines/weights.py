"""Pretrained weights of ResNets: where they are found, how they are read without running anything, what they fit.

A state dict does not tell everything. Stem and normalisation of a ResNet-18, 34 or 50 leave no trace in it: they follow
from the source, which is known by its digest or its name, or the user tells them.
"""

import hashlib
import io
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from nnmodels.resnet import resnet
from pipelines import names
from pipelines.catalogue import (
    CIFAR10,
    NORMALISATIONS,
    OPTION_A,
    OPTION_B,
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

AUTO = "auto"
FOLDER = "weights"  # within data_dir: downloads, and what the user puts there
MAX_BYTES = 1 << 29  # a ResNet-50 is 94 MB, thrice that with an optimizer's state
SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".safetensors")
WRAPPER, PREFIX = "state_dict", "module."  # of a checkpoint, and of torch.nn.DataParallel

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
    with _refusing(weights):
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
    with _refusing(str(folder)):
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
    fetch(source.url, path, _Beginning("" if source.member else source.sha256))
    file = _on_disk(path)
    if source.member:
        file = _File(source.member, f"{path}/{source.member}", partial(_read_named, path, source.member))
    return _Found(file, source, downloaded=None if was_there else path)


class _Beginning(str):
    """The published beginning of a digest, for `fetch`: equal to the digests that begin so."""

    __slots__ = ()
    __hash__ = None

    def __eq__(self, digest: object) -> bool:
        return isinstance(digest, str) and digest.startswith(self)

    def __ne__(self, digest: object) -> bool:
        return not self == digest


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
        _File(name, f"{path}/{_line(member.filename)}", read, beside)
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
    several = ", ".join(_line(file.name) for file in fitting)
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
    _require_size(path.stat().st_size, path)
    return path.read_bytes()


def _read_member(path: Path, member: zipfile.ZipInfo) -> bytes:
    _require_size(member.file_size, f"{path}/{_line(member.filename)}")
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)  # checks its CRC, and gives no more than its size


def _read_named(path: Path, name: str) -> bytes:
    for file in _members(path):
        if file.name == name:
            return file.read()
    raise UserError(f"{path}: there is no {name} in it; fetch it again")


def _require_size(size: int, where: object) -> None:
    if size > MAX_BYTES:
        raise UserError(f"{where} has more than {MAX_BYTES >> 20} MiB, so it is no ResNet's; give the published file")


# Reading and recognising.


def _understood(model: str, found: _Found, stem: str, told: Normalisation | None) -> Weights:
    file = found.file
    with _refusing(file.where):
        raw = file.read()
        sha256 = hashlib.sha256(raw).hexdigest()
        source = found.source or (None if found.recipe else _source(model, file, sha256))
        _require_digest(file, sha256, source)
        loaded = _loaded(raw, file.where)
        tensors, dialect = _named_as_ours(*_state_dict(loaded, file.where))
        shortcut = _shortcut(model, tensors)
        state = _fitted(model, shortcut, tensors, file.where)
    stem, normalisation = _recipe(model, shortcut, stem, told, found.recipe, source, file.where)
    return Weights(
        state=state,
        sha256=sha256,
        origin=f"{source.name}, {file.where}" if source else file.where,
        stem=stem,
        shortcut=shortcut,
        mean=normalisation.mean,
        deviation=normalisation.deviation,
        published=source.accuracy if source else None,
        dialect=dialect,
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


def _loaded(raw: bytes, where: str) -> object:
    """What torch.save or safetensors wrote; raises whatever they raise."""
    if raw[8:9] == b"{":
        return safetensors.torch.load(raw)
    if raw.startswith(b"PK"):
        _require_sound(raw, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of several lines, about files that are then refused
        # Given explicitly: the default follows TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD.
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _require_sound(raw: bytes, where: str) -> None:
    """Check sizes and CRCs of a zip file of torch.save, which torch.load does not."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        _require_size(sum(member.file_size for member in archive.infolist()), f"{where}, unpacked,")
        if (member := archive.testzip()) is not None:
            raise UserError(f"{where}: {_line(member)} in it has another checksum; it is damaged: fetch it again")


def _state_dict(loaded: object, where: str) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by name, and what they were wrapped in."""
    wrapped = isinstance(loaded, dict) and isinstance(loaded.get(WRAPPER), dict)
    state = loaded[WRAPPER] if wrapped else loaded
    if not isinstance(state, dict):
        raise UserError(f"{where}: expected a state dict, found a {type(state).__name__}; save model.state_dict()")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            found = f"{_line(key)} of type {type(value).__name__}"
            raise UserError(f"{where}: expected tensors by name, found {found}; save model.state_dict()")
    prefixed = bool(state) and all(key.startswith(PREFIX) for key in state)
    if prefixed:
        state = {key.removeprefix(PREFIX): value for key, value in state.items()}
    return state, [PREFIX] * prefixed + [WRAPPER] * wrapped


def _named_as_ours(state: dict[str, Tensor], wrapping: list[str]) -> tuple[dict[str, Tensor], str]:
    """Tensors by torchvision's names, and the dialect they came in. timm's names are torchvision's."""
    dialect = "torchvision"
    if "linear.weight" in state:
        dialect = "akamaster"
        state = {re.sub(r"^linear\.", "fc.", key): value for key, value in state.items()}
    elif _has_convolved_shortcuts(state) and "layer4.0.conv1.weight" not in state:
        dialect = "chenyaofo"
    return state, ", ".join([dialect, *wrapping])


def _shortcut(model: str, state: Mapping[str, Tensor]) -> str:
    possible = RESNETS[model].shortcuts
    if len(possible) == 1:
        return possible[0]
    return OPTION_B if _has_convolved_shortcuts(state) else OPTION_A


def _has_convolved_shortcuts(state: Mapping[str, Tensor]) -> bool:
    return "layer2.0.downsample.0.weight" in state


def _fitted(model: str, shortcut: str, state: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors as the model wants them.

    Raises:
        UserError: with the first key that differs.
    """
    with torch.device("meta"):
        expected = resnet(model, shortcut=shortcut).state_dict()
    remedy = f"give weights of a {model} for 10 classes"
    fitted = {}
    for key, pattern in expected.items():
        if key.endswith(".num_batches_tracked"):
            fitted[key] = torch.zeros((), dtype=pattern.dtype)  # old files have none, and inference needs none
            continue
        found = _described(state[key]) if key in state else "none"
        if found != _described(pattern):
            raise UserError(f"{where} is no {model}: {key}: expected {_described(pattern)}, found {found}; {remedy}")
        fitted[key] = state[key].detach().to("cpu", torch.float32).contiguous()
        if not fitted[key].isfinite().all():
            raise UserError(f"{where}: {key} is not finite; it is damaged: fetch it again")
    unexpected = next((key for key in state if key not in expected), None)
    if unexpected is not None:
        raise UserError(f"{where} is no {model}: {_line(unexpected)}: expected none, found one; {remedy}")
    return fitted


def _described(value: Tensor) -> str:
    """Shape of a plain tensor of real numbers; else what is not plain about it."""
    if value.layout is not torch.strided:
        return str(value.layout)
    shape = "x".join(map(str, value.shape)) or "one number"
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}"


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


def _line(text: object) -> str:
    """What a file says that nobody vouches for, short and on one line."""
    return "".join(character if character.isprintable() else "?" for character in str(text)[:100])


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Whatever goes wrong in reading what nobody vouches for is one line."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}; give a file that can") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{where} is damaged or holds more than tensors, none of which was run; give a plain state dict"
        ) from error
    except Exception as error:
        raise UserError(
            f"{where} is damaged, or neither of torch.save nor of safetensors ({type(error).__name__}); fetch it again"
        ) from error
