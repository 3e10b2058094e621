"""The names of parts and materials, and the words that callers and detectors use for them."""

from __future__ import annotations

import re

COMPONENTS = ("body", "leg", "seat", "back", "arm", "cushion", "top", "door", "drawer", "shelf", "frame", "hardware")
"""The parts that the model ``segmentation`` distinguishes, besides the background."""
MATERIALS = ("other", "wood", "fabric", "leather", "metal", "glass", "plastic", "painted", "stone")
"""The materials that the model ``segmentation`` distinguishes."""
COMPONENT_WORDS = {
    "body": ("carcass", "carcase", "bodies"),
    "leg": ("foot", "feet"),
    "back": ("backrest",),
    "arm": ("armrest",),
    "cushion": ("pillow", "upholstery", "mattress", "mattresses", "seat_pad", "seat_cushion"),
    "top": ("tabletop", "table_top", "worktop", "desktop", "countertop"),
    "drawer": ("drawer_front",),
    "shelf": ("shelves",),
    "hardware": ("handle", "knob", "hinge"),
}
"""Words for each component, in the form that ``_snake_case`` returns. Regular plurals are added by rule."""
MATERIAL_WORDS = {
    "other": ("rattan", "wicker", "cane", "rope", "paper"),
    "wood": (
        "wooden", "timber", "solid_wood", "hardwood", "softwood", "veneer", "plywood", "oak", "walnut", "beech", "ash",
        "birch", "maple", "cherry", "pine", "teak", "mahogany", "acacia", "bamboo",
    ),
    "fabric": ("cloth", "textile", "upholstery", "linen", "cotton", "wool", "velvet"),
    "leather": ("faux_leather", "leatherette"),
    "metal": ("steel", "stainless_steel", "iron", "brass", "aluminium", "aluminum", "chrome", "copper"),
    "glass": ("mirror",),
    "plastic": ("polypropylene", "acrylic"),
    "painted": ("paint", "lacquer", "lacquered"),
    "stone": ("marble", "granite", "concrete"),
}  # fmt: skip
"""Words for each material, in the form that ``_snake_case`` returns. Wicker is ``other`` in the training data."""
COMPONENT_OF_WORD = {word: name for name, words in COMPONENT_WORDS.items() for word in (name, *words)}
MATERIAL_OF_WORD = {word: name for name, words in MATERIAL_WORDS.items() for word in (name, *words)}
MAX_NAME = 40
"""Maximum length of a component's name."""


def component_name(text: str) -> str:
    """Return the component that the text names, else the text in snake_case, cut to MAX_NAME characters."""
    word = _snake_case(text) or "other"
    return COMPONENT_OF_WORD.get(word) or COMPONENT_OF_WORD.get(word.removesuffix("s"), word)


def material_name(text: str) -> str:
    """Return the material that the text names, or "" if it names none."""
    return MATERIAL_OF_WORD.get(_snake_case(text), "")


def _snake_case(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")[:MAX_NAME]
