"""What the job leaves: ``poses.npz``, the photos as a pinhole sees them and, where COLMAP has CUDA, their depths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from orchestrator.tools.colmap_child.features import verified_matches

NO_DISTORTION_PX = 0.3


def write(folder: Path, count: int, best: tuple[Any, Path, bool] | None) -> None:
    """Write ``poses.npz``: everything that ``colmap.Poses`` holds."""
    if best is None:
        np.savez(folder / "poses.npz", placed=np.zeros(0, int), matches=np.zeros((count, count), int))
        return
    model, database, masked = best
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    number_of = {number: row for row, number in enumerate(sorted(model.points3D))}
    cameras, seen, owner = [], [], []
    for row, image in enumerate(images):
        cameras.append(flatten(folder, image.name, model.cameras[image.camera_id]))
        points = [number_of[point.point3D_id] for point in image.points2D if point.has_point3D()]
        seen += points
        owner += [row] * len(points)
    np.savez(
        folder / "poses.npz",
        placed=[int(Path(image.name).stem) for image in images],
        matrices=[matrix for matrix, _ in cameras],
        sizes=[size for _, size in cameras],
        world_to_camera=[pose_of(image) for image in images],
        points=np.array([model.points3D[number].xyz for number in number_of]).reshape(-1, 3),
        colors=np.array([model.points3D[number].color for number in number_of], np.uint8).reshape(-1, 3),
        seen_photo=owner,
        seen_point=seen,
        error=model.compute_mean_reprojection_error(),
        matches=verified_matches(database, count),
        masked=masked,
    )


def matrix_of(camera: Any) -> NDArray[np.float64]:
    """[3, 3] px; pixels are counted as COLMAP does, the middle of the first is (0.5, 0.5)."""
    focal, x, y, _ = camera.params
    return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])


def pose_of(image: Any) -> NDArray[np.float64]:
    """[4, 4] world to camera."""
    return np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])


def flatten(folder: Path, name: str, camera: Any) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Write the photo, its mask and its other picture as a pinhole sees them; return its matrix and size."""
    focal, x, y, bend = camera.params
    matrix = matrix_of(camera)
    corner = np.hypot(x, y)
    pictures = {"photo": cv2.imread(str(folder / "images" / name))}
    if (folder / "looks" / name).exists():
        pictures["look"] = cv2.imread(str(folder / "looks" / name))
    mask = cv2.imread(str(folder / "masks" / f"{name}.png"), 0)
    size = (camera.width, camera.height)
    if abs(bend) * (corner / focal) ** 2 * corner > NO_DISTORTION_PX:
        half = matrix - np.array(
            [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        )  # OpenCV counts pixels from the middle of the first
        x_map, y_map = cv2.initUndistortRectifyMap(
            half, np.array([bend, 0.0, 0.0, 0.0]), np.eye(3), half, size, cv2.CV_32FC1
        )
        pictures = {
            kind: cv2.remap(picture, x_map, y_map, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            for kind, picture in pictures.items()
        }
        mask = cv2.remap(mask, x_map, y_map, cv2.INTER_NEAREST)
    stem = Path(name).stem
    for kind, picture in pictures.items():
        cv2.imwrite(str(folder / "flat" / f"{kind}-{stem}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    cv2.imwrite(str(folder / "flat" / f"mask-{stem}.png"), mask)
    return matrix, size


def measure_depths(folder: Path, model: Any) -> None:
    """Write a depth map of each placed photo: PatchMatch stereo (Schönberger et al. 2016), which needs CUDA.

    Float32, along the line of sight, in the model's units, 0 where unknown; of the size of the photo in ``flat``.
    """
    sparse, workspace = folder / "model", folder / "dense"
    for made in (sparse, workspace):
        made.mkdir(exist_ok=True)
    model.write(sparse)
    as_flat = pycolmap.UndistortCameraOptions(min_scale=1.0, max_scale=1.0)  # the camera that ``flatten`` keeps
    pycolmap.undistort_images(workspace, sparse, folder / "images", undistort_options=as_flat)
    pycolmap.patch_match_stereo(workspace, options=pycolmap.PatchMatchOptions(geom_consistency=True, filter=True))
    for file in (workspace / "stereo" / "depth_maps").glob("*.geometric.bin"):
        np.save(folder / "flat" / f"depth-{file.name.partition('.')[0]}.npy", read_depths(file.read_bytes()))


def read_depths(data: bytes) -> NDArray[np.float32]:
    """[H, W] of COLMAP's dense arrays: "width&height&channels&", then float32 with the column changing first."""
    width, height, channels, _ = data.split(b"&", 3)
    shape = int(width), int(height), int(channels)
    values = np.frombuffer(data, "<f4", count=int(np.prod(shape)), offset=len(data) - 4 * int(np.prod(shape)))
    return np.ascontiguousarray(values.reshape(shape, order="F")[:, :, 0].T)
