"""Masks that callers edited: which files are accepted, and how they are read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import read_photo
from orchestrator.stages.mask_files import check_edited_mask, read_mask_of_size
from tests.support.bad_photos import save
from tests.support.photo_bytes import jpeg_segment, png_chunk, with_segments

MASK = np.zeros((40, 60), np.uint8)
MASK[10:30, 20:40] = 255
JPEG = save(Image.fromarray(MASK), "JPEG")
PNG = save(Image.fromarray(MASK), "PNG")


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB", "RGBA", "P", "LA"])
def test_a_grey_mask_is_accepted_in_any_mode_and_read_as_drawn(mode: str) -> None:
    grey = Image.fromarray(MASK)
    image = Image.fromarray(MASK.astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    data = save(image, "PNG")
    check_edited_mask(data, "stain.masks[0].mask_asset_id")
    assert np.array_equal(read_mask_of_size(data, "mask", (60, 40)), MASK)


@pytest.mark.parametrize(
    "data",
    [
        JPEG.removesuffix(b"\xff\xd9"),  # no end marker
        with_segments(JPEG, jpeg_segment(0xE0, b"JFIF\0")),
        PNG[:33] + png_chunk(b"gAMA", b"") + PNG[33:],
    ],
)
def test_a_mask_with_broken_metadata_is_accepted(data: bytes) -> None:
    read_photo(data, "mask")  # as when it was uploaded
    check_edited_mask(data, "mask")


def test_a_mask_with_colours_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInput, match=r"has colours \(mode RGB\); save it as a greyscale image") as refused:
        check_edited_mask(save(Image.new("RGB", (60, 40), "red"), "PNG"), "stain.masks[0].mask_asset_id")
    assert refused.value.field == "stain.masks[0].mask_asset_id"


@pytest.mark.parametrize("erased", [{"mode": "LA"}, {"mode": "RGBA"}, {"mode": "L", "transparency": 0}])
def test_a_mask_with_transparent_pixels_is_refused(erased: dict[str, object]) -> None:
    options = dict(erased)
    image = Image.fromarray(MASK).convert(str(options.pop("mode")))
    if not options:
        image.putalpha(Image.fromarray(MASK))
    with pytest.raises(InvalidInput, match="transparent pixels"):
        check_edited_mask(save(image, "PNG", **options), "mask")


def test_a_mask_of_another_resolution_is_resized() -> None:
    assert read_mask_of_size(PNG, "mask", (30, 20))[10, 15] == 255
    large = read_mask_of_size(PNG, "mask", (120, 80))
    assert large.shape == (80, 120)
    assert (large > 127).mean() == pytest.approx((MASK > 127).mean(), rel=0.05)
