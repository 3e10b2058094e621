"""Image arrays, colours and image file formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import InvalidInput

Image: TypeAlias = NDArray[np.uint8]

"""[H, W, 3] uint8, sRGB, row 0 at the top; or [H, W] for one channel."""

FloatMap: TypeAlias = NDArray[np.float32]

"""[H, W] or [H, W, C] float32; the name of the variable says what it holds."""


@dataclass(frozen=True)
class SrgbColor:
    """A colour as people write it: three sRGB bytes."""

    red: int
    green: int
    blue: int

    @classmethod
    def parse(cls, text: str, field: str = "color") -> SrgbColor:
        """Read ``#RRGGBB`` (the ``#`` may be missing).

        Raises:
            InvalidInput: anything else.
        """
        match = re.fullmatch(r"#?([0-9A-Fa-f]{6})", text.strip())
        if match is None:
            raise InvalidInput(field, f"{text[:40]!r} is not a colour; allowed is '#RRGGBB', such as '#5A3B2E'")
        value = int(match.group(1), 16)
        return cls(value >> 16, (value >> 8) & 255, value & 255)

    @property
    def hex(self) -> str:
        return f"#{self.red:02X}{self.green:02X}{self.blue:02X}"


class ImageFormat(str, Enum):
    """The file format of the results that may be lossless or lossy."""

    PNG = "png"
    WEBP = "webp"
