"""A piece of furniture as parts that know what they are: the truth of the training pictures.

How parts are labelled, here and for models by others:

- ``leg``: legs, feet of wood, stretchers, pedestals, trestles, sled and plinth bases, foot rings.
- ``frame``: aprons, rails, face frames, side frames, bed frames and bed posts, back posts, crest rails, cornices.
- ``back``: what is leaned against: slats, spindles, splats, panels, upholstered backs, headboards' fillings; also the
  fillings of a footboard, and the wall of a tub chair (its arms with it, as it is one part).
- ``arm``: arm rests with their supports and pads, upholstered arms, wings.
- ``seat``: seats of wood, of cane and of a moulded shell (the shell's back with it, as it is one part).
- ``cushion``: upholstered seat pads, loose cushions, mattresses, pillows, duvets and throws.
- ``body``: the carcass of case goods (sides, bottom, dividers, back boards, its top when that is no board of its own),
  desk pedestals and hutches, the upholstered base of sofas and armchairs, the box of a divan or drawer bed.
- ``top``: the top board of a table, desk, dresser, nightstand or sideboard, its leaves too.
- ``door``: doors with all that fills them: panels, louvres, panes. ``drawer``: drawer fronts.
- ``shelf``: boards that things are put on, inside or between.
- ``hardware``: handles, knobs, hinges, casters, metal feet and ferrules, gas springs, studs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.solids import Solid

Choice = TypeVar("Choice")

ROLE_MATERIALS: dict[str, tuple[str, ...]] = {
    "wood": ("wood", "painted"),
    "wood2": ("wood", "painted"),
    "panel": ("painted", "wood", "plastic"),
    "soft": ("fabric", "leather"),
    "soft2": ("fabric", "leather"),
    "linen": ("fabric",),
    "cane": ("fabric", "wood"),
    "shell": ("plastic", "wood", "painted", "metal"),
    "metal": ("metal", "painted"),
    "fitting": ("metal", "painted", "plastic", "wood"),
    "rubber": ("plastic",),
    "glass": ("glass",),
    "stone": ("stone",),
}
"""Role to the material classes that suit it, the likeliest first."""


def pick(options: Mapping[Choice, float] | Sequence[Choice], random: np.random.Generator) -> Choice:
    """Draw one option: a mapping gives each its weight."""
    names = list(options)
    weights = np.array(list(options.values()) if isinstance(options, Mapping) else np.ones(len(names)), np.float64)
    return names[int(random.choice(len(names), p=weights / weights.sum()))]


@dataclass(frozen=True)
class Part:
    """One board, leg, cushion or knob. Metres, +Z up, the piece stands on z = 0 and its front looks to -Y."""

    component: str
    role: str  # parts of one role share one material
    vertices: NDArray[np.float32]  # [V, 3]
    triangles: NDArray[np.int32]  # [T, 3] outward, counter-clockwise
    grain: NDArray[np.float32]  # [3] unit vector along which a board's grain runs
    smooth: bool  # smooth-shaded up to about 40 degrees between faces, or flat


@dataclass(frozen=True)
class Piece:
    """A whole piece of furniture."""

    kind: str
    parts: tuple[Part, ...]
    roles: dict[str, tuple[str, ...]]  # role -> material classes that suit it, in order of likelihood


@dataclass
class Bench:
    """Where a piece is put together."""

    rng: np.random.Generator
    parts: list[Part] = field(default_factory=list)

    def put(self, component: str, role: str, *solids: Solid) -> None:
        """Add each solid as a part."""
        for solid in solids:
            self.parts.append(
                Part(
                    component,
                    role,
                    solid.vertices.astype(np.float32),
                    solid.triangles.astype(np.int32),
                    (solid.grain / np.linalg.norm(solid.grain)).astype(np.float32),
                    solid.smooth,
                )
            )

    def pair(self, component: str, role: str, *solids: Solid) -> None:
        """Add each solid and its mirror image on the other side of x = 0."""
        for solid in solids:
            self.put(component, role, solid, solid.mirrored())

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, options: Mapping[Choice, float] | Sequence[Choice]) -> Choice:
        return pick(options, self.rng)

    def piece(self, kind: str) -> Piece:
        """Finish."""
        used = sorted({part.role for part in self.parts})
        return Piece(kind, tuple(self.parts), {role: ROLE_MATERIALS[role] for role in used})
