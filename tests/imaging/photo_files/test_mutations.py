"""A file with random changes is decoded, or refused with the error for damaged files; nothing else is raised."""

from __future__ import annotations

import random
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import focal_length_35mm, read_photo
from tests.support.bad_photos import QUARTERS, save
from tests.support.photo_bytes import SHORT, entry, exif

MUTATIONS = 150
SECONDS_PER_FILE = 5
BLOCK = exif(entry(0x0112, SHORT, 6), entry(0x010F, 2, *b"Camera"))
PLAIN = Pillow.fromarray(QUARTERS)
TRANSPARENT = Pillow.fromarray(np.dstack([QUARTERS, QUARTERS[..., 0]]))
FILES = {
    "JPEG": save(PLAIN, "JPEG", exif=BLOCK),
    "progressive JPEG": save(PLAIN, "JPEG", progressive=True),
    "PNG": save(TRANSPARENT, "PNG", exif=BLOCK),
    "palette PNG": save(PLAIN.quantize(9), "PNG", transparency=3),
    "WebP": save(TRANSPARENT, "WEBP", exif=BLOCK),
    "HEIC": save(PLAIN, "HEIF", exif=BLOCK),
    "AVIF": save(TRANSPARENT, "AVIF", exif=BLOCK),
    "TIFF": save(PLAIN, "TIFF"),
    "LZW TIFF": save(TRANSPARENT, "TIFF", compression="tiff_lzw"),
    "BMP": save(PLAIN.quantize(9), "BMP"),
}


def mutated(data: bytes, choice: random.Random) -> bytes:
    """Change, remove, repeat or append a few bytes, mostly in the header."""
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 2, 5))):
        at = choice.randrange(min(len(changed), choice.choice((32, 256, len(data)))) + 1)
        count = choice.choice((1, 2, 4, 16))
        operation = choice.randrange(5)
        if operation == 0:
            changed[at : at + count] = choice.randbytes(count)
        elif operation == 1:
            changed[at : at + count] = choice.choice((b"\0", b"\xff", b"\x7f")) * count
        elif operation == 2:
            del changed[at : at + count]
        elif operation == 3:
            changed[at:at] = changed[at : at + count]
        else:
            del changed[at:]
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file_is_decoded_or_refused(name: str) -> None:
    choice = random.Random(name)  # noqa: S311
    for _ in range(MUTATIONS):
        data = mutated(FILES[name], choice)
        started = time.monotonic()
        with suppress(InvalidInput):
            srgb = read_photo(data)
            assert srgb.dtype == np.uint8
            assert srgb.shape[2:] == (3,)
            focal_length_35mm(data)
        assert time.monotonic() - started < SECONDS_PER_FILE
