"""Images of a user's own, of any of the kinds that are read: told by what lies in a folder or file."""

from pathlib import Path, PurePosixPath

from pipelines.common.archives import KINDS, UNREADABLE, tree
from pipelines.data.images import cifar100, folders, npz
from pipelines.data.images.tables import ImageFormat, ImageTables
from pipelines.errors import UserError


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
