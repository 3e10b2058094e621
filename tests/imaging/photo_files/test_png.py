"""PNG files: transparency of every kind, broken metadata, and files whose rows are missing."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import read_photo
from orchestrator.stages.intake import read_mask
from tests.support.bad_photos import QUARTERS, save
from tests.support.photo_bytes import LONG, SHORT, entry, png_chunk, png_photo, tiff_file
from tests.support.pictures import wood_photo

WHITE = (255, 255, 255)
PNG = save(Pillow.fromarray(QUARTERS), "PNG")
SIDE = 40
HEADER_END = 33


def key(*levels: int) -> bytes:
    return png_chunk(b"tRNS", struct.pack(f">{len(levels)}H", *levels))


def with_chunks(*chunks: bytes) -> bytes:
    """QUARTERS with ``chunks`` before its pixels."""
    return PNG[:HEADER_END] + b"".join(chunks) + PNG[HEADER_END:]


def two_levels(first: object, second: object, dtype: str, channels: int = 1) -> np.ndarray:
    """[SIDE, SIDE * channels] with ``first`` in the left half and ``second`` in the right half."""
    rows = np.empty((SIDE, SIDE, channels), dtype)
    rows[:, : SIDE // 2], rows[:, SIDE // 2 :] = first, second
    return rows.reshape(SIDE, -1)


def packed(left: int, right: int, depth: int) -> np.ndarray:
    """Rows of grey levels or palette indexes with fewer than 8 bits."""
    levels = np.full((SIDE, SIDE), left, np.uint8)
    levels[:, SIDE // 2 :] = right
    bits = (levels[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(SIDE, -1).astype(np.uint8), axis=1)


PALETTE = png_chunk(b"PLTE", bytes((200, 10, 10, 10, 200, 10, 10, 10, 200)))
TRANSPARENCY: dict[str, tuple[bytes, tuple[int, int, int], tuple[int, int, int]]] = {
    "black of RGB": (png_photo(two_levels((0, 0, 0), (9, 8, 7), "u1", 3), SIDE, 8, 2, key(0, 0, 0)), WHITE, (9, 8, 7)),
    "colour of RGB": (
        png_photo(two_levels((200, 40, 40), (200, 40, 41), "u1", 3), SIDE, 8, 2, key(200, 40, 40)),
        WHITE,
        (200, 40, 41),
    ),
    "only the low 8 bits count": (
        png_photo(two_levels((1, 2, 3), (0, 0, 0), "u1", 3), SIDE, 8, 2, key(0xFF01, 0x0102, 3)),
        WHITE,
        (0, 0, 0),
    ),
    "colour of 16-bit RGB": (
        png_photo(two_levels((0, 0, 7), (0, 0, 8), ">u2", 3), SIDE, 16, 2, key(0, 0, 7)),
        WHITE,
        (0, 0, 0),
    ),
    "black of grey": (png_photo(two_levels(0, 77, "u1"), SIDE, 8, 0, key(0)), WHITE, (77, 77, 77)),
    "grey of 16 bits": (png_photo(two_levels(514, 515, ">u2"), SIDE, 16, 0, key(514)), WHITE, (2, 2, 2)),
    "grey of 4 bits": (png_photo(packed(3, 10, 4), SIDE, 4, 0, key(3)), WHITE, (170, 170, 170)),
    "grey of 2 bits": (png_photo(packed(1, 2, 2), SIDE, 2, 0, key(1)), WHITE, (170, 170, 170)),
    "black of 1 bit": (png_photo(packed(0, 1, 1), SIDE, 1, 0, key(0)), WHITE, WHITE),
    "white of 1 bit": (png_photo(packed(1, 0, 1), SIDE, 1, 0, key(1)), WHITE, (0, 0, 0)),
    "one index of a palette": (
        png_photo(two_levels(0, 1, "u1"), SIDE, 8, 3, PALETTE, png_chunk(b"tRNS", b"\0")),
        WHITE,
        (10, 200, 10),
    ),
    "alpha per index": (
        png_photo(two_levels(0, 2, "u1"), SIDE, 8, 3, PALETTE, png_chunk(b"tRNS", b"\x80\xff\0")),
        (227, 132, 132),
        WHITE,
    ),
    "alpha of 2-bit indexes": (
        png_photo(packed(2, 1, 2), SIDE, 2, 3, PALETTE, png_chunk(b"tRNS", b"\x80\xff\0")),
        WHITE,
        (10, 200, 10),
    ),
    "more alphas than indexes": (
        png_photo(two_levels(0, 1, "u1"), SIDE, 8, 3, PALETTE, png_chunk(b"tRNS", b"\0\xff" * 150)),
        WHITE,
        (10, 200, 10),
    ),
    "grey with alpha": (png_photo(two_levels((0, 0), (77, 255), "u1", 2), SIDE, 8, 4), WHITE, (77, 77, 77)),
    "16-bit grey with alpha": (
        png_photo(two_levels((0, 0), (77 * 257, 65535), ">u2", 2), SIDE, 16, 4),
        WHITE,
        (77, 77, 77),
    ),
    "RGB with alpha": (
        png_photo(two_levels((0, 0, 0, 0), (10, 20, 30, 255), "u1", 4), SIDE, 8, 6),
        WHITE,
        (10, 20, 30),
    ),
    "16-bit RGB with alpha": (
        png_photo(two_levels((0, 0, 0, 0), (2570, 5140, 7710, 65535), ">u2", 4), SIDE, 16, 6),
        WHITE,
        (10, 20, 30),
    ),
    "a colour key beside alpha": (
        png_photo(two_levels((9, 9, 9, 255), (10, 20, 30, 0), "u1", 4), SIDE, 8, 6, key(9, 9, 9)),
        (9, 9, 9),
        WHITE,
    ),
}


@pytest.mark.parametrize("name", TRANSPARENCY)
def test_transparent_pixels_become_white(name: str) -> None:
    data, left, right = TRANSPARENCY[name]
    srgb = read_photo(data).astype(int)
    assert srgb.shape == (SIDE, SIDE, 3)
    assert np.abs(srgb[:, : SIDE // 2] - left).max() <= 1
    assert np.abs(srgb[:, SIDE // 2 :] - right).max() <= 1


@pytest.mark.parametrize("name", ["black of RGB", "black of grey", "RGB with alpha", "one index of a palette"])
def test_transparent_pixels_of_a_mask_are_outside(name: str) -> None:
    data, _, right = TRANSPARENCY[name]
    mask = read_mask(data, "mask")
    assert not mask[:, : SIDE // 2].any()
    assert (mask[:, SIDE // 2 :] == max(right)).all()


def test_a_colour_key_is_applied_before_the_photo_is_shrunk_and_turned() -> None:
    data = png_photo(two_levels((0, 0, 0), (9, 8, 7), "u1", 3), SIDE, 8, 2, key(0, 0, 0))
    turned = data[:HEADER_END] + png_chunk(b"eXIf", tiff_file([entry(0x0112, SHORT, 6)])) + data[HEADER_END:]
    srgb = read_photo(turned, max_side=20)
    assert (srgb[:10] == 255).all()
    assert (srgb[10:] == (9, 8, 7)).all()


CHUNKS: dict[str, bytes] = {
    "text without keyword": png_chunk(b"tEXt", b"\0text"),
    "text without separator": png_chunk(b"tEXt", b"Comment"),
    "text with a wrong checksum": png_chunk(b"tEXt", b"Comment\0text")[:-1] + b"?",
    "compressed text of noise": png_chunk(b"zTXt", b"Comment\0\0" + bytes(range(99))),
    "unknown compression of text": png_chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"text")),
    "text of 200 MB": png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20), 1)),
    "international text of noise": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bytes(range(99))),
    "international text, cut": png_chunk(b"iTXt", b"Comment\0\1"),
    "EXIF text of noise": png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  4\nxyz!")),
    "EXIF of noise": png_chunk(b"eXIf", bytes(range(200))),
    "EXIF with a wrong checksum": png_chunk(b"eXIf", tiff_file([entry(0x0112, SHORT, 6)]))[:-1] + b"?",
    "profile of noise": png_chunk(b"iCCP", b"name\0\0" + bytes(range(99))),
    "profile without name": png_chunk(b"iCCP", b""),
    "profile with a wrong checksum": png_chunk(b"iCCP", b"name\0\0" + zlib.compress(b"x"))[:-1] + b"?",
    "profile of 200 MB": png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(200 << 20), 1)),
    "empty gamma": png_chunk(b"gAMA", b""),
    "empty chromaticities": png_chunk(b"cHRM", b""),
    "empty rendering intent": png_chunk(b"sRGB", b""),
    "short resolution": png_chunk(b"pHYs", b"\0"),
    "private chunk": png_chunk(b"prVt", bytes(9)),
    "animation without frames": png_chunk(b"acTL", struct.pack(">II", 0, 0)),
    "animation of one frame": png_chunk(b"acTL", struct.pack(">II", 1, 0)),
    "animation with an invalid count": png_chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)),
    "frame control without animation": png_chunk(b"fcTL", bytes(3)),
    "second header": png_chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)),
    "palette of an RGB picture": PALETTE,
}


@pytest.mark.parametrize("name", CHUNKS)
def test_broken_chunks_without_pixels_do_not_prevent_the_decoding(name: str) -> None:
    started = time.monotonic()
    assert np.array_equal(read_photo(with_chunks(CHUNKS[name])), QUARTERS)
    end = PNG.rindex(b"IEND") - 4
    assert np.array_equal(read_photo(PNG[:end] + CHUNKS[name] + PNG[end:]), QUARTERS)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("keyword", ["exif", "APP1"])
def test_the_orientation_is_read_from_the_texts_of_imagemagick(keyword: str) -> None:
    block = b"Exif\0\0" + tiff_file([entry(0x0112, SHORT, 3), entry(0x011A, LONG, 72)])
    text = f"\n{keyword}\n{len(block):8}\n{block.hex()}\n"
    info = PngImagePlugin.PngInfo()
    info.add_text(f"Raw profile type {keyword}", text, zip=True)
    turned = save(Pillow.fromarray(QUARTERS[::-1, ::-1]), "PNG", pnginfo=info)
    assert np.array_equal(read_photo(turned), QUARTERS)


def test_a_png_that_lacks_only_its_last_chunk_is_decoded_completely() -> None:
    assert np.array_equal(read_photo(PNG[: PNG.rindex(b"IEND") - 4]), QUARTERS)
    assert np.array_equal(read_photo(PNG + b"PK\x03\x04"), QUARTERS)


@pytest.mark.parametrize(
    ("color_type", "depth"), [(0, 8), (2, 8), (3, 8), (4, 8), (6, 8), (0, 16), (2, 16), (4, 16), (6, 16)]
)
def test_a_png_whose_data_end_before_the_last_row_is_refused(color_type: int, depth: int) -> None:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    rows = np.ones((SIDE, SIDE * channels * depth // 8), np.uint8)
    data = png_photo(rows, SIDE, depth, color_type, PALETTE)
    assert read_photo(data).shape == (SIDE, SIDE, 3)
    taller = bytearray(data)
    taller[20:24] = struct.pack(">I", SIDE + 10)
    taller[29:33] = struct.pack(">I", zlib.crc32(taller[12:29]))
    with pytest.raises(InvalidInput, match=r"a damaged PNG: it ends early, after 80% of its pixels"):
        read_photo(bytes(taller))


def test_an_interlaced_png_whose_last_pass_is_missing_is_refused() -> None:
    whole, rows = np.dstack([np.arange(64, dtype=np.uint8)[None].repeat(63, 0)] * 3), []
    for left, top, right, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)):
        rows += [b"\0" + row.tobytes() for row in whole[top::down, left::right]]
    last = [b"\0" + row.tobytes() for row in whole[1::2]]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 63, 8, 2, 0, 0, 1))

    def interlaced(data: list[bytes]) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"".join(data))) + PNG[-12:]

    assert np.array_equal(read_photo(interlaced(rows + last)), whole)
    with pytest.raises(InvalidInput, match="ends early"):
        read_photo(interlaced(rows))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_png_that_is_cut_is_refused(share: float) -> None:
    data = save(Pillow.fromarray(wood_photo(320, 240)), "PNG")
    with pytest.raises(InvalidInput, match="a damaged PNG"):
        read_photo(data[: int(len(data) * share)])


def test_a_black_png_is_not_taken_for_missing_rows() -> None:
    assert not read_photo(save(Pillow.new("RGB", (64, 64)), "PNG")).any()


def test_broken_chunks_that_determine_pixels_are_refused() -> None:
    for chunk, problem in (
        (key(0)[:-1] + b"?", "checksum of its chunk tRNS"),
        (png_chunk(b"tRNS", b"\0"), "transparent colour has 1 bytes"),
    ):
        with pytest.raises(InvalidInput, match=problem):
            read_photo(png_photo(two_levels(0, 77, "u1"), SIDE, 8, 0, chunk))
    with pytest.raises(InvalidInput, match="its palette is missing"):
        read_photo(png_photo(two_levels(0, 1, "u1"), SIDE, 8, 3))


def test_a_png_with_a_million_chunks_is_refused_quickly() -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInput, match="chunks"):
        read_photo(with_chunks(png_chunk(b"prVt", b"") * 1_000_000))
    assert time.monotonic() - started < 3
