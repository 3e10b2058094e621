"""The names of components and materials."""

from __future__ import annotations

import re

COMPONENTS = ("body", "leg", "seat", "back", "arm", "cushion", "top", "door", "drawer", "shelf", "frame", "hardware")
MATERIALS = ("other", "wood", "fabric", "leather", "metal", "glass", "plastic", "painted", "stone")
SYNONYMS = {
    "backrest": "back",
    "armrest": "arm",
    "tabletop": "top",
    "handle": "hardware",
    "knob": "hardware",
    "hinge": "hardware",
    "pillow": "cushion",
    "upholstery": "cushion",
}
MAX_NAME = 40
"""Maximum length of a component's name."""


def component_name(text: str) -> str:
    """Return the known component that the text names, else the text in snake_case with at most 40 characters."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")[:MAX_NAME] or "other"
    plain = SYNONYMS.get(plain, plain)
    singular = plain.removesuffix("s")
    return SYNONYMS.get(singular, singular if singular in COMPONENTS else plain)


def material_name(text: str) -> str:
    """Return the known material that the text names, else ``other``."""
    plain = text.strip().lower()
    return plain if plain in MATERIALS else "other"
