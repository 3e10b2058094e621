"""Reconstructs a piece with Meshroom: cleans and scales its textured OBJ and bakes a texture of the requested size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image as PillowImage
from PIL import ImageOps

from orchestrator.domain.images import Image
from orchestrator.domain.progress import subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import CaptureReport, ReconstructedMesh
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.mesh import unwrap
from orchestrator.geometry.mesh_cleanup import clean_mesh, simplify
from orchestrator.geometry.texturing import bake_from_points
from orchestrator.stages.reconstruct.camera_poses import UsablePhotos
from orchestrator.stages.reconstruct.mesh_output import save_mesh
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.meshroom import run_meshroom

DOWNSCALE = {Quality.PREVIEW: 4, Quality.FINAL: 2}  # factor by which Meshroom reduces the photos for its depth maps
SURFACE_POINTS = 2_000_000  # coloured points for the new texture: about one per covered texel of a 2K texture
MIN_COMPONENT = 0.3  # disconnected parts below this share of the largest one's diagonal are background; not tuned


def reconstruct_with_meshroom(task: ReconstructTask, usable: UsablePhotos) -> ReconstructedMesh:
    """Return Meshroom's reconstruction of the usable photos, which get a black background.

    Meshroom orients the mesh on +Y itself. Its output does not state which photos it placed.

    Raises:
        ToolFailed: Meshroom is not configured or failed; the message contains its errors.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    if not task.programs.meshroom:
        remedy = "set HEARTWOOD_MESHROOM to its meshroom_batch program"
        raise ToolFailed(f"Meshroom is not configured; {remedy}", tool="meshroom")
    output = _load_or_run(task, usable)
    task.progress(0.9, "cleaning Meshroom's mesh")
    vertices, triangles, points, colors = read_textured_obj(output / "output" / "model.obj")
    vertices, triangles = clean_mesh(vertices, triangles, min_component=MIN_COMPONENT)
    mesh = unwrap(*simplify(vertices, triangles, task.options.max_triangles))
    task.progress(0.95, "texturing the mesh")
    texture = bake_from_points(mesh, points, colors, task.options.texture_size)
    saved = save_mesh(task.folder, mesh, texture, task.options.dimensions)
    report = CaptureReport(photos=len(task.photos), photos_used=usable.indices, advice=usable.notes)
    return saved.with_report(report, extras=(output / "meshroom.log",))


def _load_or_run(task: ReconstructTask, usable: UsablePhotos) -> Path:
    """Return the folder with Meshroom's output. A repeated call does not run Meshroom again."""
    finished, partial = task.folder / "meshroom", task.folder / "meshroom.part"
    if not finished.exists():
        remove_untrusted(partial)  # left by an interrupted run
        photos, masks = partial / "photos", partial / "masks"
        photos.mkdir(parents=True)
        masks.mkdir()
        for number in usable.indices:
            name = f"{number:04d}.png"
            _write_masked_photo(task.photos[number], task.masks[number], photos / name, masks / name)
        obj = run_meshroom(
            task.programs.meshroom,
            photos,
            masks,
            partial,
            texture_size=task.options.texture_size,
            downscale=DOWNSCALE[task.quality],
            limits=task.limits,
            progress=subrange(task.progress, 0.0, 0.9),
        )
        obj.rename(obj.with_name("model.obj"))
        partial.rename(finished)
    return finished


def read_textured_obj(path: Path) -> tuple[Floats, Triangles, Floats, Image]:
    """Read the mesh and sample SURFACE_POINTS coloured points on it.

    Returns:
        Vertices [V, 3], triangles [T, 3], points on the surface [P, 3] and their sRGB colours [P, 3] uint8.

    Raises:
        ToolFailed: the file has no triangles or no texture.
    """
    scene = trimesh.load_scene(path, group_material=True)
    meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]
    if not meshes:
        raise ToolFailed("Meshroom wrote an OBJ file without triangles", tool="meshroom")
    total_area = sum(float(mesh.area) for mesh in meshes)
    random = np.random.default_rng(1)
    triangles, points, colors, vertex_count = [], [], [], 0
    for mesh in meshes:
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)
        triangles.append(faces + vertex_count)
        vertex_count += len(vertices)
        texture = getattr(getattr(mesh.visual, "material", None), "image", None)
        if texture is None or not isinstance(mesh.visual, trimesh.visual.TextureVisuals) or mesh.visual.uv is None:
            raise ToolFailed("Meshroom wrote an OBJ file without a texture", tool="meshroom")
        count = max(1, round(SURFACE_POINTS * float(mesh.area) / max(total_area, 1e-30)))
        area = np.asarray(mesh.area_faces)
        face = random.choice(len(faces), count, p=area / area.sum())
        barycentric = random.dirichlet((1.0, 1.0, 1.0), count)
        points.append(np.einsum("pk,pkd->pd", barycentric, vertices[faces[face]]))
        uv = np.einsum("pk,pkd->pd", barycentric, np.asarray(mesh.visual.uv, np.float64)[faces[face]])
        colors.append(_sample_texture(np.asarray(texture.convert("RGB")), uv))
    all_vertices = np.concatenate([np.asarray(mesh.vertices, np.float64) for mesh in meshes])
    return all_vertices, np.concatenate(triangles), np.concatenate(points), np.concatenate(colors)


def _sample_texture(texture: Image, uv: Floats) -> Image:
    """Return the colours [P, 3] at ``uv`` [P, 2]. OBJ's V axis points up."""
    height, width = texture.shape[:2]
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(texture[row, column])


def _write_masked_photo(photo: Path, mask: Path, photo_target: Path, mask_target: Path) -> None:
    """Write the photo with a black background. Its EXIF is kept, because Meshroom reads the focal length from it."""
    with PillowImage.open(photo) as opened:
        upright = ImageOps.exif_transpose(opened)
        exif = upright.getexif()
        upright = upright.convert("RGB")
    with PillowImage.open(mask) as opened:
        piece = opened.convert("L").resize(upright.size).point([0] * 128 + [255] * 128)
    upright.paste((0, 0, 0), mask=ImageOps.invert(piece))
    upright.save(photo_target, exif=exif, compress_level=1)
    piece.save(mask_target)
