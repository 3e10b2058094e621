"""Broken metadata never prevents the decoding of a photo, and its readable orientation is applied."""

from __future__ import annotations

import io
import struct
import warnings

import pytest
from PIL import Image as Pillow
from PIL import ImageFile

from orchestrator.imaging.photo import focal_length_35mm, probe_photo, read_photo
from orchestrator.imaging.photo_files.exif import orientation
from tests.support.bad_photos import QUARTERS, inner_difference, save
from tests.support.photo_bytes import (
    LONG,
    SHORT,
    Entry,
    entry,
    exif,
    jpeg_segment,
    png_chunk,
    tiff_file,
    tiff_photo,
    with_segments,
)

PLAIN = Pillow.fromarray(QUARTERS)
TURNED = PLAIN.transpose(Pillow.Transpose.ROTATE_90)  # orientation 6 turns it back
JPEG = save(TURNED, "JPEG", quality=95, subsampling=0)
MAKE = 0x010F
ORIENTATION = 0x0112
RIGHT = entry(ORIENTATION, SHORT, 6)
PAST_THE_END = (MAKE, 2, 4000, struct.pack("<I", 90_000))
BLOCKS: dict[str, bytes] = {
    "value past the end": exif(PAST_THE_END, RIGHT),
    "value at the end of a 4 GB file": exif((MAKE, 2, 0xFFFFFFFF, struct.pack("<I", 0xFFFFFFF0)), RIGHT),
    "unknown type": exif((MAKE, 99, 1, bytes(4)), RIGHT),
    "no values": exif((MAKE, 2, 0, bytes(4)), RIGHT),
    "big-endian": exif(entry(ORIENTATION, SHORT, 6, order=">"), order=">"),
    "orientation as a long": exif(entry(ORIENTATION, LONG, 6)),
    "orientation as a byte": exif(entry(ORIENTATION, 1, 6)),
    "two orientations": exif(entry(ORIENTATION, SHORT, 6, 1)),
    "prefix twice": b"Exif\0\0" + exif(RIGHT),
    "directory cut after the orientation": exif(RIGHT)[: 6 + 8 + 2 + 12],
    "more entries announced than there are": exif(RIGHT)[:14] + b"\xff\xff" + exif(RIGHT)[16:],
    "GPS directory past the end": exif(RIGHT, entry(0x8825, LONG, 1_000_000)),
    "EXIF directory that contains itself": exif(RIGHT, entry(0x8769, LONG, 8)),
    "maker notes of noise": exif(RIGHT, entry(0x927C, 7, *range(250))),
    "resolution divided by zero": exif(RIGHT, entry(0x011A, 5, 72, 0), entry(0x0128, SHORT, 2)),
}
UNREADABLE: dict[str, bytes] = {
    "empty": b"Exif\0\0",
    "noise": b"Exif\0\0" + bytes(range(255, -1, -1)) * 4,
    "no directory": b"Exif\0\0II*\0",
    "directory past the end": b"Exif\0\0II*\0" + struct.pack("<I", 70_000),
    "orientation of text": exif(entry(ORIENTATION, 2, ord("6"))),
    "orientation past the end": exif((ORIENTATION, SHORT, 9, struct.pack("<I", 90_000))),
    "orientation 0": exif(entry(ORIENTATION, SHORT, 0)),
    "orientation 9": exif(entry(ORIENTATION, SHORT, 9)),
}


def assert_upright(data: bytes, tolerance: int = 12) -> None:
    """Assert that a file decodes to QUARTERS, away from the edges of the quarters."""
    srgb = read_photo(data)
    assert srgb.shape == QUARTERS.shape
    assert inner_difference(srgb, QUARTERS) <= tolerance
    info = probe_photo(data)
    assert (info.width, info.height) == (128, 96)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_readable_orientation_in_broken_exif_data_is_applied(name: str) -> None:
    assert_upright(with_segments(JPEG, jpeg_segment(0xE1, BLOCKS[name])))


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_exif_data_are_ignored(name: str) -> None:
    plain = save(PLAIN, "JPEG", quality=95, subsampling=0)
    assert_upright(with_segments(plain, jpeg_segment(0xE1, UNREADABLE[name])))


@pytest.mark.parametrize("name", [*BLOCKS, *UNREADABLE])
def test_broken_exif_data_do_not_prevent_decoding_in_any_format(name: str) -> None:
    block = (BLOCKS | UNREADABLE)[name]
    picture = TURNED if name in BLOCKS else PLAIN
    png = save(picture, "PNG")
    assert_upright(png[:33] + png_chunk(b"eXIf", block.removeprefix(b"Exif\0\0")) + png[33:], 0)
    webp = save(picture, "WEBP", lossless=True, exif=block)
    assert_upright(webp, 1)


def test_the_orientation_in_xmp_is_applied_if_the_exif_data_have_none() -> None:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="6"/>'
    assert_upright(with_segments(JPEG, jpeg_segment(0xE1, b"Exif\0\0garbage"), jpeg_segment(0xE1, xmp)))
    assert orientation(b"", b"<tiff:Orientation>8</tiff:Orientation>") == 8
    assert orientation(tiff_file([entry(ORIENTATION, SHORT, 3)]), xmp) == 3
    assert orientation(b"", b'tiff:Orientation="0"') == 1


SEGMENTS: dict[str, bytes] = {
    "MPF without directory": jpeg_segment(0xE2, b"MPF\0"),
    "MPF of noise": jpeg_segment(0xE2, b"MPF\0" + bytes(range(200))),
    "MPF with values past the end": jpeg_segment(
        0xE2, b"MPF\0" + tiff_file([entry(0xB001, LONG, 9), (0xB002, 7, 144, struct.pack("<I", 5000))])
    ),
    "MPF with 4 billion pictures": jpeg_segment(0xE2, b"MPF\0" + tiff_file([entry(0xB001, LONG, 0xFFFFFFFF)])),
    "MPF with pictures past the end": jpeg_segment(
        0xE2, b"MPF\0" + tiff_file([entry(0xB001, LONG, 2), entry(0xB002, 7, *[255] * 32)])
    ),
    "MPF without pictures": jpeg_segment(0xE2, b"MPF\0" + tiff_file([entry(0xB001, LONG, 2), entry(0xB002, 7)])),
    "short JFIF": jpeg_segment(0xE0, b"JFIF\0"),
    "short Adobe": jpeg_segment(0xEE, b"Adobe"),
    "short profile": jpeg_segment(0xE2, b"ICC_PROFILE\0"),
    "profile of noise": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(range(256))),
    "part 3 of a profile of 2 parts": jpeg_segment(0xE2, b"ICC_PROFILE\0\3\2" + bytes(200)),
    "cut Photoshop data": jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
    "Photoshop data of noise": jpeg_segment(0xED, b"Photoshop 3.0\x008BIM" + bytes(range(100, 200))),
    "empty comment": jpeg_segment(0xFE, b""),
    "comment in no encoding": jpeg_segment(0xFE, bytes(range(128, 256))),
    "FlashPix": jpeg_segment(0xE2, b"FPXR\0" + bytes(9)),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_broken_segments_of_a_jpeg_do_not_prevent_its_decoding(name: str) -> None:
    assert_upright(with_segments(JPEG, SEGMENTS[name], jpeg_segment(0xE1, exif(RIGHT))))


def test_metadata_that_expand_to_gigabytes_are_not_read() -> None:
    ratios: Entry = (0x8298, 5, 8000, bytes(64_000))
    blocks = [jpeg_segment(0xE1, exif(RIGHT, ratios)[:65_000]) for _ in range(100)]
    assert_upright(with_segments(JPEG, *blocks))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_focal_length_is_read_from_every_format(format: str) -> None:
    data = Pillow.Exif()
    data[MAKE] = "Camera"  # Pillow writes no directory without it
    data.get_ifd(0x8769)[0xA405] = 35
    file = io.BytesIO()
    PLAIN.save(file, format, exif=data)
    assert focal_length_35mm(file.getvalue()) == 35


def test_the_focal_length_is_read_from_tiff() -> None:
    details = struct.pack("<H", 1) + struct.pack("<HHIHH", 0xA405, SHORT, 1, 35, 0)
    at = len(tiff_photo(QUARTERS, 2, entry(0x8769, LONG, 0)))
    assert focal_length_35mm(tiff_photo(QUARTERS, 2, entry(0x8769, LONG, at)) + details) == 35


@pytest.mark.parametrize("name", [*BLOCKS, *UNREADABLE])
def test_the_focal_length_in_broken_exif_data_is_missing(name: str) -> None:
    block = (BLOCKS | UNREADABLE)[name]
    assert focal_length_35mm(with_segments(JPEG, jpeg_segment(0xE1, block))) == 0
    webp = save(PLAIN, "WEBP", exif=block)
    assert focal_length_35mm(webp) == 0


def test_decoding_leaves_the_settings_of_the_process_unchanged() -> None:
    """Settings that only apply during decoding would apply to other threads too."""
    filters = list(warnings.filters)
    read_photo(with_segments(JPEG, jpeg_segment(0xE1, BLOCKS["value past the end"])))
    assert warnings.filters == filters
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
