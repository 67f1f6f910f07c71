"""Images of a user's own, of any of the kinds that are read: told by what lies in a folder or file."""

from functools import partial
from pathlib import Path, PurePosixPath

from pipelines.common.archives import KINDS, UNREADABLE, tree
from pipelines.data.files import cache
from pipelines.data.images import cifar100, folders, npz
from pipelines.data.images.dataset import ImageDataset, read_cache, write_cache
from pipelines.data.images.picture import is_picture
from pipelines.data.images.tables import ImageFormat, ImageTables
from pipelines.data.protocol import DATA_DIR, IMAGES, KIND
from pipelines.errors import UserError


def prepare(name: str, data_dir: str | Path, source: str | Path, given: ImageFormat, command: str) -> ImageDataset:
    """Read the images of `source`, cache them in ``data_dir/name``, and load the cache; see `cache.prepare`.

    Args:
        name: of the data set.
        data_dir: folder of the caches.
        source: see `read_images`; empty: what has been prepared is loaded.
        given: the options of reading.
        command: command line that does this again, for messages.

    Raises:
        UserError: no source, or one that cannot be read.
    """
    build = partial(_build, given=given, command=command)
    return cache.prepare(name, data_dir, source, partial(_read, name), build, partial(cache.no_download, name))


def load(name: str, data_dir: str | Path = DATA_DIR) -> ImageDataset:
    """Memory-map the prepared data set, checked against its digest.

    Raises:
        UserError: not prepared, or changed since it was; names the command that prepares it.
    """
    return cache.load(name, data_dir, partial(_read, name))


def _read(name: str, folder: Path) -> ImageDataset:
    return read_cache(name, None, folder)


def _build(folder: Path, source: Path, given: ImageFormat, command: str) -> None:
    """Read the images of `source` and write the cache in `folder`."""
    read = read_images(source, given)
    facts = {KIND: IMAGES, "verified": None, "found": list(read.found), cache.COMMAND: command}
    write_cache(folder, read.classes, read.arrays, read.counts, read.hashes, facts)


def holds_images(source: Path) -> bool:
    """Whether `read_images` is for what lies in a source, told by names: pictures, arrays, or CIFAR-100's files.

    Raises:
        OSError: `source` cannot be read.
    """
    source = _only_file(source)
    if source.is_file() and npz.is_npz(source):
        return True
    try:
        paths = [PurePosixPath(entry.path) for entry in tree(source, folders.MAX_UNPACKED)]
    except UNREADABLE:
        return False
    return cifar100.is_among([path.name for path in paths]) or any(is_picture(path.name) for path in paths)


def read_images(source: Path, how: ImageFormat) -> ImageTables:
    """Read labelled images, and bring them to 32 x 32 pixels in colour.

    Args:
        source: a folder or archive with a folder of images for each class (see folders.py); a .npz (see npz.py); or
            a folder or archive of CIFAR-100's files (see cifar100.py). A folder with nothing but an archive or a .npz
            stands for that.
        how: the options of reading.

    Returns:
        The images and labels, and in `found` what was made of them.

    Raises:
        UserError: it is none of these, or has files or arrays that cannot be read; names them.
        OSError: something cannot be read.
    """
    source = _only_file(source)
    if source.is_file() and npz.is_npz(source):
        return npz.read(source)
    try:
        paths = [entry.path for entry in tree(source, folders.MAX_UNPACKED)]
        if cifar100.is_among([PurePosixPath(path).name for path in paths]):
            return cifar100.read(source)
        return folders.read(source, paths, how)
    except UNREADABLE as error:
        raise UserError(f"{source} is no readable folder, .npz or archive: {KINDS} ({error}); give one") from error


def _only_file(source: Path) -> Path:
    """The file in a folder with no other one; anything else as it is."""
    if not source.is_dir():
        return source
    first = []
    for entry in tree(source, 0):
        first.append(entry)
        if len(first) > 1:
            return source
    return source / first[0].path if first else source
