"""Colour profiles are applied in every format, and unsuitable ones are ignored."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from orchestrator.imaging.photo import read_photo
from tests.support.bad_photos import QUARTERS, inner_difference, save
from tests.support.photo_bytes import entry, png_chunk, tiff_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# sRGB with the primaries of red and blue exchanged.
SWAPPED = SRGB.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
    "TIFF": {"compression": "tiff_lzw"},
}


@pytest.mark.parametrize("format", OPTIONS)
def test_the_profile_is_applied_in_every_format(format: str) -> None:
    data = save(Pillow.fromarray(QUARTERS), format, icc_profile=SWAPPED, **OPTIONS[format])
    assert inner_difference(read_photo(data), QUARTERS[..., ::-1]) <= 12


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "1"])
def test_a_profile_that_does_not_suit_the_pixels_is_ignored(mode: str) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = Pillow.fromarray(QUARTERS).convert(mode)
    expected = np.asarray(picture.convert("RGB"))
    assert inner_difference(read_photo(save(picture, "PNG", icc_profile=lab)), expected) <= 1


def test_the_profile_of_a_palette_is_applied() -> None:
    picture = Pillow.fromarray(QUARTERS).quantize(4, dither=Pillow.Dither.NONE)
    assert inner_difference(read_photo(save(picture, "PNG", icc_profile=SWAPPED)), QUARTERS[..., ::-1]) <= 4


def with_gamma(png: bytes, gamma: int) -> bytes:
    """Insert a gAMA chunk after the header of a PNG file."""
    after_header = 33
    return png[:after_header] + png_chunk(b"gAMA", gamma.to_bytes(4, "big")) + png[after_header:]


# sRGB encodes the linear light 55 / 255 as 128. The square of 118 / 255 is the same light.
@pytest.mark.parametrize(("gamma", "level"), [(100_000, 55), (50_000, 118)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_the_gamma_of_a_png_is_applied(mode: str, gamma: int, level: int) -> None:
    picture = Pillow.new("L", (32, 32), level).convert(mode)
    data = with_gamma(save(picture, "PNG"), gamma)
    assert np.abs(read_photo(data).astype(int) - 128).max() <= 1


@pytest.mark.parametrize("gamma", [45_455, 0, 4_000_000])
def test_the_gamma_of_srgb_and_an_invalid_one_are_ignored(gamma: int) -> None:
    data = with_gamma(save(Pillow.fromarray(QUARTERS), "PNG"), gamma)
    assert np.array_equal(read_photo(data), QUARTERS)


def test_a_profile_has_priority_over_a_gamma() -> None:
    data = save(Pillow.fromarray(QUARTERS), "PNG", icc_profile=SRGB)
    assert inner_difference(read_photo(with_gamma(data, 100_000)), QUARTERS) <= 1


@pytest.mark.parametrize("type", [3, 4, 12])
def test_a_profile_of_another_type_in_a_tiff_is_ignored(type: int) -> None:
    data = tiff_photo(QUARTERS, 2, entry(34675, type, *range(40)))
    assert np.array_equal(read_photo(data), QUARTERS)
