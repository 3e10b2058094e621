"""Small valid files that cost a decoder much time or memory."""

from __future__ import annotations

import io
import json
from functools import cache

import numpy as np
from PIL import Image as Pillow

SIDE = 10_000  # px; the square has the maximum number of pixels


@cache
def png_bomb(side: int = SIDE) -> bytes:
    """A PNG of one colour: half a megabyte that decodes to 100 megapixels."""
    file = io.BytesIO()
    Pillow.fromarray(np.zeros((side, side), np.uint8)).save(file, "PNG", compress_level=3)
    return file.getvalue()


@cache
def scan_bomb(scans: int, side: int = SIDE) -> bytes:
    """A progressive JPEG in which a scan without content is repeated. Each scan visits all coefficients.

    With 50 scans, the maximum that is accepted, and all pixels, it takes 2.5 s of a fast core.
    """
    file = io.BytesIO()
    Pillow.new("RGB", (side, side), (90, 120, 60)).save(file, "JPEG", quality=50, progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")  # a refinement of the luma: an end of bands that covers all blocks
    end = data.rindex(b"\xff\xd9")
    first_scan = data.index(b"\xff\xda")
    written = data.count(b"\xff\xda", first_scan)
    tables = data.rindex(b"\xff\xc4", 0, last)  # with its Huffman table
    return data[:end] + data[tables:end] * max(0, scans - written) + data[end:]


@cache
def json_bomb(megabytes: int = 19) -> bytes:
    """A glTF with a long list of numbers, which takes a second to parse."""
    count = megabytes * 1_000_000 // 12
    extras = ",".join(["1000.142857"] * count)
    document = {"asset": {"version": "2.0"}, "extras": []}
    return json.dumps(document).replace("[]", f"[{extras}]").encode()
