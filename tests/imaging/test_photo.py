"""Any photo comes out upright, in sRGB, in its right colours; anything else is refused by name."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.domain.images import ImageFormat
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import MAX_BYTES, encode_image, probe_photo, read_photo
from tests.support.bad_photos import CORPUS


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if not case.refused])
def test_an_odd_photo_comes_out_right(name: str) -> None:
    case = CORPUS[name]
    srgb = read_photo(case.data).srgb
    assert case.expected is not None
    assert srgb.shape == case.expected.shape
    # Away from the quarters' edges, where chroma subsampling mixes neighbours.
    inner = np.r_[4:44, 52:92][:, None], np.r_[4:60, 68:124][None]
    difference = np.abs(srgb[inner].astype(int) - case.expected[inner].astype(int)).max()
    assert difference <= case.tolerance
    info = probe_photo(case.data)
    assert (info.height, info.width) == srgb.shape[:2]


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if case.refused])
def test_what_is_no_photo_is_refused_quickly_with_its_field(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInput) as refused:
        read_photo(CORPUS[name].data, "data")
    assert refused.value.field == "data"
    # A refusal comes from the header or the first damaged block; a bomb would take minutes.
    assert time.monotonic() - started < 2


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(InvalidInput, match="too many"):
        probe_photo(b"\xff\xd8" + b"\0" * MAX_BYTES)


def test_a_preview_is_small_and_keeps_the_shape() -> None:
    data = io.BytesIO()
    Pillow.new("RGB", (3000, 2000), (120, 80, 40)).save(data, "JPEG")
    srgb = read_photo(data.getvalue(), max_side=1024).srgb
    assert srgb.shape == (683, 1024, 3)
    assert np.abs(srgb[300, 300].astype(int) - (120, 80, 40)).max() <= 3


@pytest.mark.parametrize("format", list(ImageFormat))
def test_what_is_written_holds_no_metadata_and_is_the_same_each_time(format: ImageFormat) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    data = encode_image(picture, format)
    assert data == encode_image(picture, format)
    assert not Pillow.open(io.BytesIO(data)).getexif()
    if format is ImageFormat.PNG:
        assert np.array_equal(read_photo(data).srgb, picture)
