"""A file that is not a supported photo is refused with its kind, the remedy and the supported formats."""

from __future__ import annotations

import struct

import pytest
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import probe_photo
from orchestrator.imaging.photo_files.photo_file import PhotoFormat
from orchestrator.imaging.photo_files.signatures import ALLOWED, identify
from tests.support.bad_photos import QUARTERS, save
from tests.support.photo_bytes import jpeg_segment, with_segments


def media(*brands: bytes) -> bytes:
    body = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + bytes(64)


FILES = {
    b"GIF89a": "a GIF; save it as PNG or JPEG",
    b"%PDF-1.7": "a PDF; export the picture in it as PNG or JPEG",
    b"%!PS-Adobe-3.0 EPSF": "a PostScript file; export the picture in it",
    b"8BPS\0\1": "a Photoshop document; save a copy as PNG or TIFF",
    b"gimp xcf v011": "a GIMP document; export it as PNG or TIFF",
    b"\0\0\1\0\1\0": "an icon; save it as PNG or JPEG",
    b"\xff\x0a": "a JPEG XL; save it as PNG or JPEG",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL; save it as PNG or JPEG",
    b"\0\0\0\x0cjP  \r\n\x87\n": "a JPEG 2000; save it as PNG or JPEG",
    b"v/1\1": "an HDR image; save it as PNG or JPEG",
    b"#?RADIANCE\n": "an HDR image; save it as PNG or JPEG",
    b"qoif": "a QOI; save it as PNG or JPEG",
    b"II\x2a\0\x10\0\0\0CR\2\0": "a raw photo; export it from a raw converter as JPEG or TIFF",
    b"FUJIFILMCCD-RAW 0201": "a raw photo; export it from a raw converter",
    b"IIU\0\x18\0\0\0": "a raw photo; export it from a raw converter",
    media(b"crx ", b"crx ", b"isom"): "a raw photo; export it from a raw converter",
    media(b"isom", b"mp42"): "a video or another media file; save one frame as PNG or JPEG",
    media(b"qt  "): "a video or another media file; save one frame as PNG or JPEG",
    b"\x1aE\xdf\xa3": "a video or another media file; save one frame as PNG or JPEG",
    b"RIFF\0\0\0\0AVI LIST": "a video or another media file; save one frame as PNG or JPEG",
    b"RIFF\0\0\0\0WAVEfmt ": "not an image; upload a photo",
    b"PK\3\4": "a ZIP archive or an Office document; upload the photos in it one by one",
    b"\x1f\x8b\x08": "an archive; upload the photos in it one by one",
    b"\n <SVG xmlns=''/>": "an SVG or XML file; save it as PNG or JPEG",
    b"<?xml version='1.0'?>": "an SVG or XML file; save it as PNG or JPEG",
    b"\r\n<!DOCTYPE html><title>404</title>": "a web page; download the photo itself",
    b"glTF\2\0\0\0": "a GLB model; upload it as a 3D model",
    b"this is a chair.jpg": "not an image; upload a photo",
}


@pytest.mark.parametrize("head", FILES)
def test_other_files_are_refused_by_name_with_the_remedy(head: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        probe_photo(head + bytes(100), "data")
    assert refused.value.field == "data"
    assert refused.value.description.startswith(f"the file is {FILES[head]}")
    assert refused.value.description.endswith(ALLOWED)


def test_the_mark_of_a_raw_photo_counts_in_tiff_files_only() -> None:
    data = save(Pillow.fromarray(QUARTERS), "JPEG")
    assert identify(with_segments(data, jpeg_segment(0xFE, b"ASCR")), "data") is PhotoFormat.JPEG


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WEBP"),
        (b"II\x2a\0", "TIFF"),
        (b"BM", "BMP"),
        (media(b"avif", b"mif1"), "AVIF"),
        (media(b"heic", b"mif1"), "HEIC"),
    ],
)
@pytest.mark.parametrize("rest", [b"", bytes(3), bytes(500), bytes(range(256))])
def test_a_supported_file_that_is_damaged_is_refused_by_name(head: bytes, name: str, rest: bytes) -> None:
    with pytest.raises(InvalidInput, match=f"a damaged {name}"):
        probe_photo(head + rest)
