"""Image arrays and image file formats."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""[H, W, 3] uint8, sRGB, row 0 at the top; or [H, W] for one channel."""

FloatMap: TypeAlias = NDArray[np.float32]
"""[H, W] or [H, W, C] float32."""

BoolMask: TypeAlias = NDArray[np.bool_]
"""[H, W] bool."""


class ImageFormat(str, Enum):
    """File format of result images."""

    PNG = "png"
    WEBP = "webp"
