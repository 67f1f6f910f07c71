"""Images of any size and format as 3 x 32 x 32 bytes.

One rule for all: the first frame, turned as its EXIF says, on white where it is transparent, as RGB without regard to
colour profiles; of that the largest centred square, scaled to 32 x 32 by bilinear interpolation with antialiasing,
as torchvision's Resize does. 16 bits a channel become 8. An image of 32 x 32 pixels stays as it is.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageOps

from pipelines.data.images.dataset import SHAPE

SIDE = SHAPE[1]
MAX_PIXELS = 89_478_485  # of an image, Pillow's own limit: a small file can unpack to any number
MAX_BYTES = 1 << 28  # of a file; an uncompressed image of MAX_PIXELS is as large

_NEVER = {"EPS"}  # Pillow hands it to Ghostscript, a program
_SHORT, _WORD = 257, 0xFFFF  # 65535 / 255; the largest value of 16 bits


@contextmanager
def decoding() -> Iterator[None]:
    """Within it, warnings of too many pixels are errors, and others not shown; entered before threads are started."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(raw: bytes) -> np.ndarray:
    """Image (3, 32, 32) uint8 of a file's content, see above; within `decoding`.

    Raises:
        ValueError: it is broken, too large or no image; says which.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES >> 20} MiB")
    try:
        with Image.open(io.BytesIO(raw), formats=_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            image.load()
            return as_array(ImageOps.exif_transpose(image))
    except Image.UnidentifiedImageError as error:
        raise ValueError("no image" if raw else "empty") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # decoders of broken files raise whatever their parsing runs into
        raise ValueError(" ".join(str(error).split())[:80] or type(error).__name__) from error


def is_picture(name: str) -> bool:
    """Whether a file of this name would be one of the formats that `decode` reads, by its ending."""
    known = Image.registered_extensions()
    return known.get(PurePath(name).suffix.lower()) in _formats()


def as_array(image: Image.Image) -> np.ndarray:
    """Image (3, 32, 32) uint8 of a loaded image; raises ValueError if its pixels have no known range."""
    pixels = np.asarray(ImageOps.fit(_rgb(image), (SIDE, SIDE), Image.Resampling.BILINEAR))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _NEVER]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > _WORD:
            raise ValueError("32 bits a pixel, of no known range")
        image = Image.fromarray(np.rint(values / _SHORT).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
