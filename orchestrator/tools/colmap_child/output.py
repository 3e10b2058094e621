"""Writes a job's results: ``poses.npz``, the undistorted photos and masks and, with CUDA, depth maps.

``tools.colmap.read_poses`` also reads results of earlier versions, so names of files and arrays must not change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from orchestrator.tools.colmap_child.features import verified_matches

MAX_DISTORTION_PX = 0.3  # photos whose corners are displaced by less are copied without undistortion
# OpenCV's centre of the first pixel is (0, 0), COLMAP's is (0.5, 0.5).
OPENCV_PIXEL_OFFSET = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def write_poses(folder: Path, count: int, reconstruction: Any, database: Path | None = None) -> None:
    """Write ``poses.npz`` and the undistorted photos.

    Args:
        count: number of photos in the job.
        reconstruction: a pycolmap.Reconstruction, empty if no photo was placed.
        database: COLMAP's database with the matches of the reconstruction; None if no photo was placed.
    """
    images = sorted((image for image in reconstruction.images.values() if image.has_pose), key=lambda image: image.name)
    cameras = [write_undistorted(folder, image.name, reconstruction.cameras[image.camera_id]) for image in images]
    points = [reconstruction.points3D[number].xyz for number in sorted(reconstruction.points3D)]
    np.savez(
        folder / "poses.npz",
        placed=[int(Path(image.name).stem) for image in images],
        matrices=[intrinsics for intrinsics, _ in cameras],
        sizes=[size for _, size in cameras],
        world_to_camera=[pose_of(image) for image in images],
        points=np.array(points).reshape(-1, 3),
        error=reconstruction.compute_mean_reprojection_error(),
        matches=np.zeros((count, count), int) if database is None else verified_matches(database, count),
    )


def intrinsics_of(camera: Any) -> NDArray[np.float64]:
    """Return the intrinsics [3, 3] in px of a pycolmap.Camera. The centre of the first pixel is (0.5, 0.5)."""
    focal, x, y, _ = camera.params
    return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])


def pose_of(image: Any) -> NDArray[np.float64]:
    """Return the pose [4, 4] of a pycolmap.Image, world to camera."""
    return np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])


def write_undistorted(folder: Path, name: str, camera: Any) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Write a photo, its mask and its colour version without lens distortion. Return the intrinsics and the size."""
    focal, x, y, distortion = camera.params
    intrinsics = intrinsics_of(camera)
    size = (camera.width, camera.height)
    files = {"photo": folder / "images" / name, "look": folder / "looks" / name}
    pictures = {kind: cv2.imread(str(file)) for kind, file in files.items() if file.exists()}
    mask = cv2.imread(str(folder / "masks" / f"{name}.png"), 0)
    corner_px = np.hypot(x, y)
    if abs(distortion) * (corner_px / focal) ** 2 * corner_px > MAX_DISTORTION_PX:
        opencv_intrinsics = intrinsics - OPENCV_PIXEL_OFFSET
        coefficients = np.array([distortion, 0.0, 0.0, 0.0])
        x_map, y_map = cv2.initUndistortRectifyMap(
            opencv_intrinsics, coefficients, np.eye(3), opencv_intrinsics, size, cv2.CV_32FC1
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
    return intrinsics, size


def write_depth_maps(folder: Path, reconstruction: Any) -> None:
    """Write a depth map for each placed photo with PatchMatch stereo (Schönberger et al. 2016). Requires CUDA.

    A depth map has the size of the undistorted photo. It is float32, along the optical axis, 0 where unknown.
    """
    sparse, workspace = folder / "model", folder / "dense"
    for directory in (sparse, workspace):
        directory.mkdir(exist_ok=True)
    reconstruction.write(sparse)
    options = pycolmap.UndistortCameraOptions(min_scale=1.0, max_scale=1.0)  # the camera of ``write_undistorted``
    pycolmap.undistort_images(workspace, sparse, folder / "images", undistort_options=options)
    pycolmap.patch_match_stereo(workspace, options=pycolmap.PatchMatchOptions(geom_consistency=True, filter=True))
    for path in (workspace / "stereo" / "depth_maps").glob("*.geometric.bin"):
        np.save(folder / "flat" / f"depth-{path.name.partition('.')[0]}.npy", parse_depth_map(path.read_bytes()))


def parse_depth_map(data: bytes) -> NDArray[np.float32]:
    """Return the depths [H, W] in a COLMAP dense array: "width&height&channels&" and column-major float32 values."""
    width, height, channels, _ = data.split(b"&", 3)
    shape = int(width), int(height), int(channels)
    values = np.frombuffer(data, "<f4", count=int(np.prod(shape)), offset=len(data) - 4 * int(np.prod(shape)))
    return np.ascontiguousarray(values.reshape(shape, order="F")[:, :, 0].T)
