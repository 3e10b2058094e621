"""AVIF and HEIC files: transparency, orientation, broken metadata and hostile sizes."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import focal_length_35mm, probe_photo, read_photo
from tests.support.bad_photos import QUARTERS, inner_difference, save, turned

PLAIN = Pillow.fromarray(QUARTERS)
OPTIONS: dict[str, dict[str, object]] = {
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}
MEDIA_TYPES = {"AVIF": "image/avif", "HEIF": "image/heic"}


def encoded(picture: Pillow.Image, format: str, **options: object) -> bytes:
    return save(picture, format, **OPTIONS[format], **options)


def exif(orientation: int) -> bytes:
    data = Pillow.Exif()
    data[0x0112] = orientation
    data[0x010F] = "Camera"
    data.get_ifd(0x8769)[0xA405] = 35
    return data.tobytes()


def assert_upright(srgb: np.ndarray) -> None:
    assert srgb.shape == QUARTERS.shape
    assert inner_difference(srgb, QUARTERS) <= 12


@pytest.mark.parametrize("format", OPTIONS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_the_container_is_applied_once(format: str, orientation: int) -> None:
    data = encoded(turned(orientation), format, exif=exif(orientation))
    assert_upright(read_photo(data))
    info = probe_photo(data)
    assert (info.width, info.height, info.media_type) == (128, 96, MEDIA_TYPES[format])


@pytest.mark.parametrize("garbage", [b"XXXX", b"II*\0", b"\0\0\0\0"])
def test_an_avif_with_broken_exif_data_keeps_the_orientation_of_its_container(garbage: bytes) -> None:
    data = encoded(turned(6), "AVIF", exif=exif(6))
    broken = data.replace(b"MM\0*", garbage)
    assert broken != data
    assert_upright(read_photo(broken))
    assert focal_length_35mm(broken) == 0
    assert focal_length_35mm(data) == 35


@pytest.mark.parametrize("format", OPTIONS)
@pytest.mark.parametrize("premultiplied", [False, True])
def test_transparent_pixels_become_white(format: str, premultiplied: bool) -> None:
    half = Pillow.fromarray(np.dstack([QUARTERS, np.full((96, 128), 128, np.uint8)]))
    options = {"alpha_premultiplied": premultiplied} if format == "AVIF" else {}
    srgb = read_photo(encoded(half, format, **options))
    expected = np.round(QUARTERS * (128 / 255) + 127).astype(int)
    assert inner_difference(srgb, expected) <= 12


def test_an_avif_with_the_brand_of_all_image_files_is_decoded() -> None:
    assert_upright(read_photo(encoded(PLAIN, "AVIF").replace(b"ftypavif", b"ftypmif1", 1)))


def test_an_avif_sequence_is_refused() -> None:
    with pytest.raises(InvalidInput, match="animated; upload a single frame"):
        read_photo(encoded(PLAIN, "AVIF", save_all=True, append_images=[PLAIN.rotate(180)]))


@pytest.mark.parametrize("format", OPTIONS)
@pytest.mark.parametrize("side", [10_001, 16_384, 50_000, 0x7FFFFFFF])
def test_too_many_pixels_are_refused_before_decoding(format: str, side: int) -> None:
    started = time.monotonic()
    data = bytearray(encoded(PLAIN, format))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", side, side)
    with pytest.raises(InvalidInput, match=f"{side}×{side} pixels are too many"):
        probe_photo(bytes(data))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("format", OPTIONS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_refused_by_name(format: str, share: float) -> None:
    data = encoded(PLAIN, format)
    name = "HEIC" if format == "HEIF" else format
    with pytest.raises(InvalidInput, match=f"a damaged {name}"):
        read_photo(data[: int(len(data) * share)])


def test_a_heic_whose_coding_is_unknown_is_refused_by_name() -> None:
    data = encoded(PLAIN, "HEIF")
    assert b"hvc1" in data
    with pytest.raises(InvalidInput, match="a damaged HEIC"):
        read_photo(data.replace(b"hvc1", b"vvc1"))
