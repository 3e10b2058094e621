"""Checks the sizes of textures in an archive. Only the headers of the images are decoded."""

from __future__ import annotations

import io
import struct
import warnings

from PIL import Image, UnidentifiedImageError

from orchestrator.mesh_files.archive import Archive
from orchestrator.mesh_files.limits import InvalidMeshFile, quoted

MAX_SIDE = 8192
"""Maximum side of a texture in pixels. Every GPU since 2010 supports this size."""
MAX_TEXTURE_PIXELS = 512_000_000
"""Maximum number of pixels of all textures together: 30 of 4096 × 4096, 2 GB once decoded."""
TEXTURE_EXTENSIONS = ("png", "jpg", "jpeg", "webp", "bmp", "tga")
"""Extensions of the textures that Blender reads beside an OBJ or FBX."""
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "AVIF")
EXR_SIGNATURE = b"v/1\x01"
EXR_DATA_WINDOW = b"dataWindow\0box2i\0\x10\0\0\0"
"""Precedes the corners xMin, yMin, xMax and yMax as int32 (OpenEXR file layout)."""
EXR_HEADER_BYTES = 1 << 16  # number of bytes in which the data window is searched


def check_textures(archive: Archive, names: list[str]) -> None:
    """Reject small files that decode to gigabytes of pixels. Raises InvalidMeshFile."""
    pixels = 0
    for name in names:
        width, height = _size(archive.read(name), name)
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            rule = f"each side must have 1 to {MAX_SIDE}"
            raise InvalidMeshFile(f"texture {quoted(name)} has {width}×{height} pixels; {rule}")
        pixels += width * height
        if pixels > MAX_TEXTURE_PIXELS:
            raise InvalidMeshFile(f"the textures have more than {MAX_TEXTURE_PIXELS} pixels together")


def _size(data: bytes, name: str) -> tuple[int, int]:
    try:
        if data.startswith(EXR_SIGNATURE):  # Pillow does not read OpenEXR
            at = data.index(EXR_DATA_WINDOW, 0, EXR_HEADER_BYTES) + len(EXR_DATA_WINDOW)
            left, top, right, bottom = struct.unpack_from("<iiii", data, at)
            return right - left + 1, bottom - top + 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_SIDE is the limit
            with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
                return image.size
    except Image.DecompressionBombError as error:
        raise InvalidMeshFile(f"texture {quoted(name)} is too large: {error}") from None
    except UnidentifiedImageError:
        rule = f"allowed are {', '.join(PILLOW_FORMATS)} and EXR"
        raise InvalidMeshFile(f"texture {quoted(name)} begins with {quoted(data[:8])}; {rule}") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise InvalidMeshFile(f"texture {quoted(name)} is damaged ({type(error).__name__})") from None
