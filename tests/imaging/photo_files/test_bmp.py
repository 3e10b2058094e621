"""BMP files of the usual kinds are decoded, and others are refused by name."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import probe_photo, read_photo
from orchestrator.imaging.photo_files.bmp import MAX_RUN_LENGTH_BYTES
from tests.support.bad_photos import QUARTERS, save

RAW, RUN_LENGTHS, MASKS, JPEG = 0, 1, 3, 4


def bmp(bits: int, compression: int, rows: bytes, palette: bytes = b"", masks: bytes = b"", height: int = 96) -> bytes:
    """A BMP file of 128 × 96 pixels. With ``masks``, the header is of version 5."""
    size = 124 if masks else 40
    colors = len(palette) // 4
    header = struct.pack("<IiiHHIIiiII", size, 128, height, 1, bits, compression, len(rows), 0, 0, colors, 0)
    body = (header + masks).ljust(size, b"\0") + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(body) + len(rows), 0, 0, 14 + len(body)) + body + rows


BGR = QUARTERS[..., ::-1]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_pixels_of_every_usual_kind_have_their_values(mode: str) -> None:
    picture = Pillow.fromarray(QUARTERS).convert(mode)
    data = save(picture, "BMP")
    assert np.array_equal(read_photo(data), np.asarray(picture.convert("RGB")))
    assert probe_photo(data).media_type == "image/bmp"


def test_rows_may_be_stored_from_the_top() -> None:
    assert np.array_equal(read_photo(bmp(24, RAW, BGR.tobytes(), height=-96)), QUARTERS)
    assert np.array_equal(read_photo(bmp(24, RAW, BGR[::-1].tobytes())), QUARTERS)


def test_run_lengths_are_decoded() -> None:
    indexes = np.zeros((96, 128), np.uint8)
    indexes[:48, :64], indexes[:48, 64:], indexes[48:, :64], indexes[48:, 64:] = 0, 1, 2, 3
    palette = b"".join(bytes([*QUARTERS[y, x][::-1], 0]) for y, x in ((0, 0), (0, 127), (95, 0), (95, 127)))
    rows = b"".join(bytes([64, row[0], 64, row[127], 0, 0]) for row in indexes[::-1])
    assert np.array_equal(read_photo(bmp(8, RUN_LENGTHS, rows + b"\0\1", palette)), QUARTERS)


@pytest.mark.parametrize(("alpha", "share"), [(255, 1.0), (51, 0.2), (0, 1.0)])
def test_the_fourth_channel_is_alpha_unless_it_is_zero_everywhere(alpha: int, share: float) -> None:
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    rows = np.dstack([BGR[::-1], np.full((96, 128), alpha, np.uint8)]).tobytes()
    expected = np.round(QUARTERS * share + 255 * (1 - share))
    assert np.abs(read_photo(bmp(32, MASKS, rows, masks=masks)) - expected).max() <= 1


def test_other_compressions_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="the BMP is compressed by method 4, which is not supported; save it as PNG"):
        read_photo(bmp(24, JPEG, b"\xff\xd8\xff"))


def test_a_cut_file_is_refused() -> None:
    data = bmp(24, RAW, BGR.tobytes())
    for length in (10, 20, 54, len(data) // 2, len(data) - 1):
        with pytest.raises(InvalidInput, match="a damaged BMP"):
            read_photo(data[:length])


def test_large_files_are_refused_before_decoding() -> None:
    started = time.monotonic()
    huge = bytearray(bmp(24, RAW, b""))
    huge[18:26] = struct.pack("<ii", 50_000, 50_000)
    with pytest.raises(InvalidInput, match="too many"):
        probe_photo(bytes(huge))
    with pytest.raises(InvalidInput, match=f"with run lengths, at most {MAX_RUN_LENGTH_BYTES} bytes are allowed"):
        read_photo(bmp(8, RUN_LENGTHS, b"\1\0" * (MAX_RUN_LENGTH_BYTES // 2), bytes(1024)))
    assert time.monotonic() - started < 1
