"""Separates the pixels of the first page of a TIFF file from metadata and other pages (TIFF 6.0, BigTIFF)."""

from __future__ import annotations

import struct

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo_files.limits import check_size
from orchestrator.imaging.photo_files.photo_file import PhotoFile, PhotoFormat, damaged
from orchestrator.imaging.photo_files.tiff_directory import BYTES_PER_VALUE, TiffDirectory, read_directory

VERSION = 42
SHORT = 3
LONG = 4
LONG_TYPES = (16, 17, 18)
"""The types of 64-bit integers, which only BigTIFF has."""
MAX_VALUES = 16

SUBFILE_TYPE = 254
WIDTH = 256
HEIGHT = 257
BITS = 258
COMPRESSION = 259
PHOTOMETRIC = 262
STRIP_OFFSETS = 273
CHANNELS = 277
ROWS_PER_STRIP = 278
PLANES = 284
COLOR_MAP = 320
TILE_WIDTH = 322
TILE_HEIGHT = 323
TILE_OFFSETS = 324
EXTRA_CHANNELS = 338
SAMPLE_FORMAT = 339
SUBSAMPLING = 530
PROFILE = 34675
XMP = 700
DNG_VERSION = 50706
PIXEL_TAGS = (
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, CHANNELS, ROWS_PER_STRIP, PLANES, COLOR_MAP),
    *(TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, EXTRA_CHANNELS, SAMPLE_FORMAT, SUBSAMPLING),
    266,  # order of the bits in a byte
    279,  # bytes per strip
    292,  # options of CCITT group 3
    293,  # options of CCITT group 4
    317,  # predictor
    325,  # bytes per tile
    347,  # JPEG tables
    529,  # coefficients of YCbCr
    531,  # position of the subsampled chroma
    532,  # black and white levels of YCbCr
)
"""The tags that determine the pixels."""

REDUCED_SIZE = 1
WHITE_IS_ZERO = 0
BLACK_IS_ZERO = 1
RGB = 2
PALETTE = 3
CMYK = 5
YCBCR = 6
CIELAB = 8
MAX_CHANNELS = {
    **{(WHITE_IS_ZERO, depth): 1 for depth in (1, 2, 4, 8, 16)},
    **{(BLACK_IS_ZERO, depth): 1 for depth in (1, 2, 4, 16)},
    **{(PALETTE, depth): 1 for depth in (1, 2, 4)},
    (BLACK_IS_ZERO, 8): 2,
    (PALETTE, 8): 2,
    (RGB, 8): 6,
    (RGB, 16): 4,
    (CMYK, 8): 6,
    (CMYK, 16): 4,
    (YCBCR, 8): 3,
    (CIELAB, 8): 3,
}
"""The pixels that Pillow decodes correctly: largest number of channels by colour model and bits per channel."""
SENSOR_DATA = (32803, 34892)
"""The colour models of raw photos: colour filter array and linear raw."""
COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000)
"""None, CCITT, LZW, JPEG, deflate, PackBits, deflate, LZMA and Zstandard."""
UNCOMPRESSED = 1
SEPARATE_PLANES = 2
KINDS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
"""Kinds of values that are not supported."""
MAX_STRIPS = 400_000
"""Maximum number of strips or tiles: tiles of 16 × 16 pixels, the smallest, at the maximum number of pixels."""
MAX_TILE_SIDE = 1 << 14
MAX_COLOR_MAP = 3 << 8
MAX_TAG_BYTES = 8 * MAX_STRIPS
COLOR_STEP = 257
"""Factor from 8-bit colours in a colour map, which some writers store, to 16-bit colours."""
REMEDY = "save it as grey, RGB, palette or CMYK with 8 or 16 bits per channel"


def read_tiff(data: bytes, field: str) -> PhotoFile:
    """Separate the first page of a TIFF file. Raises InvalidInput if it is damaged, or its pixels are not supported."""
    page = read_directory(data)
    if page is None:
        raise damaged(PhotoFormat.TIFF, "it has no pages", field)
    if _is_raw(page):
        problem = "a raw photo, or a TIFF whose first page is a thumbnail"
        raise InvalidInput(field, f"the file is {problem}; export it as JPEG, or as TIFF with one page")
    width, height = page.integer(WIDTH), page.integer(HEIGHT)
    if width is None or height is None:
        raise damaged(PhotoFormat.TIFF, "its width or height is missing", field)
    check_size(width, height, field)
    depth = _check_samples(page, field)
    _check_strips(page, width, height, field)
    values = _pixel_values(page, field)
    is_inverted = depth == 16 and (page.integer(PHOTOMETRIC) or 0) == WHITE_IS_ZERO
    if is_inverted:  # which Pillow does not invert
        values[PHOTOMETRIC] = (SHORT, _pack(page, "H", (BLACK_IS_ZERO,)))
    colors = page.integers(COLOR_MAP, MAX_COLOR_MAP)
    if colors and all(0 <= color < COLOR_STEP - 1 for color in colors):
        values[COLOR_MAP] = (SHORT, _pack(page, "H", tuple(color * COLOR_STEP for color in colors)))
    pixels, profile = _with_directory(page, values), page.raw(PROFILE)
    return PhotoFile(PhotoFormat.TIFF, pixels, data, page.raw(XMP), profile, depth=depth, white_is_zero=is_inverted)


def _pixel_values(page: TiffDirectory, field: str) -> dict[int, tuple[int, bytes]]:
    """The types and bytes of the tags that determine the pixels. Raises InvalidInput if one is unreadable."""
    values = {}
    for number in page.tags.keys() & PIXEL_TAGS:
        type, raw = page.tags[number].type, page.raw(number)
        if not 0 < len(raw) <= MAX_TAG_BYTES:
            raise damaged(PhotoFormat.TIFF, f"the values of its tag {number} are missing", field)
        if type in LONG_TYPES:
            integers = page.integers(number, MAX_STRIPS)
            if not all(0 <= integer < 1 << 32 for integer in integers):
                raise damaged(PhotoFormat.TIFF, f"the values of its tag {number} are too large", field)
            type, raw = LONG, _pack(page, "I", integers)
        values[number] = (type, raw)
    return values


def _is_raw(page: TiffDirectory) -> bool:
    """Whether a TIFF file is a raw photo: its first page is a thumbnail, or contains sensor data."""
    is_thumbnail = bool((page.integer(SUBFILE_TYPE) or 0) & REDUCED_SIZE)
    return is_thumbnail or DNG_VERSION in page.tags or page.integer(PHOTOMETRIC) in SENSOR_DATA


def _check_samples(page: TiffDirectory, field: str) -> int:
    """Return the bits per channel. Raises InvalidInput if Pillow would not decode the pixels correctly."""
    depths = page.integers(BITS, MAX_VALUES) or (1,)
    kinds = [KINDS[kind] for kind in page.integers(SAMPLE_FORMAT, MAX_VALUES) if kind in KINDS]
    channels = page.integer(CHANNELS) or 1
    model = page.integer(PHOTOMETRIC) or WHITE_IS_ZERO
    method = page.integer(COMPRESSION) or UNCOMPRESSED
    has_planes = page.integer(PLANES) == SEPARATE_PLANES
    problem, remedy = "", REMEDY
    if kinds:
        problem = f"has {kinds[0]} values"
    elif len(set(depths)) > 1 or channels > MAX_CHANNELS.get((model, depths[0]), 0):
        bits = ", ".join(map(str, sorted(set(depths))))
        problem = f"has {channels} × {bits} bits per pixel in colour model {model}"
    elif method not in COMPRESSIONS:
        problem, remedy = f"is compressed by method {method}", "save it uncompressed, or with LZW, deflate or JPEG"
    elif has_planes and depths[0] == 16 and method == UNCOMPRESSED:
        problem, remedy = "has 16-bit channels in separate planes", "save it with interleaved channels"
    elif model == YCBCR and method == UNCOMPRESSED and page.integers(SUBSAMPLING, MAX_VALUES) != (1, 1):
        problem, remedy = "has subsampled colours without compression", "save it as RGB"
    if problem:
        raise InvalidInput(field, f"the TIFF {problem}, which is not supported; {remedy}")
    return depths[0]


def _check_strips(page: TiffDirectory, width: int, height: int, field: str) -> None:
    """Raise InvalidInput if strips or tiles are missing, or if there are more than the page needs."""
    kind, offsets = "strips", STRIP_OFFSETS
    columns, rows = 1, -(-height // (page.integer(ROWS_PER_STRIP) or height))
    if TILE_OFFSETS in page.tags and STRIP_OFFSETS not in page.tags:
        kind, offsets = "tiles", TILE_OFFSETS
        tile_width, tile_height = page.integer(TILE_WIDTH) or 0, page.integer(TILE_HEIGHT) or 0
        if not (0 < tile_width <= MAX_TILE_SIDE and 0 < tile_height <= MAX_TILE_SIDE):
            raise damaged(PhotoFormat.TIFF, f"its tiles have {tile_width}×{tile_height} pixels", field)
        columns, rows = -(-width // tile_width), -(-height // tile_height)
    planes = (page.integer(CHANNELS) or 1) if page.integer(PLANES) == SEPARATE_PLANES else 1
    expected = columns * rows * planes
    if len(page.integers(offsets, MAX_STRIPS)) != expected:
        count = page.tags[offsets].count if offsets in page.tags else 0
        rule = f"the page has {expected}, and at most {MAX_STRIPS} are allowed"
        raise damaged(PhotoFormat.TIFF, f"it lists {count} {kind}, but {rule}", field)


def _pack(page: TiffDirectory, code: str, values: tuple[int, ...]) -> bytes:
    return struct.pack(f"{page.order}{len(values)}{code}", *values)


def _with_directory(page: TiffDirectory, values: dict[int, tuple[int, bytes]]) -> bytes:
    """Return the file as a TIFF file with one page, whose directory has ``values``: types and bytes by tag.

    Pillow and libtiff see no other tag. Positions in the file do not change.
    """
    start = len(page.data) + len(page.data) % 2
    offset = start + 2 + 12 * len(values) + 4  # of the values that do not fit into entries
    entries, outside = [], []
    for number, (type, raw) in sorted(values.items()):
        count = len(raw) // BYTES_PER_VALUE[type]
        inline = raw.ljust(4, b"\0")
        if len(raw) > 4:
            inline = _pack(page, "I", (offset,))
            outside.append(raw + b"\0" * (len(raw) % 2))
            offset += len(outside[-1])
        entries.append(_pack(page, "H", (number, type)) + _pack(page, "I", (count,)) + inline)
    header = page.data[:2] + _pack(page, "H", (VERSION,)) + _pack(page, "I", (start,))
    padded = page.data[len(header) :].ljust(start - len(header), b"\0")
    return b"".join((header, padded, _pack(page, "H", (len(entries),)), *entries, bytes(4), *outside))
