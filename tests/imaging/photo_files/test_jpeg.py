"""JPEG files are accepted if all of their pixels arrived, whatever precedes or follows them, and refused otherwise."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import probe_photo, read_photo
from orchestrator.imaging.photo_files.jpeg import END, MAX_SCANS
from tests.support.bad_photos import QUARTERS, save
from tests.support.photo_bytes import jpeg_segment
from tests.support.pictures import wood_photo

PHOTO = Pillow.fromarray(wood_photo(320, 240))
SUBSAMPLED = save(PHOTO, "JPEG", quality=90)
SCAN = re.compile(rb"\xff\xda")
ENDS_IN_ZEROS = "white, optimised"
"""Only the zeros of its data and not their number tell this file from one that lacks its end."""
FILES = {
    "subsampled": SUBSAMPLED,
    "full colour": save(PHOTO, "JPEG", quality=90, subsampling=0),
    "optimised": save(PHOTO, "JPEG", quality=60, optimize=True),
    "restart markers": save(PHOTO, "JPEG", quality=90, restart_marker_blocks=7),
    "grey": save(PHOTO.convert("L"), "JPEG", quality=90),
    "CMYK": save(PHOTO.convert("CMYK"), "JPEG", quality=90),
    "progressive": save(PHOTO, "JPEG", quality=90, progressive=True),
    "middle grey": save(Pillow.new("RGB", (320, 240), (128, 128, 128)), "JPEG"),
    ENDS_IN_ZEROS: save(Pillow.new("RGB", (320, 240), "white"), "JPEG", optimize=True),
    "odd size": save(PHOTO.crop((0, 0, 307, 223)), "JPEG", quality=90),
}


def cut_scans(count: int) -> bytes:
    """The progressive photo without end marker and without its last ``count`` scans, each with its Huffman table."""
    data = FILES["progressive"]
    starts = [scan.start() for scan in SCAN.finditer(data)] + [len(data) - len(END)]
    end = starts[-1 - count]
    table = data.rfind(b"\xff\xc4", 0, end)
    return data[: table if table > starts[-2 - count] else end]


@pytest.mark.parametrize("name", [name for name in FILES if name != ENDS_IN_ZEROS])
def test_zeros_after_a_jpeg_without_end_marker_are_ignored(name: str) -> None:
    whole = FILES[name]
    assert np.array_equal(read_photo(whole.removesuffix(END) + bytes(4096)), read_photo(whole))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tail", [b"", b"PK\x03\x04" + bytes(range(200)), b"\xff", b"\xff\xe1\xff\xff"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_decoded_completely(name: str, tail: bytes) -> None:
    whole = FILES[name]
    assert np.array_equal(read_photo(whole.removesuffix(END) + tail), read_photo(whole))


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("progressive", "middle grey")])
@pytest.mark.parametrize("tail", [b"", END, b"\0" * 50_000, b"\0" * 50_000 + END])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_jpeg_that_lacks_rows_is_refused_with_the_first_missing_row(name: str, tail: bytes, share: float) -> None:
    data = FILES[name]
    start = data.index(b"\xff\xda") + 20
    cut = data[: start + int((len(data) - start) * share)].rstrip(b"\xff")
    with pytest.raises(InvalidInput, match=r"a damaged JPEG: it ends early, and its rows are missing from row \d+ on"):
        read_photo(cut + tail)


def test_the_last_block_of_a_jpeg_must_be_complete() -> None:
    for count in (4, 8, 16):
        with pytest.raises(InvalidInput, match=r"row 2[234]\d"):
            read_photo(SUBSAMPLED.removesuffix(END)[:-count])


def test_a_progressive_jpeg_may_lack_the_lowest_bit_of_its_coefficients() -> None:
    whole = read_photo(FILES["progressive"]).astype(int)
    for count in range(5):
        difference = np.abs(read_photo(cut_scans(count)) - whole)
        assert difference.mean() < 2
        assert difference.max() < 20


@pytest.mark.parametrize("count", [5, 6, 7, 8])
def test_a_progressive_jpeg_of_which_only_a_coarse_version_arrived_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match="only a coarse version"):
        read_photo(cut_scans(count))


def test_a_progressive_jpeg_whose_first_scan_is_cut_lacks_rows() -> None:
    data = FILES["progressive"]
    first, second = [scan.start() for scan in SCAN.finditer(data)][:2]
    for tail in (b"", END):
        with pytest.raises(InvalidInput, match="rows are missing from row"):
            read_photo(data[: (first + second) // 2] + tail)


def test_a_jpeg_that_ends_in_its_header_is_refused() -> None:
    start = SUBSAMPLED.index(b"\xff\xda")
    for length in (2, 3, 20, start // 2, start, start + 2, start + 14):
        with pytest.raises(InvalidInput, match="a damaged JPEG"):
            read_photo(SUBSAMPLED[:length])


def test_a_grey_photo_is_not_taken_for_missing_rows() -> None:
    grey = np.full((96, 128, 3), 128, np.uint8)
    assert np.abs(read_photo(save(Pillow.fromarray(grey), "JPEG")).astype(int) - 128).max() <= 1


def test_other_depths_than_8_bits_are_refused_by_name() -> None:
    frame = SUBSAMPLED.index(b"\xff\xc0")
    deep = SUBSAMPLED[: frame + 4] + b"\x0c" + SUBSAMPLED[frame + 5 :]
    with pytest.raises(InvalidInput, match="the JPEG has 12 bits per channel; save it with 8"):
        probe_photo(deep)


def test_a_jpeg_with_many_scans_is_refused_without_decoding_them() -> None:
    data = save(Pillow.new("L", (8000, 8000)), "JPEG", progressive=True)
    start, end = [scan.start() for scan in SCAN.finditer(data)][-1], len(data) - len(END)
    started = time.monotonic()
    with pytest.raises(InvalidInput, match=f"more than {MAX_SCANS} scans"):
        read_photo(data[:end] + data[start:end] * MAX_SCANS + END)
    with pytest.raises(InvalidInput, match="segments"):
        read_photo(data[:2] + jpeg_segment(0xFE, b"") * 2_000_000 + data[2:])
    assert time.monotonic() - started < 2


def test_a_jpeg_of_50_mb_of_marker_bytes_is_refused_quickly() -> None:
    started = time.monotonic()
    for filler in (b"\xff" * (40 << 20), b"\xff\xd0" * (20 << 20), b"\xff\x00" * (20 << 20)):
        with pytest.raises(InvalidInput, match="a damaged JPEG"):
            read_photo(SUBSAMPLED[:2] + filler)
    assert time.monotonic() - started < 10


def test_bytes_between_the_segments_of_a_jpeg_are_skipped() -> None:
    frame = SUBSAMPLED.index(b"\xff\xdb")
    padded = SUBSAMPLED[:frame] + b"\xff\xff\xff" + SUBSAMPLED[frame:]
    assert np.array_equal(read_photo(padded), read_photo(SUBSAMPLED))


def test_the_first_picture_of_several_is_decoded() -> None:
    first, second = Pillow.fromarray(QUARTERS), Pillow.new("RGB", (64, 64))
    data = save(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert read_photo(data).shape == QUARTERS.shape
    assert probe_photo(data).media_type == "image/jpeg"
