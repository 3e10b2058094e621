"""What the caller knows about a piece: the material of the whole piece or of its parts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.domain.checks import Violations
from orchestrator.domain.vocabulary import COMPONENTS, MATERIALS, component_name, material_name
from orchestrator.errors import InvalidInput


@dataclass(frozen=True)
class PartMaterial:
    """The material of all parts with a name, or of the whole piece."""

    material: str
    part: str = ""  # empty: the whole piece


MadeOf: TypeAlias = tuple[PartMaterial, ...]
"""At most one entry for the piece and for each part. The entry of a part takes precedence over that of the piece."""


def resolve_made_of(field: str, made_of: Sequence[PartMaterial], parts: Collection[str] | None) -> MadeOf:
    """Return the entries with the names of the vocabulary.

    Args:
        field: the path of ``made_of`` in the API.
        parts: names that are allowed besides COMPONENTS. None allows every name.

    Raises:
        InvalidInput: a name is unknown, or two entries contradict each other.
    """
    materials: dict[str, str] = {}
    allowed = None if parts is None else list(dict.fromkeys((*COMPONENTS, *parts)))
    with Violations() as violations:
        for index, known in enumerate(made_of):
            path = f"{field}[{index}]"
            material = material_name(known.material)
            violations.check(bool(material), f"{path}.material", _unknown(known.material, "material", MATERIALS))
            with violations.collect():
                part = resolve_part(f"{path}.part", known.part, allowed) if known.part else ""
                if material and materials.setdefault(part, material) != material:
                    problem = f"{part or 'the piece'} is said to be both {materials[part]} and {material}"
                    raise InvalidInput(path, f"{problem}; name one material for it")
    return tuple(PartMaterial(material, part) for part, material in materials.items())


def resolve_part(field: str, text: str, allowed: Collection[str] | None) -> str:
    """Return the part that the text names. Raises InvalidInput unless it is ``allowed``. None allows every name."""
    name = component_name(text)
    if not text.strip() or (allowed is not None and name not in allowed):
        raise InvalidInput(field, _unknown(text, "part", COMPONENTS if allowed is None else allowed))
    return name


def combine(general: MadeOf, specific: MadeOf) -> MadeOf:
    """Return the entries of both. Where both name the same part, the ``specific`` one applies."""
    materials = {known.part: known for known in (*general, *specific)}
    return tuple(materials.values())


def _unknown(text: str, kind: str, names: Iterable[str]) -> str:
    return f"{text[:40]!r} is not a known {kind}; allowed are {', '.join(names)}"
