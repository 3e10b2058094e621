"""Decides outline, materials and parts by surface instead of by pixel, so that no board is wood in part.

The segmentation model classifies pixels independently. This module divides the photo into regions of one colour, part
and orientation (Felzenszwalb and Huttenlocher 2004), and pools the evidence of the model over each region, over the
regions of the same part that look alike, and over all regions with the same albedo. Then regions of the same part and
colour agree on one material: a conditional random field, solved by mean-field iterations (Krähenbühl and Koltun 2011).
Regions of another part or colour keep their material, such as a leather pad on a wooden seat. In the same way, regions
that are near each other and look alike agree on one part, and on whether they belong to the piece.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import expit, logit, softmax
from skimage.segmentation import felzenszwalb

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging.color import encode_srgb
from orchestrator.imaging.filters import shrink
from orchestrator.imaging.refine import PIECE_EDGE
from orchestrator.imaging.region_proposals import join_regions

warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)  # scikit-image expects RGB

Regions = NDArray[np.intp]
"""[h, w] index of the region of each pixel."""

WORKING_SIDE = 384
"""Longer side in pixels of the image that is divided into regions. The segmentation model looks at 256 pixels."""
LIGHTNESS_SCALE = 0.5
"""Weight of a unit of L* in the distance between neighbouring pixels. Light and shadow change it within a surface."""
CHROMA_SCALE = 2.5
"""Weight of a unit of a* or b* in that distance."""
PART_SCALE = 15.0
"""Weight of the Hellinger distance of the part likelihoods in that distance."""
MATERIAL_SCALE = 10.0
"""Weight of the Hellinger distance of the material likelihoods in that distance."""
NORMAL_SCALE = 8.0
"""Weight of the distance of the unit normals in that distance."""
CLASS_FEATURES = 4
"""Principal components of the part and material likelihoods that are compared. All of them take twice the time."""
REGION_SCALE = 60.0
"""Felzenszwalb's scale. Regions from 30 to 120 are as good."""
MIN_REGION_PX = 30
"""Smallest region. A handle has about 50 pixels at the working size."""
SMOOTHING_PX = 0.6
"""Standard deviation of the blur before the division, which removes noise."""

EDGE_BLUR_PX = 2.0
"""Standard deviation of the blur, at the working size, after which edges are measured."""
EDGE_PERCENTILE = 99.9
"""Share of the pixels, in percent, that must be flatter than ``MIN_EDGE`` for a photo to be blank. The rest is dust."""
MIN_EDGE = 1.0
"""Smallest slope of an edge in sRGB levels per pixel. Noise of 4 levels and a vignette of 80 levels stay below 0.6; a
white piece on white paper reaches 5."""

SIMILAR_ALBEDO = (12.0, 8.0, 8.0)
"""Standard deviations of L*, a* and b* of similar albedos."""
SAME_ALBEDO = (6.0, 4.0, 4.0)
"""Standard deviations of L*, a* and b* of equal albedos."""
SAME_COLOR = (12.0, 5.0, 5.0)
"""Standard deviations of L*, a* and b*, in the photo, of regions that agree on one material."""
SAME_NORMAL = 0.25
"""Standard deviation of the distance of unit normals of regions that agree on one part."""
SAME_GROUND = (6.0, 3.0, 3.0)
"""Standard deviations of L*, a* and b*, in the photo, of regions that are all on the piece or all beside it."""
NEAR = 0.25
"""Standard deviation of the distance of regions that are near each other, as a share of the piece's longer side."""
PART_AGREEMENT = 5.0
"""Log odds that a region gains if all near regions that look alike are of one part."""
PIECE_AGREEMENT = 2.0
"""Log odds that a region gains if all near regions of its colour belong to the piece. With 4, the IoU of the piece is
higher by 0.003, but 5 % more surfaces lose their rim or a thin part to a background of their colour."""
ITERATIONS = 50
"""Mean-field iterations. On 72 images of ``catalogue-validation``, no decision changes after them."""
TYPICAL_ROUGHNESS = {
    "wood": 0.47, "fabric": 0.88, "leather": 0.39, "metal": 0.31, "glass": 0.06, "plastic": 0.27, "painted": 0.44,
    "stone": 0.42, "other": 0.76,
}  # fmt: skip
"""Median roughness of each material in 400 training images; ``other`` is wicker."""
ESTIMATED_ROUGHNESS_SHARE = 0.25
"""Weight of the estimate of the model; the rest is the typical roughness of the material. The mean error on 72 images
of ``catalogue-validation`` is 0.162. It is 0.174 with the estimate alone, and 0.166 without the estimate."""
WICKER_PRIOR = 0.25
"""Factor of the likelihood of wicker (``other``), which the network confuses with strong, fine grain. It is rarer in
shops than in training images. With the factor, ``whole_wood`` on ``catalogue-validation`` is 0.87 instead of 0.84, and
``whole_other`` on ``validation`` 0.83 instead of 0.85."""
MIN_PIECE = 0.05
"""Likelihood of the piece from which a pixel is in its bounding box."""
MAX_LOG_ODDS = 20.0
"""Log odds beyond which a decision is certain."""
MIN_LIKELIHOOD = 1e-3
"""Likelihood to which smaller ones are raised before the logarithm."""


@dataclass(frozen=True)
class Weights:
    """Weights of the log odds that are pooled, a bias towards wood, and the strength of the agreement."""

    own: float  # of the region itself
    same_part: float  # of the regions that have the same part and a similar albedo
    same_albedo: float  # of the regions of the piece that have the same albedo
    bias: float  # added to the log odds of wood
    agreement: float  # log odds that a region gains if all regions of its part and colour have a material


WEIGHTS = Weights(own=0.3, same_part=1.0, same_albedo=0.4, bias=1.3, agreement=10.0)
"""With this bias, a surface is wood from mean log odds of -0.75, because the network underestimates wood.
``export_models.tune_surfaces`` measures these weights. Any agreement from 5 to 15 is as good."""
_NEAR = WEIGHTS.own + WEIGHTS.same_part + WEIGHTS.same_albedo
NEIGHBOURHOOD = Weights(WEIGHTS.own / _NEAR, WEIGHTS.same_part / _NEAR, WEIGHTS.same_albedo / _NEAR, 0.0, 0.0)
"""The weights of the evidence alone, scaled to a sum of 1, for ``MaterialMaps.surface_material``. A statement of the
caller about the piece replaces what the models conclude from the piece."""


@dataclass(frozen=True)
class Evidence:
    """The likelihoods of the models, as log odds of the regions of one photo."""

    box: tuple[slice, slice]  # rows and columns of the bounding box of the piece, in pixels of the maps
    regions: Regions  # of the box, in pixels of the maps
    own: NDArray[np.float64]  # [R, M] mean log odds of each material
    same_part: NDArray[np.float64]  # [R, M] mean over regions of the same part with a similar albedo
    same_albedo: NDArray[np.float64]  # [R, M] mean over regions of the piece with the same albedo
    alike: NDArray[np.float64]  # [R, R] share of each region in the regions of the same part and colour as this one
    wood: int  # index of wood among the materials
    part: NDArray[np.float64]  # [R, C] mean log likelihood of each part
    near_alike: NDArray[np.float64]  # [R, R] share of each region in the near ones of the same part, colour and normal
    on_piece: NDArray[np.float64]  # [R, 1] mean log odds of the piece
    same_ground: NDArray[np.float64]  # [R, R] share of each region in the near ones of the same colour


def decide_by_surface(photo_srgb: Image, maps: MaterialMaps, proposals: Sequence[FloatMap] = ()) -> MaterialMaps:
    """Return the maps with the outline, materials and parts of the piece decided by surface.

    Outside the piece, the likelihoods of the materials stay those of the model. A photo without any edge, such as a
    blank wall, contains no piece, whatever the model finds in it.

    Args:
        photo_srgb: [H, W, 3] uint8.
        proposals: likelihoods [h, w], of the size of the maps, of regions that a promptable model found.
    """
    height, width = maps.wood.shape
    photo = np.asarray(cv2.resize(photo_srgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if not has_edges(photo):
        is_background = np.array([name == "background" for name in maps.component_names])
        return replace(maps, component=np.zeros_like(maps.component) + is_background[:, None, None].astype(np.float32))
    if (maps.foreground <= MIN_PIECE).all():
        return maps
    evidence = collect_evidence(photo, maps, proposals)
    maps = with_agreed_piece(maps, evidence)
    material = _on_surfaces(maps, evidence, pool(evidence, WEIGHTS))
    return replace(
        maps,
        component=_with_parts(maps, evidence, agree_on_parts(evidence)),
        material=material,
        surface_material=_on_surfaces(maps, evidence, pool(evidence, NEIGHBOURHOOD)),
        roughness=_with_typical_roughness(replace(maps, material=material)),
    )


def _with_typical_roughness(maps: MaterialMaps) -> FloatMap:
    """Return the roughness [h, w]. On the piece, it is mostly the typical roughness of the materials."""
    typical = np.array([TYPICAL_ROUGHNESS.get(name, 0.5) for name in maps.material_names], np.float32)
    share = maps.foreground * np.float32(1 - ESTIMATED_ROUGHNESS_SHARE)
    return np.asarray(maps.roughness + share * (np.tensordot(typical, maps.material, 1) - maps.roughness), np.float32)


def _on_surfaces(maps: MaterialMaps, evidence: Evidence, log_odds: NDArray[np.float64]) -> FloatMap:
    """Return the material likelihoods [M, h, w] from the log odds [R, M] of the regions. The wood's are exact."""
    wood = evidence.wood
    odds = np.exp(np.clip(log_odds, -MAX_LOG_ODDS, MAX_LOG_ODDS))
    likelihoods = odds / (1.0 + odds)
    others = np.delete(np.arange(len(maps.material_names)), wood)
    likelihoods[:, others] *= ((1.0 - likelihoods[:, wood]) / likelihoods[:, others].sum(1))[:, None]
    rows, columns = evidence.box
    material = maps.material.copy()
    of_surface = likelihoods.T.astype(np.float32)[:, evidence.regions]
    inside = np.minimum(maps.foreground[rows, columns] * (1 / PIECE_EDGE), 1.0)
    material[:, rows, columns] += inside * (of_surface - material[:, rows, columns])
    return np.asarray(material, np.float32)


def pool(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Return the log odds [R, M] of each material in each region, after the regions have agreed."""
    own = (
        weights.own * evidence.own + weights.same_part * evidence.same_part + weights.same_albedo * evidence.same_albedo
    )
    own[:, evidence.wood] += weights.bias
    return np.asarray(own + _agreed(own, weights.agreement * evidence.alike), np.float64)


def _agreed(log_odds: NDArray[np.float64], support: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds [R, N] that each region gains from the others, for N independent statements.

    Args:
        log_odds: [R, N] from the evidence.
        support: [R, R] log odds that a region gains from each other region for which a statement is certainly true.
    """
    gain = np.zeros_like(log_odds)
    opinion = np.tanh(log_odds / 2)  # -1: certainly false, 1: certainly true
    for _ in range(ITERATIONS if support.any() else 0):
        gain = support @ opinion
        opinion = (opinion + np.tanh((log_odds + gain) / 2)) / 2  # damped, so that it converges
    return gain


def with_agreed_piece(maps: MaterialMaps, evidence: Evidence) -> MaterialMaps:
    """Return the maps with the likelihood of the piece after the regions have agreed. Thin bars keep their pixels."""
    gain = _agreed(evidence.on_piece, PIECE_AGREEMENT * evidence.same_ground)[:, 0]
    background = maps.component_names.index("background")
    component = maps.component.copy()
    box = component[:, *evidence.box]
    before = np.clip(1.0 - box[background], MIN_LIKELIHOOD, 1.0 - MIN_LIKELIHOOD)
    piece = expit(logit(before) + gain[evidence.regions])
    box *= piece / before
    box[background] = 1.0 - piece
    return replace(maps, component=component / component.sum(0))


def agree_on_parts(evidence: Evidence) -> NDArray[np.intp]:
    """Return the index [R] of the part of each region, after the regions have agreed."""
    likelihood = softmax(evidence.part, 1)
    for _ in range(ITERATIONS):
        agreed = softmax(evidence.part + PART_AGREEMENT * (evidence.near_alike @ likelihood), 1)
        likelihood = (likelihood + agreed) / 2  # damped, so that it converges
    return np.asarray(likelihood.argmax(1), np.intp)


def _with_parts(maps: MaterialMaps, evidence: Evidence, part_of_region: NDArray[np.intp]) -> FloatMap:
    """Return the part likelihoods [C, h, w] with the part of each region as the most likely one.

    Where the model prefers another part, the two likelihoods are swapped. Pixels of the background and of hardware do
    not change, because hardware is smaller than most regions.
    """
    component = maps.component.copy()
    box = component[:, *evidence.box]
    winner, part = box.argmax(0), part_of_region[evidence.regions]
    kept = [index for index, name in enumerate(maps.component_names) if name in ("background", "hardware")]
    rows, columns = np.nonzero(~np.isin(winner, kept) & ~np.isin(part, kept))
    winner, part = winner[rows, columns], part[rows, columns]
    box[winner, rows, columns], box[part, rows, columns] = box[part, rows, columns], box[winner, rows, columns]
    return component


def has_edges(photo_srgb: Image) -> bool:
    """Return whether the photo [H, W, 3] uint8 shows anything but noise and gradual changes."""
    small = cv2.GaussianBlur(shrink(photo_srgb, WORKING_SIDE).astype(np.float32), (0, 0), EDGE_BLUR_PX)
    slopes = [np.abs(np.diff(small, axis=axis)).max(axis=-1) for axis in (0, 1) if small.shape[axis] > 1]
    return any(float(np.percentile(slope, EDGE_PERCENTILE)) > MIN_EDGE for slope in slopes)


def collect_evidence(photo_srgb: Image, maps: MaterialMaps, proposals: Sequence[FloatMap] = ()) -> Evidence:
    """Divide the bounding box of the piece into regions, and average the log odds of the models on the piece.

    Args:
        photo_srgb: [h, w, 3] uint8, of the size of the maps.
        maps: outputs of the models, with a piece.
        proposals: see ``decide_by_surface``.
    """
    left, top, width, height = cv2.boundingRect((maps.foreground > MIN_PIECE).astype(np.uint8))
    rows, columns = slice(top, top + height), slice(left, left + width)
    photo, small = _crop_and_shrink(photo_srgb, maps, rows, columns)
    regions = find_regions(photo, small)
    if proposals:
        regions = join_regions(regions, [proposal[rows, columns] for proposal in proposals], small.foreground)
    piece, everywhere = small.foreground + MIN_LIKELIHOOD, np.ones_like(small.foreground)
    area, pixels = np.bincount(regions.ravel(), piece.ravel()), np.bincount(regions.ravel())

    def mean_on_piece(values: FloatMap) -> NDArray[np.float64]:
        return _means(values, regions, piece)

    materials = mean_on_piece(_log_odds_of_materials(small))
    part_of_piece = small.component / piece
    part_of_piece[maps.component_names.index("background")] = 0.0
    likeness = np.sqrt(mean_on_piece(small.component))
    same_part = (likeness @ likeness.T) ** 4  # Bhattacharyya coefficient
    albedo = mean_on_piece(_lab(encode_srgb(small.albedo_linear).astype(np.float32)).transpose(2, 0, 1))
    color = mean_on_piece(_lab(photo.astype(np.float32) / 255).transpose(2, 0, 1))
    normal = mean_on_piece(small.normal.transpose(2, 0, 1))
    place = mean_on_piece(np.indices(regions.shape, np.float32) / max(regions.shape))
    alike, near = same_part * _affinity(color, SAME_COLOR), _affinity(place, (NEAR,) * 2)
    outline = logit(np.clip(small.foreground, MIN_LIKELIHOOD, 1 - MIN_LIKELIHOOD))
    upsampled = cv2.resize(regions.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST)
    return Evidence(
        box=(rows, columns),
        regions=np.asarray(upsampled, np.intp),
        own=materials,
        same_part=_shares(area, same_part * _affinity(albedo, SIMILAR_ALBEDO)) @ materials,
        same_albedo=_shares(area, _affinity(albedo, SAME_ALBEDO)) @ materials,
        alike=_shares_of_others(area, alike),
        wood=maps.material_names.index("wood"),
        part=mean_on_piece(np.log(np.clip(part_of_piece, MIN_LIKELIHOOD, 1.0))),
        near_alike=_shares_of_others(area, alike * near * _affinity(normal, (SAME_NORMAL,) * 3)),
        on_piece=_means(outline[None], regions, everywhere),
        same_ground=_shares_of_others(pixels, near * _affinity(color, SAME_GROUND)),
    )


def _log_odds_of_materials(maps: MaterialMaps) -> FloatMap:
    """Return the log odds [M, h, w] of the materials, with ``WICKER_PRIOR``."""
    likelihoods = maps.material.copy()
    likelihoods[maps.material_names.index("other")] *= WICKER_PRIOR
    likelihoods /= likelihoods.sum(0)
    return np.asarray(logit(np.clip(likelihoods, MIN_LIKELIHOOD, 1 - MIN_LIKELIHOOD)), np.float32)


def find_regions(photo_srgb: Image, maps: MaterialMaps) -> Regions:
    """Divide a photo into regions of one colour, part, material and orientation.

    Args:
        photo_srgb: [h, w, 3] uint8, of the size of the maps.
    """
    lab = cv2.bilateralFilter(_lab(photo_srgb.astype(np.float32) / 255), 5, 8.0, 3.0)
    classes = [PART_SCALE * np.sqrt(maps.component), MATERIAL_SCALE * np.sqrt(maps.material)]
    features = np.dstack(
        [
            LIGHTNESS_SCALE * lab[..., :1],
            CHROMA_SCALE * lab[..., 1:],
            _principal_components(np.concatenate(classes).transpose(1, 2, 0)),
            NORMAL_SCALE * maps.normal,
        ]
    )
    return np.asarray(felzenszwalb(features.astype(np.float64), REGION_SCALE, SMOOTHING_PX, MIN_REGION_PX), np.intp)


def _crop_and_shrink(photo_srgb: Image, maps: MaterialMaps, rows: slice, columns: slice) -> tuple[Image, MaterialMaps]:
    """Return the box of the photo, and of the maps that the evidence needs, at the working scale."""
    scale = min(1.0, WORKING_SIDE / max(maps.wood.shape))
    size = tuple(max(1, round((side.stop - side.start) * scale)) for side in (columns, rows))
    photo = cv2.resize(photo_srgb[rows, columns], size, interpolation=cv2.INTER_AREA)

    def resized(values: FloatMap) -> FloatMap:
        return np.asarray(cv2.resize(values[rows, columns], size, interpolation=cv2.INTER_AREA), np.float32)

    return np.asarray(photo, np.uint8), replace(
        maps,
        albedo_linear=resized(maps.albedo_linear),
        normal=resized(maps.normal),
        component=np.stack([resized(channel) for channel in maps.component]),
        material=np.stack([resized(channel) for channel in maps.material]),
    )


def _principal_components(features: FloatMap) -> FloatMap:
    """Return the first ``CLASS_FEATURES`` principal components of [h, w, C], which keep most of the distances."""
    centred = features - features.mean((0, 1))
    flat = centred.reshape(-1, features.shape[2])
    _, axes = np.linalg.eigh(flat.T @ flat)  # eigenvalues ascend
    return np.asarray(centred @ axes[:, -CLASS_FEATURES:], np.float32)


def _lab(image_srgb: FloatMap) -> FloatMap:
    """Convert sRGB [h, w, 3] in [0, 1] to CIELAB."""
    return np.asarray(cv2.cvtColor(image_srgb, cv2.COLOR_RGB2LAB), np.float32)


def _means(values: FloatMap, regions: Regions, weights: FloatMap) -> NDArray[np.float64]:
    """Return the weighted mean [R, C] of each channel of ``values`` [C, h, w] in each region."""
    index = regions.ravel()
    total = np.bincount(index, weights.ravel())
    sums = [np.bincount(index, (channel * weights).ravel()) for channel in values]
    return np.asarray(np.stack(sums, 1) / total[:, None])


def _affinity(values: NDArray[np.float64], sigma: Sequence[float]) -> NDArray[np.float64]:
    """Return the Gaussian affinity [R, R] of values [R, N], with one standard deviation per channel."""
    return np.asarray(np.exp(-0.5 * cdist(values, values, "seuclidean", V=np.square(sigma)) ** 2))


def _shares(area: NDArray[Any], affinity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share [R, R] of each region in the area that is similar to a region."""
    weights = affinity * area
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _shares_of_others(area: NDArray[Any], affinity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``_shares`` with 0 for the region itself. A region that is unlike all others has small shares."""
    shares = _shares(area, affinity)
    np.fill_diagonal(shares, 0.0)
    return shares
