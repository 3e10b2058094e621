"""COLMAP's side of ``colmap.solve_poses``: a process of its own, ``colmap_child.py JOB.json``; native code may crash.

Prints ``PROGRESS <fraction> <message>``; COLMAP's own lines stand between. Writes ``poses.npz`` and the photos and
masks without lens distortion into the job's folder.
"""

from __future__ import annotations

import json
import sys
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image, ImageOps

MAX_SIDE_PX = 2048
"""Photos are used at most this large, for texture and depth; features are found at FEATURE_SIDE_PX."""
FEATURE_SIDE_PX = 1600
MAX_FEATURES, MAX_FEATURES_ON_PIECE = 3000, 8000
EDGE_THRESHOLD_ON_PIECE = 20.0
"""Twice COLMAP's: much of what a chair shows lies along its edges."""
PEAK_THRESHOLD = 0.002
"""A third of COLMAP's: wood grain and fabric are faint, and give five times as many features then."""
FOCAL_TAG, EXIF_IFD = 0xA405, 0x8769
FILM_WIDTH_MM = 35.0
"""What COLMAP divides the 35 mm equivalent focal length by."""
DEFAULT_FOCAL = 1.2
"""COLMAP's guess, in widths of the photo."""
BACKGROUND_SIDE_PX = 240
EDGE_STRENGTH, PLAIN_SHARE = 12.0, 0.02
"""Grey levels a pixel, and the share of such edges under which surroundings are plain."""
STILL_GREY, STILL_SHARE = 9.0, 0.4
"""Spread of grey levels over all photos under which a place stands still, and the share of the edges that do."""
START_INLIERS, PLACE_INLIERS = 50, 15
"""Matches to start from and to place a photo; half of COLMAP's, as a narrow side of a chair shows few features."""
LARGEST_FEATURES, MIN_COMMON, ALWAYS_MATCHED = 400, 6, 6
NEIGHBOURS = 5
"""How many photos onward an ordered photo is matched to."""
MAX_RATIO = 0.8
"""Lowe 2004: a match must be this much nearer than the second best."""
NO_DISTORTION_PX = 0.3
SEED = 1


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    for name in ("images", "looks", "masks", "flat"):
        (folder / name).mkdir(exist_ok=True)
    pycolmap.set_random_seed(SEED)
    say(0.0, "reading the photos")
    focals = [
        prepare(folder, number, *pair) for number, pair in enumerate(zip(job["photos"], job["masks"], strict=True))
    ]
    for number, look in enumerate(job["looks"]):
        prepare_look(folder, number, look)
    moves = background_moves(folder, len(focals))
    best = None
    for masked in (not moves, moves):
        say(0.05, "finding features on the piece" if masked else "finding features")
        database = folder / f"features-{'piece' if masked else 'all'}.db"
        find_features(folder, database, focals, masked)
        say(0.3, "matching the photos")
        match(folder, database, job["ordered"])
        say(0.6, "placing the cameras")
        found = place(folder, database, masked, known_lens=all(focal > 0 for focal in focals))
        if found is not None and (best is None or found.num_reg_images() > best[0].num_reg_images()):
            best = found, database, masked
        if best is not None and best[0].num_reg_images() == len(focals):
            break
    write(folder, len(focals), best)
    if best is not None and pycolmap.has_cuda:
        say(0.96, "measuring depths on the GPU")
        measure_depths(folder, best[0])


def say(fraction: float, message: str) -> None:
    print(f"PROGRESS {fraction:.3f} {message}", flush=True)


def name_of(number: int) -> str:
    return f"{number:04d}.png"


def prepare(folder: Path, number: int, photo: str, mask: str) -> float:
    """Write the photo and its mask upright and not too large; return the focal length in px, 0 where unknown."""
    with Image.open(photo) as opened:
        millimetres = float(opened.getexif().get_ifd(EXIF_IFD).get(FOCAL_TAG, 0) or 0)
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    upright.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    upright.save(folder / "images" / name_of(number), compress_level=1)
    with Image.open(mask) as opened:
        small = (
            opened.convert("L").resize(upright.size, Image.Resampling.BILINEAR).point(lambda value: 255 * (value > 127))
        )
    small.save(folder / "masks" / f"{name_of(number)}.png")
    return millimetres / FILM_WIDTH_MM * max(upright.size)


def prepare_look(folder: Path, number: int, look: str) -> None:
    """Write the other picture of a photo at the photo's size."""
    with Image.open(folder / "images" / name_of(number)) as photo, Image.open(look) as opened:
        fitted = ImageOps.exif_transpose(opened).convert("RGB").resize(photo.size, Image.Resampling.LANCZOS)
    fitted.save(folder / "looks" / name_of(number), compress_level=1)


def background_moves(folder: Path, count: int) -> bool:
    """Whether the surroundings have structure that is elsewhere in each photo: then they help to place the cameras.

    On a turntable the camera stands still: the places around the piece look the same in all photos. Plain surroundings
    have no edges. In both cases only the piece itself tells how it turned.
    """
    greys, outside = [], []
    for number in range(count):
        grey = cv2.imread(str(folder / "images" / name_of(number)), cv2.IMREAD_GRAYSCALE)
        mask = cv2.imread(str(folder / "masks" / f"{name_of(number)}.png"), cv2.IMREAD_GRAYSCALE)
        size = tuple(max(1, round(side * BACKGROUND_SIDE_PX / max(grey.shape))) for side in grey.shape[::-1])
        greys.append(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32))
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        outside.append(cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0)
    edges = [edge_strength(grey) > EDGE_STRENGTH for grey in greys]
    around = sum(int(out.sum()) for out in outside)
    strong = sum(int((edge & out).sum()) for edge, out in zip(edges, outside, strict=True))
    if around == 0 or strong < PLAIN_SHARE * around:
        return False
    if len({grey.shape for grey in greys}) > 1:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of places that the piece covers in every photo
        spread = np.nanstd(np.where(np.stack(outside), np.stack(greys), np.nan), axis=0)
    still = spread < STILL_GREY
    kept = sum(int((edge & out & still).sum()) for edge, out in zip(edges, outside, strict=True))
    return kept < STILL_SHARE * strong


def edge_strength(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25))


def find_features(folder: Path, database: Path, focals: list[float], masked: bool) -> None:
    """SIFT on the CPU; photos of one size and focal length share a camera.

    Where only the piece counts, features are few: more of them are taken, and those along edges too.
    """
    groups: dict[tuple[int, int, float], list[str]] = {}
    for number, focal in enumerate(focals):
        with Image.open(folder / "images" / name_of(number)) as photo:
            groups.setdefault((*photo.size, round(focal, 1)), []).append(name_of(number))
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.max_image_size = FEATURE_SIDE_PX
    options.sift.max_num_features = MAX_FEATURES_ON_PIECE if masked else MAX_FEATURES
    options.sift.edge_threshold = EDGE_THRESHOLD_ON_PIECE if masked else options.sift.edge_threshold
    options.sift.peak_threshold = PEAK_THRESHOLD
    for (width, height, focal), names in groups.items():
        reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL", default_focal_length_factor=DEFAULT_FOCAL)
        if focal > 0:
            reader.camera_params = f"{focal},{width / 2},{height / 2},0"
        if masked:
            reader.mask_path = folder / "masks"
        pycolmap.extract_features(
            database,
            folder / "images",
            names,
            pycolmap.CameraMode.SINGLE,
            reader,
            options,
            pycolmap.Device.cpu,
        )


def match(folder: Path, database: Path, ordered: bool) -> None:
    """Match the pairs that may overlap, and verify each by its epipolar geometry."""
    pairs = pairs_to_match(database, ordered)
    listed = folder / "pairs.txt"
    listed.write_text("".join(f"{name_of(a)} {name_of(b)}\n" for a, b in pairs), encoding="ascii")
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    pycolmap.match_image_pairs(
        database, options, pycolmap.ImportedPairingOptions(match_list_path=listed), device=pycolmap.Device.cpu
    )


def pairs_to_match(database: Path, ordered: bool) -> list[tuple[int, int]]:
    """All pairs, less those whose largest features have nothing in common (Wu 2013, preemptive matching).

    Ordered photos are matched to their next NEIGHBOURS, the last to the first too; the loop is closed, and gaps are
    bridged, by the pairs that have most in common.
    """
    largest = {}
    with pycolmap.Database.open(database) as stored:
        for image in stored.read_all_images():
            keypoints = stored.read_keypoints(image.image_id)  # x, y and the 2 × 2 shape of each
            descriptors = np.asarray(stored.read_descriptors(image.image_id).data, np.float32)
            scale = np.linalg.norm(keypoints[:, 2:4], axis=1)
            chosen = descriptors[np.argsort(-scale, kind="stable")[:LARGEST_FEATURES]]
            largest[int(Path(image.name).stem)] = chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1)
    count = len(largest)
    common = np.zeros((count, count), int)
    for a, b in combinations(range(count), 2):
        common[a, b] = common[b, a] = in_common(largest[a], largest[b])
    pairs = {
        (min(a, b), max(a, b))
        for a in range(count)
        for b in np.argsort(-common[a], kind="stable")[:ALWAYS_MATCHED]
        if a != b
    }
    if ordered:
        pairs |= {
            (min(a, b), max(a, b))
            for a in range(count)
            for step in range(1, NEIGHBOURS + 1)
            if (b := (a + step) % count) != a
        }
    else:
        pairs |= {(a, b) for a, b in combinations(range(count), 2) if common[a, b] >= MIN_COMMON}
    return sorted(pairs)


def in_common(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """How many descriptors are each other's nearest, by far."""
    if len(a) < 2 or len(b) < 2:
        return 0
    alike = a @ b.T
    two = np.sort(np.partition(alike, -2, axis=1)[:, -2:], axis=1)
    best = alike.argmax(1)
    mutual = alike.argmax(0)[best] == np.arange(len(a))
    far = np.sqrt(np.maximum(2 - 2 * two, 0))
    return int((mutual & (far[:, 1] < MAX_RATIO * far[:, 0])).sum())


def place(folder: Path, database: Path, masked: bool, known_lens: bool) -> Any:
    """Global mapping (GLOMAP, Pan et al. 2024), then incremental where it left photos out; None where both fail.

    On the few features of a plain piece a global solution fits wrong matches too and then places every photo wrongly:
    there only the incremental one is used. It keeps a lens that EXIF tells: few features can't tell focal length from
    distance, and a wrong one bends the turn.
    """
    with pycolmap.Database.open(database) as stored:
        count = stored.num_images()
    best = None
    for mapper in (map_incrementally,) if masked else (map_globally, map_incrementally):
        for model in mapper(folder, database, masked and known_lens):
            if best is None or model.num_reg_images() > best.num_reg_images():
                best = model
        if best is not None and best.num_reg_images() == count:
            break
    return best


def map_globally(folder: Path, database: Path, keep_lens: bool) -> list[Any]:  # noqa: ARG001 - only few features need it
    options = pycolmap.GlobalPipelineOptions(random_seed=SEED)
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    output = folder / "global"
    output.mkdir(exist_ok=True)
    pycolmap.calibrate_view_graph(database)
    return list(pycolmap.global_mapping(database, folder / "images", output, options).values())


def map_incrementally(folder: Path, database: Path, keep_lens: bool) -> list[Any]:
    options = pycolmap.IncrementalPipelineOptions(random_seed=SEED, min_model_size=3)
    options.mapper.init_min_num_inliers, options.mapper.abs_pose_min_num_inliers = START_INLIERS, PLACE_INLIERS
    options.ba_refine_focal_length = options.ba_refine_extra_params = not keep_lens
    output = folder / "incremental"
    output.mkdir(exist_ok=True)
    return list(pycolmap.incremental_mapping(database, folder / "images", output, options).values())


def write(folder: Path, count: int, best: tuple[Any, Path, bool] | None) -> None:
    """Write ``poses.npz``: everything that ``colmap.Poses`` holds."""
    if best is None:
        np.savez(folder / "poses.npz", placed=np.zeros(0, int), matches=np.zeros((count, count), int))
        return
    model, database, masked = best
    say(0.95, "removing the lens distortion")
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
        world_to_camera=[np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]) for image in images],
        points=np.array([model.points3D[number].xyz for number in number_of]).reshape(-1, 3),
        colors=np.array([model.points3D[number].color for number in number_of], np.uint8).reshape(-1, 3),
        seen_photo=owner,
        seen_point=seen,
        error=model.compute_mean_reprojection_error(),
        matches=verified_matches(database, count),
        masked=masked,
    )


def flatten(folder: Path, name: str, camera: Any) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Write the photo, its mask and its other picture as a pinhole sees them; return its matrix and size."""
    focal, x, y, bend = camera.params
    matrix = np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])
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


def verified_matches(database: Path, count: int) -> NDArray[np.int64]:
    """[count, count] how many matches of two photos fit one epipolar geometry."""
    matches = np.zeros((count, count), np.int64)
    with pycolmap.Database.open(database) as stored:
        number_of = {image.image_id: int(Path(image.name).stem) for image in stored.read_all_images()}
        pairs, inliers = stored.read_two_view_geometry_num_inliers()
        for pair, found in zip(pairs, inliers, strict=True):
            a, b = (number_of[image] for image in pycolmap.pair_id_to_image_pair(pair))
            matches[a, b] = matches[b, a] = found
    return matches


if __name__ == "__main__":
    main()
