"""A piece of furniture as a list of labelled parts.

The part labels are the ground truth of the training images. ``labels.toml`` labels third-party meshes by the same
definitions:

- ``leg``: legs, wooden feet, stretchers, pedestals, trestles, sled bases, plinths, foot rings.
- ``frame``: aprons, rails, face frames, side frames, bed frames, bed posts, back posts, crest rails, cornices.
- ``back``: slats, spindles, splats, panels, upholstered backs, and the fillings of headboards and footboards. Also the
  wall of a tub chair including its arms, because they are one part.
- ``arm``: arm rests with their supports and pads, upholstered arms, wings.
- ``seat``: wooden seats, cane seats, and moulded shells including the shell's back, because they are one part.
- ``cushion``: upholstered seat pads, loose cushions, mattresses, pillows, duvets, throws.
- ``body``: the carcass of case goods (sides, bottom, dividers, back board, and a top that is not a separate board),
  desk pedestals, hutches, the upholstered base of sofas and armchairs, the box of a divan or of a bed with drawers.
- ``top``: the top board of a table, desk, dresser, nightstand or sideboard, including its leaves.
- ``door``: doors including their panels, louvres and panes.
- ``drawer``: drawer fronts, and the baskets and bins that replace drawers.
- ``shelf``: boards to put things on, inside a piece or between its uprights; trays.
- ``hardware``: handles, knobs, hooks, hinges, casters, metal feet, ferrules, gas springs, studs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.makers.solids import Solid

Choice = TypeVar("Choice")

ROLE_MATERIALS: dict[str, tuple[str, ...]] = {
    "wood": ("wood", "painted"),
    "wood2": ("wood", "painted"),
    "timber": ("wood",),
    "paint": ("painted",),
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
    "mirror": ("glass",),
    "wicker": ("other",),
    "stone": ("stone",),
}
"""The material classes that suit each role, the most likely first.

``timber`` and ``paint`` are for pieces that combine bare and painted wood. Wicker, rattan, seagrass and rope are
``other``.
"""


def pick(options: Mapping[Choice, float] | Sequence[Choice], rng: np.random.Generator) -> Choice:
    """Draw one option. A mapping gives the weight of each option; the options of a sequence are equally likely."""
    names = list(options)
    weights = np.array(list(options.values()) if isinstance(options, Mapping) else np.ones(len(names)), np.float64)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


@dataclass(frozen=True)
class Part:
    """One board, leg, cushion or knob.

    Coordinates are in metres with +Z up. The piece stands on z = 0 and faces -Y.
    """

    component: str
    role: str  # all parts of one role have the same material
    vertices: NDArray[np.float32]  # [V, 3]
    triangles: NDArray[np.int32]  # [T, 3] counter-clockwise when seen from outside
    grain: NDArray[np.float32]  # [3] unit vector along the wood grain
    smooth: bool  # True: smooth shading except across sharp edges; False: flat shading


@dataclass(frozen=True)
class Piece:
    """A complete piece of furniture."""

    kind: str
    parts: tuple[Part, ...]
    roles: dict[str, tuple[str, ...]]  # the material classes that suit each role, the most likely first


@dataclass
class PieceBuilder:
    """Collects the parts of a piece and draws its random dimensions."""

    rng: np.random.Generator
    parts: list[Part] = field(default_factory=list)

    def add(self, component: str, role: str, *solids: Solid) -> None:
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

    def add_pair(self, component: str, role: str, *solids: Solid) -> None:
        """Add each solid and its mirror image at x = 0."""
        for solid in solids:
            self.add(component, role, solid, solid.mirrored())

    def move(self, x: float, y: float, z: float, *, first: int = 0) -> None:
        """Move the parts from number ``first`` on by x, y, z metres."""
        offset = np.array([x, y, z])
        moved = [replace(part, vertices=(part.vertices + offset).astype(np.float32)) for part in self.parts[first:]]
        self.parts[first:] = moved

    def uniform(self, low: float, high: float) -> float:
        """Draw a number from [low, high)."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Draw True with ``probability``."""
        return bool(self.rng.random() < probability)

    def pick(self, options: Mapping[Choice, float] | Sequence[Choice]) -> Choice:
        """Draw one option, see ``pick``."""
        return pick(options, self.rng)

    def build(self, kind: str) -> Piece:
        """Return the piece that consists of the parts added so far."""
        roles = sorted({part.role for part in self.parts})
        return Piece(kind, tuple(self.parts), {role: ROLE_MATERIALS[role] for role in roles})


Design = Callable[[PieceBuilder], None]
"""Adds all parts of one piece."""
