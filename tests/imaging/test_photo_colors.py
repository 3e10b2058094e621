"""Colour profiles are applied in every format, and unsuitable ones are ignored."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from orchestrator.imaging.photo import read_photo
from tests.support.bad_photos import QUARTERS, inner_difference, save
from tests.support.photo_bytes import entry, tiff_photo

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


@pytest.mark.parametrize("type", [3, 4, 12])
def test_a_profile_of_another_type_in_a_tiff_is_ignored(type: int) -> None:
    data = tiff_photo(QUARTERS, 2, entry(34675, type, *range(40)))
    assert np.array_equal(read_photo(data), QUARTERS)
