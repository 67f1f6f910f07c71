"""Prepared data sets on the disk: arrays and a meta file, built once, replaced atomically, checked when loaded.

A data set has three functions: one that downloads its files, one that builds its cache in a folder from them, and one
that reads the cache and raises ValueError, LookupError, TypeError or OSError if it is damaged.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from pipelines.common import locks
from pipelines.common.archives import digest
from pipelines.common.command import hint
from pipelines.common.files import open_regular, replacing, write_text
from pipelines.common.origins import Origin
from pipelines.data.files.meta import elsewhere, peek
from pipelines.data.protocol import META_FILE, SAMPLE
from pipelines.errors import UserError

# Keys in the meta file: digest of the rest of that file; where the files were taken from; their digests; and, of a
# user's own data, the command that prepared them.
_OWN_DIGEST, _SOURCE, _FILES, COMMAND = "meta_digest", "source", "files", "command"
_SHA256_DIGITS = 64

Dataset = TypeVar("Dataset")
Kind = type | tuple[type, ...]


def prepare(
    name: str,
    data_dir: str | Path,
    source: str | Path,
    read: Callable[[Path], Dataset],
    build: Callable[[Path, Path], None],
    download: Callable[[Path], Path],
    url: str = "",
) -> Dataset:
    """Build the cache in ``data_dir/name`` if it does not exist, is damaged, or a `source` is given; then load it.

    Processes that prepare the same folder wait for one another.

    Args:
        name: of the data set.
        data_dir: folder of the caches.
        source: folder or archive that holds its files; empty: they are downloaded into ``data_dir/name/raw``.
        read: returns the data set, given the folder of its cache.
        build: writes the cache to a folder, from a folder or archive with the files.
        download: downloads the files to a folder, and returns the folder or archive that holds them.
        url: where `download` has them from.

    Raises:
        UserError: the folder or what `build` reads cannot be read or written; or from `build` or `download`.
    """
    folder = Path(data_dir) / name
    if not source:
        with suppress(UserError):
            return load(name, data_dir, read)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locks.on_file(folder / "prepare.lock", f"prepare {name}"):
            if not source:
                # Another process may have prepared the data while this one waited for the lock.
                with suppress(UserError):
                    return load(name, data_dir, read)
            found = Path(source) if source else _downloaded(download, folder / "raw")
            build(folder, found)
            _record_origin(folder, str(found.absolute()) if source else url, found)
    except OSError as error:
        raise UserError(
            f"cannot prepare {name}: {error.filename or folder}: {error.strerror or error}; "
            f"give a readable source and a data_dir that can be written, e.g. --data-dir {Path.home() / 'nn-data'}"
        ) from error
    return load(name, data_dir, read)


def _downloaded(download: Callable[[Path], Path], folder: Path) -> Path:
    try:
        return download(folder)
    except UserError as error:
        raise UserError(
            f"{error}; or give the files with --source FOLDER_OR_ARCHIVE, or take --dataset {SAMPLE}, which needs none"
        ) from error


def no_download(name: str, folder: Path) -> Path:
    """The `download` of a user's own data set, which has none.

    Raises:
        UserError: always.
    """
    raise UserError(f"{name} is none of the data sets that can be downloaded")


def _record_origin(folder: Path, where: str, source: Path) -> None:
    """Add to the meta file where the files were taken from, and the digest of the archive that held them."""
    with open_regular(folder / META_FILE) as file:
        meta = json.loads(file.read())
    del meta[_OWN_DIGEST]
    archive = {source.name: digest(source)} if source.is_file() else {}
    _write_meta(folder, meta | {_SOURCE: where, _FILES: meta.get(_FILES, {}) | archive})


def load(name: str, data_dir: str | Path, read: Callable[[Path], Dataset]) -> Dataset:
    """Load the data set in ``data_dir/name`` by `read`.

    Raises:
        UserError: not prepared, or changed since it was; names the command that prepares it.
    """
    folder = Path(data_dir) / name
    remedy = (
        f"run: {hint(peek(folder, COMMAND) or f'python -m pipelines prepare --dataset {name}{elsewhere(data_dir)}')}"
    )
    if not (folder / META_FILE).is_file():
        raise UserError(f"dataset {name} is not prepared in {folder}; {remedy}")
    try:
        return read(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"dataset {name} in {folder} is damaged or of another version; {remedy}") from error


def write(folder: Path, arrays: Mapping[str, Sequence[np.ndarray]], meta: Mapping[str, Any]) -> None:
    """Replace a cache. The meta file comes last; before, its digest does not match the mixture of old and new files.

    Args:
        folder: of the cache.
        arrays: by the name of the .npy file, each in consecutive pieces.
        meta: plain data, with the `format` of the cache, a digest of the arrays, and in `files` the SHA-256 of each
            file that they were read from.
    """
    for file_name, pieces in arrays.items():
        with replacing(folder / file_name) as file:
            _write_npy(file, pieces)
    _write_meta(folder, meta)


def _write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    write_text(folder / META_FILE, json.dumps({**meta, _OWN_DIGEST: _digest(meta)}, indent=1))


def read_meta(folder: Path, version: int, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Read and check the meta file.

    Args:
        folder: of the cache.
        version: expected value of `format`.
        kinds: type, or types, of each value that the caller uses.

    Raises:
        ValueError, KeyError, TypeError, OSError: it is broken, of another format, or no file.
    """
    with open_regular(folder / META_FILE) as file:
        meta = dict(json.loads(file.read()))
    if meta["format"] != version:
        raise ValueError(f"cache format {meta['format']}, not {version}")
    # Caches of earlier versions have none.
    if (digest := meta.pop(_OWN_DIGEST, None)) is not None and digest != _digest(meta):
        raise ValueError("the meta file differs")
    for key, kind in kinds.items():
        if not isinstance(meta[key], kind):
            raise TypeError(f"{key} is of type {type(meta[key]).__name__}")
    return meta


def origin(meta: Mapping[str, Any]) -> Origin:
    """Returns where the data of a meta file were taken from, as far as it says so; those of earlier versions may not.

    Raises:
        TypeError: it is no text, or the digests are none.
    """
    where, files = meta.get(_SOURCE, ""), meta.get(_FILES, {})
    if not isinstance(where, str) or not all(isinstance(each, str) for each in dict(files).values()):
        raise TypeError(f"{_SOURCE} or {_FILES} is no text")
    # Earlier versions recorded the SHA-1 of some files.
    return Origin(where, {name: each for name, each in files.items() if len(each) == _SHA256_DIGITS})


def _digest(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def map_array(path: Path) -> np.ndarray:
    """Memory-map a .npy file, read-only; raises ValueError or OSError if it is broken, or no regular file."""
    open_regular(path).close()
    return np.lib.format.open_memmap(path, mode="r")


def _write_npy(file: BinaryIO, pieces: Sequence[np.ndarray]) -> None:
    """Write the concatenation of `pieces` along the rows as one .npy, without concatenating them in memory."""
    header = {
        "descr": np.lib.format.dtype_to_descr(pieces[0].dtype),
        "fortran_order": False,
        "shape": (sum(len(piece) for piece in pieces), *pieces[0].shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)
    for piece in pieces:
        piece.tofile(file)
