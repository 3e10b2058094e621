"""The mesh of one piece as a scene needs it: slots that say what each face is, and boards that wood is cut from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.connected import connected
from export_models.dataset.makers.piece import Piece

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

LONG = 2.5
"""A part this much longer than wide has its grain along its own axis, however it slants."""


@dataclass(frozen=True)
class Slot:
    """What the faces of one material slot are."""

    component: str
    role: str  # faces of one role share a surface


@dataclass(frozen=True)
class SceneMesh:
    """One piece. Metres, +Z up, standing on z = 0 about the Z axis, its front to -Y."""

    vertices: Floats  # [V, 3]
    triangles: Ints  # [T, 3]
    slot: Ints  # [T] index into slots
    smooth: NDArray[np.bool_]  # [T]
    grain: Floats  # [V, 3] metres along, across and through the board
    board: Floats  # [V, 3] a random vector for each board
    slots: tuple[Slot, ...]

    @property
    def size_m(self) -> float:
        """The longest side."""
        return float(np.ptp(self.vertices, axis=0).max())

    def save(self, file: Path) -> None:
        """Write the arrays as NPZ."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        np.savez(file, **arrays)


ARRAYS = ("vertices", "triangles", "slot", "smooth", "grain", "board")


def from_piece(piece: Piece, random: np.random.Generator) -> SceneMesh:
    """The mesh of a made piece: a slot for each component and role, a board for each part."""
    slots = sorted({(part.component, part.role) for part in piece.parts})
    vertices, triangles, slot, smooth, grain, board = [], [], [], [], [], []
    count = 0
    for part in piece.parts:
        vertices.append(part.vertices)
        triangles.append(part.triangles + count)
        count += len(part.vertices)
        slot.append(np.full(len(part.triangles), slots.index((part.component, part.role))))
        smooth.append(np.full(len(part.triangles), part.smooth))
        grain.append(board_frame(part.vertices, part.grain))
        board.append(np.tile(random.random(3), (len(part.vertices), 1)))
    faces = np.concatenate(triangles).astype(np.int32)
    return SceneMesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        triangles=faces,
        slot=np.concatenate(slot).astype(np.int32),
        smooth=np.concatenate(smooth).astype(bool),
        grain=np.concatenate(grain).astype(np.float32),
        board=np.concatenate(board).astype(np.float32),
        slots=tuple(Slot(*one) for one in slots),
    )


def from_labelled(file: Path, components: tuple[str, ...], random: np.random.Generator) -> SceneMesh:
    """The mesh that ``labels.write_labelled`` wrote: a slot for each component and material of the model.

    Vertices at one place are one; each connected part is a board, cut along its longest side as a joiner would.
    """
    with np.load(file) as found:
        points, triangles = found["vertices"], found["triangles"]
        component, material = found["component"], found["triangle_mtl"]
        names = [str(name) for name in found["mtl_names"]]
    places, same = np.unique(points.round(4), axis=0, return_inverse=True)
    triangles = same.ravel()[triangles].astype(np.int32)
    whole = (np.diff(np.sort(triangles, axis=1), axis=1) > 0).all(1)
    triangles, component, material = triangles[whole], component[whole], material[whole]
    keys = sorted({(int(c), int(m)) for c, m in zip(component, material, strict=True)})
    number = {key: index for index, key in enumerate(keys)}
    slot = np.array([number[int(c), int(m)] for c, m in zip(component, material, strict=True)], np.int32)
    grain, board = np.zeros_like(places), np.zeros_like(places)
    for part in loose_parts(triangles, len(places)):
        grain[part] = board_frame(places[part])
        board[part] = random.random(3)
    return SceneMesh(
        vertices=places.astype(np.float32),
        triangles=triangles,
        slot=slot,
        smooth=np.ones(len(triangles), bool),
        grain=grain.astype(np.float32),
        board=board.astype(np.float32),
        slots=tuple(Slot(components[c], names[m]) for c, m in keys),
    )


def loose_parts(triangles: Ints, count: int) -> list[NDArray[np.intp]]:
    """The vertices of each connected part."""
    label = connected(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]]), count)
    order = np.argsort(label, kind="stable")
    return list(np.split(order, np.flatnonzero(np.diff(label[order])) + 1))


def board_frame(vertices: Floats, along: Floats | None = None) -> NDArray[np.float64]:
    """[V, 3] each vertex in metres along, across and through its board, from the board's middle.

    Args:
        along: [3] where the grain runs; without it along the longest side.
    """
    local = vertices.astype(np.float64) - (vertices.min(0) + vertices.max(0)) / 2
    axes = np.eye(3)
    if along is not None:
        first = along / max(float(np.linalg.norm(along)), 1e-9)
        side = axes[np.argmin(np.abs(first))]
        second = np.cross(first, side)
        second /= np.linalg.norm(second)
        axes = np.stack([first, second, np.cross(first, second)])
    elif len(local) > 3:
        _, spread, principal = np.linalg.svd(local - local.mean(0), full_matrices=False)
        if spread[0] > LONG * spread[1]:
            axes = principal
    frame = local @ axes.T
    wide = np.argsort(-np.ptp(frame, axis=0))
    order = wide if along is None else np.concatenate([[0], wide[wide != 0]])
    return np.asarray(frame[:, order])
