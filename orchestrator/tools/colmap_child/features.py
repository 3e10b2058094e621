"""Extracts features and matches photos into COLMAP's database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from orchestrator.tools.colmap_child.input_photos import file_name

FEATURE_SIDE_PX = 1600  # longer side of the photos in which features are found
MAX_FEATURES = 3000
MAX_FEATURES_ON_PIECE = 8000
EDGE_THRESHOLD_ON_PIECE = 20.0  # twice COLMAP's default, because many features of a chair lie along its edges
PEAK_THRESHOLD = 0.002  # a third of COLMAP's default: wood grain and fabric then give five times as many features
DEFAULT_FOCAL = 1.2  # COLMAP's assumption for photos without EXIF, as a share of the longer side
PREEMPTIVE_FEATURES = 400  # number of largest features of a photo, by which the pairs to match are chosen; not tuned
MIN_COMMON_FEATURES = 6  # minimum matches of these largest features for a pair to be matched; not tuned
MIN_PAIRS_PER_PHOTO = 6  # each photo is matched with at least this many others, the most similar ones; not tuned
NEIGHBOURS = 5  # number of following photos that each ordered photo is matched with
MAX_RATIO = 0.8  # Lowe's ratio test (2004): maximum angle of the best match relative to the second best
MAX_ANGLE = 0.7  # rad, between the descriptors of two matching features; COLMAP's default
DESCRIPTOR_NORM = 512.0  # of COLMAP's 8-bit descriptors
SEED = 1


@dataclass(frozen=True)
class Strategy:
    """Where features are found and which pairs of photos are matched."""

    name: str
    on_piece: bool  # only within the masks; then more features are taken, also along edges
    pool_sizes: bool = False  # domain-size pooling (Dong & Soatto 2015, DSP-SIFT): slower, more distinctive
    far_pairs: bool = True  # also match ordered photos that are not neighbours; risky if the front resembles the back

    @property
    def feature_set(self) -> str:
        """The name of the database. Strategies with the same name share their features."""
        return ("features-piece" if self.on_piece else "features-all") + ("-pooled" if self.pool_sizes else "")


def extract_features(folder: Path, database: Path, focal_lengths: list[float], strategy: Strategy) -> None:
    """Extract SIFT features on the CPU. Photos of the same size and focal length share a camera.

    Features on the piece also get an affine shape (Baumberg 2000), to match photos whose viewpoints are farther apart.

    Args:
        focal_lengths: px, one for each photo, 0 if unknown.
    """
    names_by_camera: dict[tuple[int, int, float], list[str]] = {}
    for number, focal in enumerate(focal_lengths):
        with Image.open(folder / "images" / file_name(number)) as photo:
            names_by_camera.setdefault((*photo.size, round(focal, 1)), []).append(file_name(number))
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.max_image_size = FEATURE_SIDE_PX
    options.sift.peak_threshold = PEAK_THRESHOLD
    options.sift.max_num_features = MAX_FEATURES
    if strategy.on_piece:
        options.sift.max_num_features = MAX_FEATURES_ON_PIECE
        options.sift.edge_threshold = EDGE_THRESHOLD_ON_PIECE
        options.sift.estimate_affine_shape = True
        options.sift.domain_size_pooling = strategy.pool_sizes
    pycolmap.Database.open(database).close()
    images, mode = folder / "images", pycolmap.CameraMode.SINGLE
    for (width, height, focal), names in names_by_camera.items():
        reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL", default_focal_length_factor=DEFAULT_FOCAL)
        if focal > 0:
            reader.camera_params = f"{focal},{width / 2},{height / 2},0"
        if strategy.on_piece:
            reader.mask_path = folder / "masks"
        # Without the import, images are numbered in the order in which the threads of the extraction finish.
        pycolmap.import_images(database, images, mode, names, reader)
        pycolmap.extract_features(database, images, names, mode, reader, options, pycolmap.Device.cpu)


def match_features(folder: Path, database: Path, ordered: bool, far_pairs: bool) -> None:
    """Match the pairs of photos that may overlap, and verify their epipolar geometry. Earlier matches are kept.

    This matching is exact. COLMAP's own matching on the CPU uses an approximate index that can differ between runs,
    and then the cameras differ too.
    """
    pairs = []
    with pycolmap.Database.open(database) as stored:
        image_ids = {int(Path(image.name).stem): image.image_id for image in stored.read_all_images()}
        descriptors = {
            number: np.asarray(stored.read_descriptors(image_id).data) for number, image_id in image_ids.items()
        }
        largest = {
            number: descriptors[number][_largest_features(stored.read_keypoints(image_id))]
            for number, image_id in image_ids.items()
        }
        for a, b in candidate_pairs(largest, ordered, far_pairs):
            if not stored.exists_matches(image_ids[a], image_ids[b]):
                pairs.append((a, b))
                stored.write_matches(image_ids[a], image_ids[b], mutual_matches(descriptors[a], descriptors[b]))
    pairs_file = folder / "pairs.txt"
    pairs_file.write_text("".join(f"{file_name(a)} {file_name(b)}\n" for a, b in pairs), encoding="ascii")
    geometry = pycolmap.TwoViewGeometryOptions()
    # Without a seed, all threads share one random generator and the result depends on their order.
    geometry.ransac.random_seed = SEED
    pycolmap.verify_matches(database, pairs_file, geometry)


def candidate_pairs(largest: Mapping[int, NDArray[np.uint8]], ordered: bool, far_pairs: bool) -> list[tuple[int, int]]:
    """Return the pairs of photos to match.

    Unordered photos: all pairs whose largest features match (preemptive matching, Wu 2013). Ordered photos: each photo
    with its next NEIGHBOURS in a loop. ``far_pairs`` adds for each photo the most similar photos, which bridge gaps.

    Args:
        largest: the descriptors [N, 128] of each photo's largest features.
    """
    count = len(largest)
    common = np.zeros((count, count), int)
    for a, b in combinations(range(count), 2):
        common[a, b] = common[b, a] = len(mutual_matches(largest[a], largest[b]))
    pairs = []
    if far_pairs:
        pairs += [(a, b) for a in range(count) for b in np.argsort(-common[a], kind="stable")[:MIN_PAIRS_PER_PHOTO]]
    if ordered:
        pairs += [(a, (a + step) % count) for a in range(count) for step in range(1, NEIGHBOURS + 1)]
    else:
        pairs += [(a, b) for a, b in combinations(range(count), 2) if common[a, b] >= MIN_COMMON_FEATURES]
    return sorted({(min(a, b), max(a, b)) for a, b in pairs if a != b})


def _largest_features(keypoints: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the indices of the PREEMPTIVE_FEATURES largest features; a row is x, y and the 2 × 2 shape."""
    return np.argsort(-np.linalg.norm(keypoints[:, 2:4], axis=1), kind="stable")[:PREEMPTIVE_FEATURES]


def mutual_matches(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the index pairs [M, 2] of descriptors [N, 128] and [K, 128] that are mutual nearest neighbours.

    In both directions, the angle to the nearest neighbour is at most MAX_ANGLE, and below MAX_RATIO times the angle to
    the second nearest. The result does not depend on the order of the sums, because the scalar products are integers
    below 2 ** 24, which float32 represents exactly.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.uint32)
    products = a.astype(np.float32) @ b.astype(np.float32).T
    to_b, to_a = _nearest(products), _nearest(products.T)
    index = np.arange(len(a))
    is_mutual = (to_b >= 0) & (to_a[to_b] == index)
    return np.asarray(np.stack([index, to_b], 1)[is_mutual], np.uint32)


def _nearest(products: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each row the column of the largest scalar product, or -1 if its angle is too large.

    The array is changed and restored, because a copy has up to 256 MB.
    """
    rows, best = np.arange(len(products)), products.argmax(1)
    largest = products[rows, best]
    products[rows, best] = -1
    second = products.max(1)
    products[rows, best] = largest
    angle, second_angle = (np.arccos(np.minimum(value / DESCRIPTOR_NORM**2, 1)) for value in (largest, second))
    return np.where((angle <= MAX_ANGLE) & (angle < MAX_RATIO * second_angle), best, -1)


def verified_matches(database: Path, count: int) -> NDArray[np.int64]:
    """Return the number [count, count] of matches between each two photos that fit one epipolar geometry."""
    matches = np.zeros((count, count), np.int64)
    with pycolmap.Database.open(database) as stored:
        photo_of = {image.image_id: int(Path(image.name).stem) for image in stored.read_all_images()}
        pairs, inliers = stored.read_two_view_geometry_num_inliers()
        for pair, inlier_count in zip(pairs, inliers, strict=True):
            a, b = (photo_of[image] for image in pycolmap.pair_id_to_image_pair(pair))
            matches[a, b] = matches[b, a] = inlier_count
    return matches
