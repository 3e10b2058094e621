"""Make a 3D model from one photo: by symmetry and proportion (``local``), or by a self-hosted image-to-3D server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import trimesh
from PIL import Image as Pictures

from orchestrator.domain.export import MeshFormat
from orchestrator.domain.images import Image
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import CaptureReport, PhotoCamera, Provider, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import (
    Triangles,
    UvMesh,
    clean_mesh,
    place_on_floor,
    simplify,
    smooth,
    unwrap,
    write_glb,
)
from orchestrator.geometry.rasterize import NOTHING, depth_map
from orchestrator.geometry.texturing import bake_from_photos
from orchestrator.imaging.photo import focal_length_35mm
from orchestrator.mesh_files.check import check_model
from orchestrator.mesh_files.glb_floor import stand_on_floor
from orchestrator.stages.reconstruct.single_image.single_view import View, estimate_views
from orchestrator.stages.reconstruct.single_image.symmetric_hull import choose_view, symmetric_hull
from orchestrator.tools.trellis import TrellisSettings, generate_glb

__all__ = ["TrellisSettings", "single_image"]

FIELD = "reconstruct.upload_id"
SEARCH_SIDE = 800
"""Longer side, px, of the photo in which the camera is searched; edges are found no better in a larger one."""
TEXTURE_SIDE = 3000
CELLS = {Quality.PREVIEW: 88, Quality.FINAL: 128}
"""Voxels along the longest side: 1.1 cm and 8 mm for a piece of one metre."""
TRIANGLES = {Quality.PREVIEW: 15_000, Quality.FINAL: 40_000}
"""What shapes of so many voxels need; the unwrapping grows with it."""
FULL_FRAME_DIAGONAL_MM = 43.27
"""Of the 36 × 24 mm film that 35 mm equivalent focal lengths refer to."""
SIMPLIFY_ATTEMPTS = 8
LEAST_SHARE = 0.002
"""Of the photo: a smaller piece shows nothing to build from."""
SPECK, PINHOLE = 0.01, 0.05
"""Of the piece's area: smaller crumbs are no part of it; holes are real down to a twentieth of that."""
_SIDE, _BACK, _TURN = (-1.0, 1.0, 1.0), (1.0, 1.0, -1.0), (-1.0, 1.0, -1.0)
MIRRORED = ((_SIDE, (_SIDE,)), (_BACK, (_BACK, _TURN)), (_TURN, (_TURN, _BACK, _SIDE)))
"""The images of the piece that the photo stands for, and where each of them is not needed."""
LEGGY = 0.4
"""Share of its box that a piece fills at most whose back looks like its front; a cabinet's doors are in front only."""
SEEN_WELL = 0.25
"""Cosine to the photo's line of sight from which on the photo itself, not its mirror image, gives the texture."""


def single_image(
    photo: Path,
    mask: Path,
    maps: MaterialMaps | None,
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    *,
    look: Path | None = None,
    trellis: TrellisSettings | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    """Make ``model.glb`` in ``folder``.

    Args:
        photo: an upright picture that Pillow reads, with the focal length in its EXIF where it is known.
        mask: 8-bit grey PNG of the photo's size, 255 on the piece.
        maps: what the models say of the photo; their depth is used where it agrees with the silhouette.
        look: a picture of the photo's size that gives the colours in its place, such as a stained one.
        trellis: the image-to-3D server, for ``options.provider`` TRELLIS.

    Raises:
        InvalidInput: the mask is empty or cut off by the photo's borders; the server is not set up.
        ModelUnavailable, ToolFailed: as in ``tools.trellis.generate_glb``.
        DeadlineExceeded, Canceled: as ``progress`` raises them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photo_srgb, piece = _read(photo, mask)
    look_srgb = _read(look, mask)[0] if look else photo_srgb
    if options.provider is Provider.TRELLIS:
        if trellis is None:
            raise InvalidInput("reconstruct.provider", "'trellis' is not set up on this server; allowed is 'local'")
        return _by_server(look_srgb, piece, options, folder, trellis, limits, progress)
    return _by_symmetry(photo, photo_srgb, look_srgb, piece, maps, options, quality, folder, progress)


def _read(photo: Path, mask: Path) -> tuple[Image, Image]:
    with Pictures.open(photo) as picture:
        photo_srgb = np.asarray(picture.convert("RGB"))
    with Pictures.open(mask) as picture:
        piece = np.asarray(picture.convert("L"))
    if piece.shape != photo_srgb.shape[:2]:
        raise InvalidInput(
            FIELD,
            f"the mask is {piece.shape[1]} × {piece.shape[0]} pixels, the photo {photo_srgb.shape[1]} × "
            f"{photo_srgb.shape[0]}; they must be the same",
        )
    share = float((piece > 127).mean())
    if share < LEAST_SHARE:
        raise InvalidInput(
            FIELD,
            f"the piece was found on {share:.2%} of the photo, at least {LEAST_SHARE:.1%} is needed; take a photo that "
            "shows one piece of furniture larger and before a plain background",
        )
    borders = {"left": piece[:, 0], "right": piece[:, -1], "top": piece[0], "bottom": piece[-1]}
    cut = [name for name, line in borders.items() if (line > 127).any()]
    if len(cut) == len(borders):
        raise InvalidInput(
            FIELD,
            "the piece reaches over all four borders of the photo, so that its outline is not seen; take a photo that "
            "shows the whole piece with room around it",
        )
    return photo_srgb, _without_specks(piece)


def _without_specks(piece: Image) -> Image:
    """The mask without crumbs beside the piece and pinholes in it, which would be taken for parts of its outline."""
    binary = (piece > 127).astype(np.uint8)
    for value in (1, 0):
        count, parts, about, _ = cv2.connectedComponentsWithStats((binary == value).astype(np.uint8), connectivity=4)
        area = about[:, cv2.CC_STAT_AREA]
        least = SPECK * int(binary.sum()) * (1.0 if value else PINHOLE)
        small = np.flatnonzero(area[1:count] < least) + 1
        binary[np.isin(parts, small)] = 1 - value
    return binary * np.uint8(255)


def _by_symmetry(
    file: Path,
    photo_srgb: Image,
    look_srgb: Image,
    piece: Image,
    maps: MaterialMaps | None,
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    progress: Progress,
) -> ReconstructedMesh:
    """Two views for one: the photo, and the photo as the mirror image of the piece would give it."""
    height, width = piece.shape
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    size = (round(width * scale), round(height * scale))
    small_photo, small_piece = _resized(photo_srgb, size), _resized(piece, size)
    film_mm = focal_length_35mm(file.read_bytes())
    focal = film_mm / FULL_FRAME_DIAGONAL_MM * float(np.hypot(*size)) if film_mm else None
    views = estimate_views(small_photo, small_piece, focal, subrange(progress, 0.0, 0.15))
    view = choose_view(small_piece, views, subrange(progress, 0.15, 0.3))
    hull = symmetric_hull(
        small_piece, view, CELLS[quality], None if maps is None else maps.depth, subrange(progress, 0.3, 0.6)
    )
    progress(0.6, "cleaning the mesh")
    vertices, triangles = clean_mesh(hull.vertices, hull.triangles)
    vertices = smooth(vertices, triangles, 2)
    limit = min(options.max_triangles, TRIANGLES[quality])
    vertices, triangles = _simplified(vertices, triangles, limit)
    progress(0.65, "unwrapping")
    mesh = unwrap(vertices, triangles)
    filled = trimesh.Trimesh(vertices, triangles, process=False).volume / float(np.prod(np.ptp(vertices, axis=0)))
    both = hull.symmetry.below == 1.0 and hull.symmetry.sides and bool(filled < LEGGY)
    texture = _texture(mesh, look_srgb, piece, view, both, options.texture_size, subrange(progress, 0.7, 0.95))
    placed, dimensions = place_on_floor(mesh.vertices, options.dimensions)
    camera = view.camera.moved(_similarity(mesh.vertices, placed)).resized(width, height)
    glb = folder / "model.glb"
    write_glb(glb, mesh.moved(placed), texture)
    progress(1.0, "model made from one photo")
    return ReconstructedMesh(
        glb=glb,
        report=CaptureReport(photos=1, photos_used=(0,), advice=_advice(piece, view)),
        vertices=len(mesh.vertices),
        triangles=len(triangles),
        dimensions=dimensions,
        camera=PhotoCamera(_rows(camera.matrix), _rows(camera.world_to_camera), camera.size),
    )


def _resized(picture: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rows(matrix: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)


def _simplified(vertices: Floats, triangles: Triangles, limit: int) -> tuple[Floats, Triangles]:
    """Simplify and stay closed: where the collapse of edges pinches the mesh, another target pinches elsewhere or
    nowhere."""
    made = vertices, triangles
    for attempt in range(SIMPLIFY_ATTEMPTS):
        made = simplify(vertices, triangles, round(limit * 0.95**attempt))
        if trimesh.Trimesh(*made, process=False).is_watertight:
            break
    return made


def _texture(
    mesh: UvMesh, photo_srgb: Image, piece: Image, view: View, both: bool, size: int, progress: Progress
) -> Image:
    """The photo where it sees the piece, its mirror images where it does not, their neighbours' colour elsewhere.

    Args:
        both: front and back are alike too.
    """
    height, width = piece.shape
    scale = min(1.0, TEXTURE_SIDE / max(height, width))
    frame = (round(width * scale), round(height * scale))
    photo, inside = _resized(photo_srgb, frame), _resized(piece, frame)
    camera = view.camera.resized(*frame)
    photos, cameras, masks = [photo], [camera], [inside]
    # A mirror image shows only what neither the photo nor an earlier mirror image shows.
    for image, earlier in MIRRORED[: 3 if both else 1]:
        shown = _seen_once(mesh, camera, inside, earlier)
        turned = image[0] * image[2] > 0  # two reflections are a turn, which leaves the photo as it is
        photos.append(photo if turned else np.ascontiguousarray(photo[:, ::-1]))
        masks.append(shown if turned else np.ascontiguousarray(shown[:, ::-1]))
        cameras.append(_imaged(camera, image))
    return bake_from_photos(mesh, photos, cameras, masks, size, progress)


def _imaged(camera: Camera, image: tuple[float, float, float]) -> Camera:
    """The camera that sees the reflected (or half turned) piece as ``camera`` sees the piece; after one reflection its
    picture is turned left to right, which makes it right-handed again."""
    move = np.diag([*image, 1.0])
    if image[0] * image[2] > 0:
        return Camera(camera.matrix, camera.world_to_camera @ move, camera.size)
    matrix = camera.matrix.copy()
    matrix[0, 2] = camera.size[0] - matrix[0, 2]
    return Camera(matrix, np.diag([-1.0, 1.0, 1.0, 1.0]) @ camera.world_to_camera @ move, camera.size)


def _seen_once(mesh: UvMesh, camera: Camera, inside: Image, images: tuple[tuple[float, float, float], ...]) -> Image:
    """The mask without the places one of whose ``images`` the photo sees itself: there it needs no help."""
    half = camera.resized(max(1, camera.size[0] // 2), max(1, camera.size[1] // 2))
    seen = depth_map(half, mesh.vertices, mesh.triangles)
    rows, columns = np.nonzero(seen.triangle != NOTHING)
    corners = mesh.triangles[seen.triangle[rows, columns]]
    weights = seen.weights[rows, columns]
    places = np.einsum("nk,nkd->nd", weights, mesh.vertices[corners])
    normals = np.einsum("nk,nkd->nd", weights, mesh.normals[corners])
    slack = 0.02 * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    once = np.full(seen.triangle.shape, 255, np.uint8)
    for image in images:
        place, normal = places * image, normals * image
        toward = half.position - place
        cosine = (normal * toward).sum(1) / np.maximum(np.linalg.norm(toward, axis=1), 1e-12)
        pixels, distance = half.project(place)
        column, row = np.clip(pixels.astype(int), 0, np.array(half.size) - 1).T
        twice = (cosine > SEEN_WELL) & (distance < seen.depth[row, column] + slack)
        once[rows[twice], columns[twice]] = 0
    return np.asarray(np.where(_resized(once, camera.size) > 127, inside, 0), np.uint8)


def _similarity(before: Floats, after: Floats) -> Floats:
    """The scale and shift [4, 4] between the same vertices."""
    scale = float(np.ptp(after, axis=0).max() / np.ptp(before, axis=0).max())
    moved = np.eye(4) * scale
    moved[:3, 3] = after.min(0) - before.min(0) * scale
    moved[3, 3] = 1.0
    return moved


def _advice(piece: Image, view: View) -> tuple[str, ...]:
    """What would make a better model."""
    said = ["the back is guessed by symmetry; 20 photos from all around show what is there"]
    if abs(view.azimuth_deg) < 12:
        said.append("the photo shows the front only, so that the depth is a guess; step 30° to the side")
    if any((line > 127).any() for line in (piece[:, 0], piece[:, -1], piece[0], piece[-1])):
        said.append("the piece is cut off by the photo's border; step back")
    return tuple(said)


def _by_server(
    photo_srgb: Image,
    piece: Image,
    options: ReconstructOptions,
    folder: Path,
    settings: TrellisSettings,
    limits: Limits,
    progress: Progress,
) -> ReconstructedMesh:
    """Ask the server, trust nothing of its answer, and stand the model on the floor."""
    settings = replace(settings, timeout_s=min(settings.timeout_s, limits.time_s))
    data = generate_glb(photo_srgb, piece, settings, progress)
    progress(0.9, "checking the server's model")
    try:
        found = check_model(data, "model.glb", "the image-to-3D server's answer")
    except InvalidInput as error:
        raise ToolFailed(error.message) from None
    if found.format is not MeshFormat.GLB or found.compression:
        kind = f"{found.format.value} {found.compression}".strip()
        raise ToolFailed(f"the image-to-3D server sent {kind!r}; a plain GLB was asked for")
    standing = stand_on_floor(data, options.dimensions)
    glb = folder / "model.glb"
    glb.write_bytes(standing.data)
    progress(1.0, "model made by the image-to-3D server")
    return ReconstructedMesh(
        glb=glb,
        report=CaptureReport(photos=1, photos_used=(0,)),
        vertices=standing.vertices,
        triangles=standing.triangles,
        dimensions=standing.dimensions,
    )
