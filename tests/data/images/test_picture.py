"""Images of any size, mode and format, brought to 32 x 32."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from pipelines.data.images import picture
from pipelines.data.images.picture import decode, decoding

RNG = np.random.default_rng(0)
SQUARE = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
PHOTOGRAPH = load_sample_image("flower.jpg")  # 427 x 640


@pytest.fixture(autouse=True)
def _as_when_read():
    with decoding():
        yield


def saved(image, kind="PNG", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(raw := io.BytesIO(), kind, **options)
    return raw.getvalue()


def pixels(raw):
    """The image (32, 32, 3)."""
    image = decode(raw)
    assert (image.shape, image.dtype) == ((3, 32, 32), np.uint8)
    assert image.flags.c_contiguous
    return image.transpose(1, 2, 0)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP", "JPEG2000", "QOI", "SGI", "PCX", "ICO"])
def test_every_format_gives_the_pixels_of_an_image_of_that_size(kind):
    options = {"lossless": True} if kind == "WEBP" else {"sizes": [(32, 32)]} if kind == "ICO" else {}
    assert np.array_equal(pixels(saved(SQUARE, kind, **options)), SQUARE)


def test_jpeg_and_gif_give_what_pillow_reads():
    for kind in ("JPEG", "GIF"):
        raw = saved(SQUARE, kind)
        assert np.array_equal(pixels(raw), np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")))


@pytest.mark.parametrize("size", [(64, 64), (427, 427), (32, 64), (100, 40), (16, 16), (8, 30), (400, 640)])
def test_the_largest_centred_square_is_scaled_with_antialiasing(size):
    """As PyTorch's own interpolation does, which rounds later."""
    height, width = size
    image, side = PHOTOGRAPH[:height, :width], min(size)
    top, left = (height - side) // 2, (width - side) // 2
    square = torch.tensor(image[top : top + side, left : left + side].astype(np.float32)).permute(2, 0, 1)
    expected = torch.nn.functional.interpolate(square[None], (32, 32), mode="bilinear", antialias=True)[0]
    # Where there is more of the image beyond the square, the outermost pixels take a little of it.
    inner = slice(None) if height == width else slice(2, -2)
    np.testing.assert_allclose(pixels(saved(image))[inner, inner], expected.permute(1, 2, 0)[inner, inner], atol=1.5)


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1)])
def test_a_narrow_image_takes_no_more_memory_than_its_own(size):
    assert (pixels(saved(np.full((*size, 3), 7, np.uint8))) == 7).all()


def test_grey_is_the_same_in_each_channel():
    grey = SQUARE[:, :, 0]
    for image in (Image.fromarray(grey), Image.fromarray(grey).convert("LA")):
        assert np.array_equal(pixels(saved(image)), np.repeat(grey[:, :, None], 3, axis=2))


def test_black_and_white_is_0_and_255():
    bits = SQUARE[:, :, 0] > 127
    assert np.array_equal(pixels(saved(Image.fromarray(bits)))[:, :, 1], np.where(bits, 255, 0))


def test_16_bits_become_8():
    for kind in ("PNG", "TIFF"):
        wide = (SQUARE[:, :, 0].astype(np.uint16) * 257) + RNG.integers(-100, 100, (32, 32)).clip(0)
        wide = wide.clip(0, 65535).astype(np.uint16)
        assert np.array_equal(pixels(saved(wide, kind))[:, :, 2], np.rint(wide / 257))


def test_a_palette_is_looked_up():
    image = Image.fromarray(SQUARE).quantize(16)
    assert np.array_equal(pixels(saved(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("alpha", [0, 51, 255])
def test_what_is_transparent_is_on_white(alpha):
    rgba = np.dstack([SQUARE, np.full((32, 32), alpha, np.uint8)])
    expected = SQUARE * (alpha / 255) + 255 * (1 - alpha / 255)
    np.testing.assert_allclose(pixels(saved(rgba)), expected, atol=1)


def test_a_transparent_colour_of_a_palette_is_white():
    image = Image.fromarray(SQUARE).quantize(4)
    indices = np.asarray(image)
    found = pixels(saved(image, transparency=2))
    assert (found[indices == 2] == 255).all()
    assert np.array_equal(found[indices != 2], np.asarray(image.convert("RGB"))[indices != 2])


def test_cmyk_becomes_rgb():
    found = pixels(saved(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "TIFF"))
    assert found[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation):
    upright = Image.fromarray(SQUARE)
    (exif := Image.Exif())[0x0112] = orientation
    raw = saved(upright, exif=exif)
    turns = {
        1: SQUARE,
        2: SQUARE[:, ::-1],
        3: SQUARE[::-1, ::-1],
        4: SQUARE[::-1],
        5: SQUARE.transpose(1, 0, 2),
        6: np.rot90(SQUARE, -1),
        7: SQUARE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(SQUARE),
    }
    assert np.array_equal(pixels(raw), turns[orientation])


def test_of_several_frames_the_first_is_taken():
    first, second = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    for kind in ("TIFF", "PNG"):
        assert pixels(saved(first, kind, save_all=True, append_images=[second]))[5, 5].tolist() == [255, 0, 0]


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_bomb(side):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"text", "no image"),
        (saved(PHOTOGRAPH, "JPEG")[:4000], "truncated"),
        (saved(PHOTOGRAPH)[:4000], ""),
        (saved(PHOTOGRAPH).replace(b"IDAT", b"IDAX"), ""),
        (png_bomb(9_460), "more than 89,478,485 pixels"),
        (png_bomb(20_000), "more than 89,478,485 pixels"),
        (saved(np.full((40, 40), 0.5, np.float32), "TIFF"), "32 bits a pixel, of no known range"),
        (saved(np.full((40, 40), 1 << 20, np.int32), "TIFF"), "32 bits a pixel, of no known range"),
        (saved(PHOTOGRAPH[:40, :40], "EPS"), "no image"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "png without data", "bomb", "large bomb", "float", "int", "program"],
)
def test_what_is_no_readable_image_says_why(raw, reason):
    with pytest.raises(ValueError, match=reason) as error:
        decode(raw)
    assert "\n" not in str(error.value)


def test_a_large_file_is_not_looked_into(monkeypatch):
    raw = saved(SQUARE)
    monkeypatch.setattr(picture, "MAX_BYTES", len(raw) - 1)
    with pytest.raises(ValueError, match="more than 0 MiB"):
        decode(raw)


def reading(raw):
    try:
        decode(raw)
    except ValueError:
        return "refused"
    return "read"


def test_whatever_byte_is_changed_it_is_read_or_refused():
    image = Image.fromarray(PHOTOGRAPH[:60, :60])
    ends = set()
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        raw = saved(image, kind)
        for _ in range(60):
            changed = bytearray(raw)
            for _ in range(3):
                changed[RNG.integers(0, min(200, len(raw)))] = RNG.integers(0, 256)
            ends.add(reading(bytes(changed)))
    assert ends == {"read", "refused"}


def test_the_rule_is_that_of_pillows_fit():
    image = Image.fromarray(PHOTOGRAPH)
    assert np.array_equal(pixels(saved(image)), np.asarray(ImageOps.fit(image, (32, 32), Image.Resampling.BILINEAR)))
