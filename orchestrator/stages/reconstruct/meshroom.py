"""Make a 3D model from photos with Meshroom: its textured OBJ, cleaned, scaled, with a texture of our size."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image as Pictures
from PIL import ImageOps

from orchestrator.domain.images import Image
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import CaptureReport, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Floats
from orchestrator.geometry.mesh import Triangles, clean_mesh, place_on_floor, simplify, unwrap, write_glb
from orchestrator.geometry.texturing import bake_from_points
from orchestrator.tools.meshroom import run_meshroom

DOWNSCALE = {Quality.PREVIEW: 4, Quality.FINAL: 2}
POINTS = 2_000_000
"""On Meshroom's surface, from which the texture is taken: as many as a 2K texture has texels."""
MIN_PART = 0.3
"""Of the largest part's diagonal: what Meshroom makes of the surroundings hangs free in small pieces."""


def meshroom_model(
    photos: Sequence[Path],
    masks: Sequence[Path],
    used: Sequence[int],
    notes: Sequence[str],
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    *,
    executable: str,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    """Return the model that Meshroom makes of the photos ``used``, black around the piece so that only it is seen.

    Meshroom stands the model on +Y itself. It does not say in its output which photos it could place.

    Raises:
        ToolFailed: Meshroom is not set up, or failed; in its own words.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    if not executable:
        raise ToolFailed("Meshroom is not set up: name its meshroom_batch program in the settings", tool="meshroom")
    done = folder / "meshroom"
    if not done.exists():
        scratch = folder / "meshroom.part"
        shutil.rmtree(scratch, ignore_errors=True)
        pictures, pieces = scratch / "photos", scratch / "masks"
        pictures.mkdir(parents=True)
        pieces.mkdir()
        for number in used:
            _cut_out(photos[number], masks[number], pictures / f"{number:04d}.png", pieces / f"{number:04d}.png")
        obj = run_meshroom(
            executable,
            pictures,
            pieces,
            scratch,
            texture_size=options.texture_size,
            downscale=DOWNSCALE[quality],
            limits=limits,
            progress=lambda fraction, message: progress(0.9 * fraction, message),
        )
        obj.rename(obj.with_name("model.obj"))
        scratch.rename(done)
    progress(0.9, "cleaning Meshroom's model")
    vertices, triangles, points, colors = read_textured(done / "output" / "model.obj")
    vertices, triangles = clean_mesh(vertices, triangles, min_part=MIN_PART)
    mesh = unwrap(*simplify(vertices, triangles, options.max_triangles))
    progress(0.95, "painting the model")
    texture = bake_from_points(mesh, points, colors, options.texture_size)
    placed, dimensions = place_on_floor(mesh.vertices, options.dimensions)
    glb = folder / "model.glb"
    part = folder / "model.part.glb"
    write_glb(part, mesh.moved(placed), texture)
    part.rename(glb)
    return ReconstructedMesh(
        glb=glb,
        report=CaptureReport(photos=len(photos), photos_used=tuple(used), advice=tuple(notes)),
        vertices=len(mesh.vertices),
        triangles=len(mesh.triangles),
        dimensions=dimensions,
        extras=(done / "meshroom.log",),
    )


def read_textured(obj: Path) -> tuple[Floats, Triangles, Floats, Image]:
    """Return vertices, triangles, POINTS places on the surface [P, 3] and their sRGB colours [P, 3].

    Raises:
        ToolFailed: the file has no triangles or no texture.
    """
    scene = trimesh.load_scene(obj, group_material=True)
    parts = [part for part in scene.geometry.values() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    if not parts:
        raise ToolFailed("Meshroom wrote a model without triangles", tool="meshroom")
    area = sum(float(part.area) for part in parts)
    random = np.random.default_rng(1)
    vertices, triangles, points, colors, first = [], [], [], [], 0
    for part in parts:
        corners, faces = np.asarray(part.vertices, np.float64), np.asarray(part.faces, np.int32)
        vertices.append(corners)
        triangles.append(faces + first)
        first += len(corners)
        looks = part.visual
        picture = getattr(getattr(looks, "material", None), "image", None)
        if picture is None or not isinstance(looks, trimesh.visual.TextureVisuals) or looks.uv is None:
            raise ToolFailed("Meshroom wrote a model without a texture", tool="meshroom")
        count = max(1, round(POINTS * float(part.area) / max(area, 1e-30)))
        weight = np.asarray(part.area_faces)
        face = random.choice(len(faces), count, p=weight / weight.sum())
        share = random.dirichlet((1.0, 1.0, 1.0), count)
        points.append(np.einsum("pk,pkd->pd", share, corners[faces[face]]))
        at = np.einsum("pk,pkd->pd", share, np.asarray(looks.uv, np.float64)[faces[face]])
        colors.append(_colors(np.asarray(picture.convert("RGB")), at))
    return np.concatenate(vertices), np.concatenate(triangles), np.concatenate(points), np.concatenate(colors)


def _colors(picture: Image, uv: Floats) -> Image:
    """[P, 3] of the texture; OBJ counts V from the bottom."""
    height, width = picture.shape[:2]
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(picture[row, column])


def _cut_out(photo: Path, mask: Path, photo_to: Path, mask_to: Path) -> None:
    """Write the photo black around the piece, upright and with its EXIF (Meshroom reads the focal length there)."""
    with Pictures.open(photo) as opened:
        upright = ImageOps.exif_transpose(opened)
        exif = upright.getexif()
        upright = upright.convert("RGB")
    with Pictures.open(mask) as opened:
        piece = opened.convert("L").resize(upright.size).point([0] * 128 + [255] * 128)
    upright.paste((0, 0, 0), mask=ImageOps.invert(piece))
    upright.save(photo_to, exif=exif, compress_level=1)
    piece.save(mask_to)
