"""Valid photos are decoded upright and in sRGB; other files are rejected with the field."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.domain.images import ImageFormat
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import MAX_BYTES, encode_image, probe_photo, read_photo
from tests.support.bad_photos import CORPUS, inner_difference


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if not case.rejected])
def test_unusual_photos_are_decoded_correctly(name: str) -> None:
    case = CORPUS[name]
    srgb = read_photo(case.data)
    assert case.expected is not None
    assert srgb.shape == case.expected.shape
    assert inner_difference(srgb, case.expected) <= case.tolerance
    info = probe_photo(case.data)
    assert (info.height, info.width) == srgb.shape[:2]


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if case.rejected])
def test_invalid_photos_are_rejected_quickly_with_their_field(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInput) as rejected:
        read_photo(CORPUS[name].data, "data")
    assert rejected.value.field == "data"
    # Files are rejected by their header or first damaged block. Decoding a bomb would take minutes.
    assert time.monotonic() - started < 2


def test_files_with_too_many_bytes_are_rejected_before_decoding() -> None:
    with pytest.raises(InvalidInput, match="too many"):
        probe_photo(b"\xff\xd8" + b"\0" * MAX_BYTES)


def test_max_side_shrinks_the_photo_and_keeps_its_aspect_ratio() -> None:
    data = io.BytesIO()
    Pillow.new("RGB", (3000, 2000), (120, 80, 40)).save(data, "JPEG")
    srgb = read_photo(data.getvalue(), max_side=1024)
    assert srgb.shape == (683, 1024, 3)
    assert np.abs(srgb[300, 300].astype(int) - (120, 80, 40)).max() <= 3


@pytest.mark.parametrize("format", list(ImageFormat))
def test_encoded_images_are_reproducible_and_have_no_metadata(format: ImageFormat) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    data = encode_image(image, format)
    assert data == encode_image(image, format)
    assert not Pillow.open(io.BytesIO(data)).getexif()
    if format is ImageFormat.PNG:
        assert np.array_equal(read_photo(data), image)


@pytest.mark.parametrize("format", list(ImageFormat))
def test_the_alpha_channel_is_encoded(format: ImageFormat) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 48, 4), dtype=np.uint8)
    decoded = np.asarray(Pillow.open(io.BytesIO(encode_image(image, format))))
    assert np.array_equal(decoded[..., 3], image[..., 3])
    if format is ImageFormat.PNG:
        assert np.array_equal(decoded, image)


def test_images_that_are_too_large_for_webp_are_rejected_with_their_field() -> None:
    with pytest.raises(InvalidInput, match="use PNG") as rejected:
        encode_image(np.zeros((4, 20_000), np.uint8), ImageFormat.WEBP, "stain.format")
    assert rejected.value.field == "stain.format"
