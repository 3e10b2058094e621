"""The mesh of a piece as the renderer needs it: material slots, and the wood grain of each board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.connectivity import label_connected
from export_models.dataset.makers.piece import Piece

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

MIN_BOARD_ELONGATION = 2.5
"""If a board without a given grain is this many times longer than wide, its grain follows its principal axis, even if
it is slanted. Otherwise the grain follows a coordinate axis. Not tuned."""


@dataclass(frozen=True)
class Slot:
    """Label of the faces of one material slot."""

    component: str
    role: str  # all faces of one role have the same surface


@dataclass(frozen=True)
class SceneMesh:
    """The mesh of one piece, in metres with +Z up. It stands on z = 0, centred on the z axis, and faces -Y."""

    vertices: Floats  # [V, 3]
    triangles: Ints  # [T, 3]
    slot: Ints  # [T] index into slots
    smooth: NDArray[np.bool_]  # [T]
    grain: Floats  # [V, 3] metres along, across and through the board, from its centre
    board: Floats  # [V, 3] in [0, 1), a random vector that is the same for all vertices of a board
    slots: tuple[Slot, ...]

    @property
    def size_m(self) -> float:
        """Longest side of the bounding box."""
        return float(np.ptp(self.vertices, axis=0).max())

    def save(self, file: Path) -> None:
        """Write the arrays as NPZ."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        np.savez(file, **arrays)


ARRAYS = ("vertices", "triangles", "slot", "smooth", "grain", "board")
"""Fields of ``SceneMesh`` in the NPZ file."""


def mesh_from_piece(piece: Piece, rng: np.random.Generator) -> SceneMesh:
    """Return the mesh of a procedurally generated piece.

    Each pair of component and role is a slot, and each part is a board.
    """
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
        board.append(np.tile(rng.random(3), (len(part.vertices), 1)))
    return SceneMesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        slot=np.concatenate(slot).astype(np.int32),
        smooth=np.concatenate(smooth).astype(bool),
        grain=np.concatenate(grain).astype(np.float32),
        board=np.concatenate(board).astype(np.float32),
        slots=tuple(Slot(component, role) for component, role in slots),
    )


def mesh_from_labelled_file(file: Path, components: tuple[str, ...], rng: np.random.Generator) -> SceneMesh:
    """Read a file of ``write_labelled_mesh``.

    Each pair of component and MTL material is a slot, and each connected group of triangles is a board. Vertices at the
    same position are merged. The grain of each board runs along its longest side.

    Args:
        components: names of the component indices in the file.
    """
    with np.load(file) as arrays:
        points, triangles = arrays["vertices"], arrays["triangles"]
        component, material = arrays["component"], arrays["triangle_mtl"]
        names = [str(name) for name in arrays["mtl_names"]]
    vertices, merged = np.unique(points.round(4), axis=0, return_inverse=True)
    triangles = merged.ravel()[triangles].astype(np.int32)
    valid = (np.diff(np.sort(triangles, axis=1), axis=1) > 0).all(1)  # three different vertices
    triangles, component, material = triangles[valid], component[valid], material[valid]
    keys = sorted({(int(c), int(m)) for c, m in zip(component, material, strict=True)})
    slot_of = {key: index for index, key in enumerate(keys)}
    slot = np.array([slot_of[int(c), int(m)] for c, m in zip(component, material, strict=True)], np.int32)
    grain, board = np.zeros_like(vertices), np.zeros_like(vertices)
    for island in mesh_islands(triangles, len(vertices)):
        grain[island] = board_frame(vertices[island])
        board[island] = rng.random(3)
    return SceneMesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles,
        slot=slot,
        smooth=np.ones(len(triangles), bool),
        grain=grain.astype(np.float32),
        board=board.astype(np.float32),
        slots=tuple(Slot(components[c], names[m]) for c, m in keys),
    )


def mesh_islands(triangles: Ints, count: int) -> list[NDArray[np.intp]]:
    """Return the vertex indices of each connected group of triangles.

    Args:
        triangles: [T, 3].
        count: number of vertices.
    """
    label = label_connected(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]]), count)
    order = np.argsort(label, kind="stable")
    return list(np.split(order, np.flatnonzero(np.diff(label[order])) + 1))


def board_frame(vertices: Floats, grain: Floats | None = None) -> NDArray[np.float64]:
    """Return the position [V, 3] of each vertex along, across and through its board, in metres from the board's centre.

    Args:
        vertices: [V, 3] of one board.
        grain: [3] direction of the grain. Default: along the longest side.
    """
    local = vertices.astype(np.float64) - (vertices.min(0) + vertices.max(0)) / 2
    axes = np.eye(3)
    if grain is not None:
        along = grain / max(float(np.linalg.norm(grain)), 1e-9)
        across = np.cross(along, axes[np.argmin(np.abs(along))])
        across /= np.linalg.norm(across)
        axes = np.stack([along, across, np.cross(along, across)])
    elif len(local) > 3:
        _, spread, principal = np.linalg.svd(local - local.mean(0), full_matrices=False)
        if spread[0] > MIN_BOARD_ELONGATION * spread[1]:
            axes = principal
    frame = local @ axes.T
    by_extent = np.argsort(-np.ptp(frame, axis=0))
    order = by_extent if grain is None else np.concatenate([[0], by_extent[by_extent != 0]])
    return np.asarray(frame[:, order])
