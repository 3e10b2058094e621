"""TIFF files: the supported pixels have their exact values, and every other file is refused by name."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import probe_photo, read_photo
from tests.support.bad_photos import QUARTERS, inner_difference, rotated, save
from tests.support.photo_bytes import LONG, SHORT, Entry, entry, first_byte, tiff_file, tiff_photo

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
GREY = QUARTERS[..., 0]
GREY_RGB = np.dstack([GREY] * 3)
DEEP, DEEP_GREY = QUARTERS.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257
ALPHA = np.full((96, 128, 1), 51, np.uint8)
ON_WHITE = np.round(QUARTERS * 0.2 + 255 * 0.8).astype(np.uint8)
GREY_ON_WHITE = np.dstack([ON_WHITE[..., 0]] * 3)
FAINT = np.round(QUARTERS * 0.2).astype(np.uint8)  # multiplied by alpha
INKS = np.dstack([255 - QUARTERS, np.zeros((96, 128), np.uint8)])
UNSPECIFIED, ASSOCIATED, UNASSOCIATED = (entry(338, SHORT, kind) for kind in range(3))
COLORS = np.random.default_rng(0).integers(0, 256, (3, 256))
PALETTE_RGB = COLORS[:, GREY].transpose(1, 2, 0)
COLOR_MAP = entry(320, SHORT, *(COLORS * 257).ravel())
SHALLOW_MAP = entry(320, SHORT, *COLORS.ravel())
PIXELS: dict[str, tuple[np.ndarray, int, tuple[Entry, ...], np.ndarray]] = {
    "grey": (GREY, BLACK_IS_ZERO, (), GREY_RGB),
    "inverted grey": (255 - GREY, WHITE_IS_ZERO, (), GREY_RGB),
    "16-bit grey": (DEEP_GREY, BLACK_IS_ZERO, (), GREY_RGB),
    "inverted 16-bit grey": (65535 - DEEP_GREY, WHITE_IS_ZERO, (), GREY_RGB),
    "RGB": (QUARTERS, RGB, (), QUARTERS),
    "16-bit RGB": (DEEP, RGB, (), QUARTERS),
    "RGB with alpha": (np.dstack([QUARTERS, ALPHA]), RGB, (UNASSOCIATED,), ON_WHITE),
    "RGB multiplied by alpha": (np.dstack([FAINT, ALPHA]), RGB, (ASSOCIATED,), ON_WHITE),
    "16-bit RGB with alpha": (np.dstack([QUARTERS, ALPHA]).astype("u2") * 257, RGB, (UNASSOCIATED,), ON_WHITE),
    "16-bit RGB multiplied by alpha": (np.dstack([FAINT, ALPHA]).astype("u2") * 257, RGB, (ASSOCIATED,), ON_WHITE),
    "RGB with a channel that is not alpha": (np.dstack([QUARTERS, ALPHA]), RGB, (UNSPECIFIED,), QUARTERS),
    "grey with alpha": (np.dstack([GREY, ALPHA]), BLACK_IS_ZERO, (UNASSOCIATED,), GREY_ON_WHITE),
    "grey multiplied by alpha": (np.dstack([FAINT[..., 0], ALPHA]), BLACK_IS_ZERO, (ASSOCIATED,), GREY_ON_WHITE),
    "palette": (GREY, PALETTE, (COLOR_MAP,), PALETTE_RGB),
    "palette of 8-bit colours": (GREY, PALETTE, (SHALLOW_MAP,), PALETTE_RGB),
    "CMYK": (INKS, CMYK, (), QUARTERS),
    "16-bit CMYK": (INKS.astype(np.uint16) * 257, CMYK, (), QUARTERS),
}


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("deflate", [False, True])
def test_pixels_of_every_supported_kind_have_their_values(name: str, order: str, big: bool, deflate: bool) -> None:
    pixels, model, extra, expected = PIXELS[name]
    ordered = [(tag, type, count, _swapped(raw, type, order)) for tag, type, count, raw in extra]
    data = tiff_photo(pixels, model, *ordered, order=order, big=big, deflate=deflate)
    # Levels that were multiplied by an alpha of a fifth are known to 5 steps, of which white hides four fifths.
    assert np.abs(read_photo(data).astype(int) - expected).max() <= 1
    assert probe_photo(data).media_type == "image/tiff"


def _swapped(raw: bytes, type: int, order: str) -> bytes:
    return np.frombuffer(raw, "<u2").astype(f"{order}u2").tobytes() if type == SHORT else raw


@pytest.mark.parametrize("model", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_levels_of_few_bits_have_their_values(model: int, bits: int) -> None:
    levels = GREY >> (8 - bits)
    stored = levels if model == BLACK_IS_ZERO else (1 << bits) - 1 - levels
    unpacked = (stored[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    data = tiff_photo(np.packbits(unpacked.reshape(96, -1).astype(np.uint8), axis=1), model, bits=bits)
    expected = levels.astype(int) * 255 // ((1 << bits) - 1)
    assert np.array_equal(read_photo(data), np.dstack([expected] * 3))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate", "zstd", "lzma"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "1"])
def test_lossless_compressions_keep_the_pixels(compression: str, mode: str) -> None:
    picture = Pillow.fromarray(QUARTERS).convert(mode)
    data = save(picture, "TIFF", compression=compression)
    assert np.array_equal(read_photo(data), np.asarray(picture.convert("RGB")))


def test_jpeg_and_fax_compression_are_decoded() -> None:
    plain = Pillow.fromarray(QUARTERS)
    inner = np.r_[10:38, 58:86][:, None], np.r_[10:54, 74:118][None]
    lossy = read_photo(save(plain, "TIFF", compression="jpeg", quality=95))
    assert np.abs(lossy[inner].astype(int) - QUARTERS[inner]).max() <= 12
    bilevel = plain.convert("1", dither=Pillow.Dither.NONE)
    for compression in ("tiff_ccitt", "group3", "group4"):
        assert np.array_equal(read_photo(save(bilevel, "TIFF", compression=compression)), bilevel.convert("RGB"))


def test_tiles_and_planes_are_decoded() -> None:
    tiles = [QUARTERS[y : y + 32, x : x + 48] for y in range(0, 96, 32) for x in range(0, 128, 48)]
    padded = [np.pad(tile, ((0, 0), (0, 48 - tile.shape[1]), (0, 0))) for tile in tiles]
    body = b"".join(tile.tobytes() for tile in padded)
    size = 32 * 48 * 3
    offsets = [first_byte() + size * number for number in range(len(tiles))]
    tiled = [entry(322, SHORT, 48), entry(323, SHORT, 32), entry(324, LONG, *offsets), entry(325, LONG, *[size] * 9)]
    header = [entry(256, SHORT, 128), entry(257, SHORT, 96), entry(258, SHORT, 8, 8, 8), entry(262, SHORT, RGB)]
    assert np.array_equal(read_photo(tiff_file([*header, entry(277, SHORT, 3), *tiled], head=body)), QUARTERS)
    planes = np.ascontiguousarray(np.moveaxis(QUARTERS, 2, 0)).tobytes()
    starts = [first_byte() + 96 * 128 * number for number in range(3)]
    separate = [
        entry(277, SHORT, 3),
        entry(284, SHORT, 2),
        entry(273, LONG, *starts),
        entry(279, LONG, *[96 * 128] * 3),
    ]
    assert np.array_equal(read_photo(tiff_file([*header, *separate], head=planes)), QUARTERS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_upright(orientation: int, compression: str | None) -> None:
    stored = Pillow.open(io.BytesIO(rotated(orientation)))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    srgb = read_photo(save(stored.convert("RGB"), "TIFF", exif=exif, compression=compression))
    assert inner_difference(srgb, QUARTERS) <= 12


def test_the_first_of_several_pages_is_decoded() -> None:
    pages = [Pillow.fromarray(QUARTERS), Pillow.new("L", (9, 9))]
    assert np.array_equal(read_photo(save(pages[0], "TIFF", save_all=True, append_images=pages[1:])), QUARTERS)


@pytest.mark.parametrize(
    "extra",
    [
        entry(34665, LONG, 0xFFFFFFF0),  # EXIF directory past the end
        entry(34665, LONG, 8),
        entry(330, LONG, *[8] * 1000),  # directories inside this one
        (270, 2, 0x7FFFFFFF, struct.pack("<I", 8)),  # a description of 2 GB
        entry(282, 5, 72, 0),  # a resolution divided by zero
        entry(33432, 12, 1.5),  # a copyright that is a number
        entry(700, 7, *b"<not XMP"),
        (37510, 99, 1, bytes(4)),  # an unknown type
    ],
)
def test_broken_tags_without_pixels_do_not_prevent_the_decoding(extra: Entry) -> None:
    for compressed in (False, True):
        assert np.array_equal(read_photo(tiff_photo(QUARTERS, RGB, extra, deflate=compressed)), QUARTERS)


REFUSED: dict[str, tuple[bytes, str]] = {
    "floating-point": (
        tiff_photo(GREY.astype(np.float32), BLACK_IS_ZERO, entry(339, SHORT, 3)),
        "the TIFF has floating-point values, which is not supported; save it as grey, RGB, palette or CMYK with 8",
    ),
    "half floating-point": (
        tiff_photo(QUARTERS.astype(np.float16), RGB, entry(339, SHORT, 3, 3, 3)),
        "floating-point values",
    ),
    "signed": (tiff_photo(GREY.astype(np.int16), BLACK_IS_ZERO, entry(339, SHORT, 2)), "signed values"),
    "32 bits": (tiff_photo(GREY.astype(np.uint32), BLACK_IS_ZERO), "1 × 32 bits per pixel in colour model 1"),
    "16-bit grey with alpha": (
        tiff_photo(np.dstack([GREY, ALPHA]).astype("u2"), BLACK_IS_ZERO, UNASSOCIATED),
        "2 × 16 bits per pixel",
    ),
    "16-bit planes": (
        tiff_photo(DEEP, RGB, entry(284, SHORT, 2)),
        "16-bit channels in separate planes, which is not supported; save it with interleaved",
    ),
    "logarithmic": (tiff_photo(GREY, 32844), "colour model 32844"),
    "subsampled": (tiff_photo(QUARTERS, 6, entry(530, SHORT, 2, 2)), "subsampled colours"),
    "JPEG 2000 inside": (
        tiff_photo(QUARTERS, RGB, entry(259, SHORT, 34712)),
        "compressed by method 34712, which is not supported; save it uncompressed, or with LZW, deflate or JPEG",
    ),
    "old JPEG inside": (tiff_photo(QUARTERS, 6, entry(259, SHORT, 6)), "compressed by method 6"),
    "sensor data": (tiff_photo(GREY, 32803), "a raw photo, or a TIFF whose first page is a thumbnail; export it"),
    "DNG": (tiff_photo(QUARTERS, RGB, entry(50706, 1, 1, 4, 0, 0)), "a raw photo"),
    "thumbnail": (tiff_photo(QUARTERS, RGB, entry(254, LONG, 1)), "a raw photo"),
    "no pages": (b"II\x2a\0" + bytes(4), "a damaged TIFF: it has no pages"),
    "directory past the end": (b"II\x2a\0\xff\xff\xff\0", "a damaged TIFF"),
    "no size": (tiff_file([entry(262, SHORT, RGB)]), "a damaged TIFF: its width or height is missing"),
    "pixels past the end": (tiff_photo(QUARTERS, RGB, entry(273, LONG, 9_999_999)), "a damaged TIFF"),
    "cut": (tiff_photo(QUARTERS, RGB)[:-100], "a damaged TIFF"),
    "no strips": (tiff_photo(QUARTERS, RGB, (273, 99, 1, bytes(4))), "it lists 0 strips, but the page has 1"),
    "fewer strips than rows": (
        tiff_photo(QUARTERS, RGB, entry(278, SHORT, 10)),
        "it lists 1 strips, but the page has 10",
    ),
    "strips past the end": (
        tiff_photo(QUARTERS, RGB, entry(278, SHORT, 1), (273, LONG, 96, struct.pack("<I", 9_999_999))),
        "strips",
    ),
    "palette without colours": (tiff_photo(GREY, PALETTE), "a damaged TIFF"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_tiff_files_are_refused_by_name(name: str) -> None:
    data, message = REFUSED[name]
    with pytest.raises(InvalidInput) as refused:
        read_photo(data, "data")
    assert refused.value.field == "data"
    assert message in refused.value.description


@pytest.mark.parametrize("deflate", [False, True])
def test_a_tiff_that_lacks_rows_is_refused(deflate: bool) -> None:
    pixels = QUARTERS.tobytes()[: 60 * 128 * 3]
    body = zlib.compress(pixels) if deflate else pixels
    header = [
        entry(256, SHORT, 128),
        entry(257, SHORT, 96),
        entry(258, SHORT, 8, 8, 8),
        entry(259, SHORT, 8 if deflate else 1),
        entry(262, SHORT, RGB),
        entry(277, SHORT, 3),
    ]
    offset = 8 + 2 + 12 * 8 + 4 + 6  # the pixels end the file
    data = tiff_file([*header, entry(273, LONG, offset), entry(279, LONG, len(body))]) + body
    with pytest.raises(InvalidInput, match="a damaged TIFF: its pixels are not readable"):
        read_photo(data)


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_a_tiff_of_too_many_pixels_is_refused_before_decoding(compression: int) -> None:
    started = time.monotonic()
    for width, height in ((50_000, 50_000), (0x7FFFFFFF, 0x7FFFFFFF), (10_001, 10_000)):
        size = (entry(256, LONG, width), entry(257, LONG, height), entry(259, SHORT, compression))
        with pytest.raises(InvalidInput, match=f"{width}×{height} pixels are too many"):
            probe_photo(tiff_photo(GREY, BLACK_IS_ZERO, *size))
    assert time.monotonic() - started < 1


def test_hostile_directories_take_neither_time_nor_memory() -> None:
    started = time.monotonic()
    count = 4_000_000
    strips = np.full(count, 8, "<u4").tobytes()
    many = (273, LONG, count, strips), entry(278, SHORT, 1)
    with pytest.raises(InvalidInput, match="strips"):
        read_photo(tiff_photo(QUARTERS, RGB, *many))
    huge_tile = (
        entry(322, LONG, 0x7FFFFFFF),
        entry(323, LONG, 0x7FFFFFFF),
        entry(324, LONG, 8),
        (273, 99, 1, bytes(4)),
    )
    with pytest.raises(InvalidInput, match="its tiles have"):
        read_photo(tiff_photo(QUARTERS, RGB, *huge_tile))
    chain = b"".join(struct.pack("<HI", 0, 8 + 6 * (number + 1)) for number in range(1_000_000))
    with pytest.raises(InvalidInput):
        read_photo(b"II\x2a\0\x08\0\0\0" + chain)
    pages = tiff_photo(QUARTERS, RGB)
    endless = pages[:-10] + pages[4:8] + pages[-6:]  # the next directory is the same one
    assert read_photo(endless).shape == QUARTERS.shape
    assert time.monotonic() - started < 5
