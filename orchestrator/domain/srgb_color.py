"""sRGB colours in the notation ``#RRGGBB``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.errors import InvalidInput


@dataclass(frozen=True)
class SrgbColor:
    """A colour of three sRGB bytes."""

    red: int
    green: int
    blue: int

    @classmethod
    def parse(cls, text: str, field: str = "color") -> SrgbColor:
        """Parse ``#RRGGBB``; the ``#`` is optional. Raises InvalidInput for any other text."""
        match = re.fullmatch(r"#?([0-9A-Fa-f]{6})", text.strip())
        if match is None:
            raise InvalidInput(field, f"{text[:40]!r} is not a colour; allowed is '#RRGGBB', such as '#5A3B2E'")
        value = int(match.group(1), 16)
        return cls(value >> 16, (value >> 8) & 255, value & 255)

    @property
    def hex(self) -> str:
        return f"#{self.red:02X}{self.green:02X}{self.blue:02X}"
