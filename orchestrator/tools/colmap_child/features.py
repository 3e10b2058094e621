"""Features of the photos and what they have in common, in COLMAP's database."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from orchestrator.tools.colmap_child.photos import name_of

FEATURE_SIDE_PX = 1600
MAX_FEATURES, MAX_FEATURES_ON_PIECE = 3000, 8000
EDGE_THRESHOLD_ON_PIECE = 20.0
"""Twice COLMAP's: much of what a chair shows lies along its edges."""
PEAK_THRESHOLD = 0.002
"""A third of COLMAP's: wood grain and fabric are faint, and give five times as many features then."""
DEFAULT_FOCAL = 1.2
"""COLMAP's guess, in widths of the photo."""
LARGEST_FEATURES, MIN_COMMON, ALWAYS_MATCHED = 400, 6, 6
NEIGHBOURS = 5
"""How many photos onward an ordered photo is matched to."""
MAX_RATIO = 0.8
"""Lowe 2004: a match must be this much nearer than the second best."""
SEED = 1


@dataclass(frozen=True)
class Recipe:
    """One way to find features and to pair photos."""

    name: str
    on_piece: bool  # from within the masks: more features are taken, and those along edges too
    domains: bool = False  # pool each over several sizes (Dong and Soatto 2015, DSP-SIFT): slower, tells more apart
    far_pairs: bool = True  # of ordered photos also those that are no neighbours; a chair's front is like its back

    @property
    def features(self) -> str:
        """A word for the features: recipes that share it find the same."""
        return ("piece" if self.on_piece else "all") + ("-domains" if self.domains else "")


def find_features(folder: Path, database: Path, focals: list[float], recipe: Recipe) -> None:
    """SIFT on the CPU; photos of one size and focal length share a camera.

    On the piece the shape around a feature is measured too (Baumberg 2000): its few photos are far apart.
    """
    groups: dict[tuple[int, int, float], list[str]] = {}
    for number, focal in enumerate(focals):
        with Image.open(folder / "images" / name_of(number)) as photo:
            groups.setdefault((*photo.size, round(focal, 1)), []).append(name_of(number))
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.max_image_size = FEATURE_SIDE_PX
    options.sift.peak_threshold = PEAK_THRESHOLD
    options.sift.max_num_features = MAX_FEATURES
    if recipe.on_piece:
        options.sift.max_num_features, options.sift.edge_threshold = MAX_FEATURES_ON_PIECE, EDGE_THRESHOLD_ON_PIECE
        options.sift.estimate_affine_shape, options.sift.domain_size_pooling = True, recipe.domains
    pycolmap.Database.open(database).close()
    for (width, height, focal), names in groups.items():
        reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL", default_focal_length_factor=DEFAULT_FOCAL)
        if focal > 0:
            reader.camera_params = f"{focal},{width / 2},{height / 2},0"
        if recipe.on_piece:
            reader.mask_path = folder / "masks"
        known = (database, folder / "images")
        pycolmap.import_images(*known, pycolmap.CameraMode.SINGLE, names, reader)  # else numbered as threads finish
        pycolmap.extract_features(*known, names, pycolmap.CameraMode.SINGLE, reader, options, pycolmap.Device.cpu)


def match(folder: Path, database: Path, ordered: bool, far_pairs: bool) -> None:
    """Match the pairs that may overlap and were not matched yet, and verify each by its epipolar geometry."""
    pairs = pairs_to_match(database, ordered, far_pairs)
    listed = folder / "pairs.txt"
    listed.write_text("".join(f"{name_of(a)} {name_of(b)}\n" for a, b in pairs), encoding="ascii")
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    geometry = pycolmap.TwoViewGeometryOptions()
    geometry.ransac.random_seed = SEED  # else threads draw from one generator, in the order in which they come to it
    listing = pycolmap.ImportedPairingOptions(match_list_path=listed)
    pycolmap.match_image_pairs(database, options, listing, geometry, pycolmap.Device.cpu)


def pairs_to_match(database: Path, ordered: bool, far_pairs: bool) -> list[tuple[int, int]]:
    """All pairs, less those whose largest features have nothing in common (Wu 2013, preemptive matching).

    Ordered photos are matched to their next NEIGHBOURS, the last to the first too; with ``far_pairs`` the loop is
    closed, and gaps are bridged, by the pairs that have most in common.
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
        if a != b and far_pairs
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
