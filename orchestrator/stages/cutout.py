"""Cuts the piece out of its photo, with its contact shadow as a separate layer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.images import BoolMask, FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.domain.segment import Box
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.errors import NoPieceFound
from orchestrator.imaging.color import encode_srgb, linear_from_srgb
from orchestrator.imaging.filters import dilate, shrink, smoothstep, to_byte, to_float, weighted_blur
from orchestrator.imaging.matting import alpha_matte, foreground_colors
from orchestrator.imaging.refine import PIECE_EDGE

Frame = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the photo."""

MIN_PIECE_SHARE = 0.005
"""Smallest piece, as a share of the photo. Not tuned."""
MIN_VISIBLE_ALPHA = 13
"""Alpha (5 %) from which a pixel counts for the trimmed frame."""
SHADOW_SIDE = 512
"""Longer side of the image in which the shadow is computed. Shadows are soft; more resolution adds only noise."""
RIM = 2
"""Distance from the piece in pixels within which the ground is not measured, because the colours are mixed."""

# The constants below were chosen by inspection of the shadows of the three demo photos. Two of them show a wall and a
# skirting board; one is a studio with a seamless background.
GROUND_ABOVE = 0.35
"""The fit of the ground starts this far above the piece's lowest point, as a share of the piece's height."""
GROUND_BELOW = 0.4
"""The fit ends this far below the piece's lowest point, as a share of the piece's longer side."""
GROUND_BESIDE = 0.6
"""The fit extends this far to the left and right of the piece, as a share of the piece's longer side."""
MIN_GROUND_PIXELS = 200
"""Smallest number of visible ground pixels from which a shadow is computed."""
FIT_ROUNDS = 12
"""Rounds of the robust fit."""
NOISE_FACTOR = 2.0
"""Darkening below this many standard deviations of the ground is treated as noise."""
PLAIN_NOISE = 0.06
"""Standard deviation of the ground's log light up to which the shadow has its full strength. It is 0.009 to 0.016 on
the demo photos."""
BUSY_NOISE = 0.15
"""The standard deviation from which there is no shadow. It is 0.38 on scikit-image's ``coffee``."""
TINT_TOLERANCE = 0.04
"""A shadow changes all channels by nearly the same factor. This is the tolerated deviation from their mean, in log
light."""
TINT_PER_DARKNESS = 0.11
"""Additional tolerance per unit of darkening, because the remaining light is often tinted. The deviation is 0.05 to 0.1
of the darkening in shadows on the ground of the demo photos, and 0.26 to 0.3 on their walls."""
TINT_FADE = 0.6
"""The shadow fades out as the deviation grows from the tolerance to (1 + TINT_FADE) times the tolerance."""
FOREIGN_TINT = 2.0
"""A surface whose deviation exceeds this many tolerances is not the ground."""
FOREIGN_LIGHT = 0.25
"""A surface, such as a skirting board, whose log light exceeds that of the ground by this much is not the ground."""
FOOT_SHARE = 0.4
"""Height of the foot of the piece, around which shadows are kept, as a share of the piece's height."""
REACH = 0.28
"""Distance from the foot within which the shadow fades out, as a share of the piece's longer side."""
MIN_SHADOW = 0.03
"""A shadow whose largest opacity is below this value is not returned."""


@dataclass(frozen=True)
class Cutout:
    """A piece cut out of its photo."""

    image: Image  # [h, w, 4] RGBA with straight alpha; [h, w, 3] RGB if a background colour was requested
    shadow: Image | None  # [h, w, 4] RGBA, black with alpha; None if none was requested or found
    box: Box  # frame of both images in the photo, in pixels; it extends past the photo where the margin does
    piece_share: float  # share of the photo that the piece covers, in [0, 1]


def cutout(photo_srgb: Image, maps: MaterialMaps, options: CutoutOptions, progress: Progress = no_progress) -> Cutout:
    """Cut out the piece in one photo.

    A trimmed frame contains the piece and its shadow. A background colour is blended in sRGB, as in image viewers.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: model outputs for this photo.

    Raises:
        NoPieceFound: the piece covers less than 0.5 % of the photo.
    """
    likely_share = float((maps.foreground > PIECE_EDGE).mean())
    if likely_share < MIN_PIECE_SHARE:
        raise NoPieceFound(share=likely_share, minimum=MIN_PIECE_SHARE)
    alpha = alpha_matte(photo_srgb, maps.foreground, subrange(progress, 0.0, 0.5))
    piece_share = float(alpha.mean()) / 255
    if piece_share < MIN_PIECE_SHARE:
        raise NoPieceFound(share=piece_share, minimum=MIN_PIECE_SHARE)
    colors = foreground_colors(photo_srgb, alpha, subrange(progress, 0.5, 0.9))
    shadow_alpha = contact_shadow(photo_srgb, alpha) if options.shadow else None
    frame = _frame(alpha, shadow_alpha, options)
    image = _crop(np.dstack([colors, alpha]), frame)
    shadow = None
    if shadow_alpha is not None:
        opacity = _crop(shadow_alpha, frame)
        shadow = np.dstack([np.zeros((*opacity.shape, 3), np.uint8), opacity])
    if options.background is not None:
        image = _composite(image, shadow, options.background)
    return Cutout(image, shadow, Box(*frame), piece_share)


def contact_shadow(photo_srgb: Image, alpha: Image) -> Image | None:
    """Extract the shadow of the piece on the ground around its foot.

    A smooth fit estimates the brightness that the ground has without the shadow. The shadow is the ratio of the photo
    to the fit in linear light. On a white background, the layer reproduces this ratio exactly. On patterned ground, the
    shadow fades out, because it cannot be separated from the pattern.

    Args:
        photo_srgb: [H, W, 3] uint8.
        alpha: [H, W] uint8, opacity of the piece.

    Returns:
        [H, W] uint8 opacity of a black layer, extrapolated under the piece. None if there is no shadow.
    """
    light = linear_from_srgb(shrink(photo_srgb, SHADOW_SIDE))
    piece = shrink(alpha, SHADOW_SIDE) > 5
    visible = ~dilate(piece, RIM)  # shows neither the piece nor its rim
    ground = _fit_ground(np.log(np.maximum(light, 1e-3)).astype(np.float32), piece, visible)
    if ground is None:
        return None
    residual, noise = ground
    trust = np.clip((BUSY_NOISE - noise) / (BUSY_NOISE - PLAIN_NOISE), 0, 1)
    darkness = _extrapolate(_darkness(residual, noise, visible), visible) * _contact_weight(piece) * np.float32(trust)
    opacity = 1.0 - encode_srgb(np.exp(-cv2.GaussianBlur(darkness, (0, 0), 1.0)))
    if opacity.max() < MIN_SHADOW:
        return None
    size = (alpha.shape[1], alpha.shape[0])
    return to_byte(np.asarray(cv2.resize(opacity.astype(np.float32), size, interpolation=cv2.INTER_CUBIC), np.float32))


def _fit_ground(log_light: FloatMap, piece: BoolMask, visible: BoolMask) -> tuple[FloatMap, float] | None:
    """Fit a quadratic function of the position to the log light of the ground around the foot of the piece.

    Shadows are outliers below the fit, so values below it have lower weights (iteratively reweighted least squares).

    Returns:
        The [h, w, 3] log light minus the fit, which is negative in shadow, and the standard deviation of the log light
        of the ground. None if too little ground is visible.
    """
    left, top, width, height = cv2.boundingRect(piece.astype(np.uint8))
    longer, center, bottom = max(width, height), left + width / 2, top + height
    region = np.zeros_like(visible)
    rows = slice(int(bottom - GROUND_ABOVE * height), int(bottom + GROUND_BELOW * longer))
    beside = GROUND_BESIDE * longer
    region[rows, max(0, int(left - beside)) : int(left + width + beside)] = True
    sample = region & visible
    if sample.sum() < MIN_GROUND_PIXELS:
        return None
    y, x = np.mgrid[: visible.shape[0], : visible.shape[1]].astype(np.float64)
    y, x = (y - bottom) / longer, (x - center) / longer
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    inputs, values = terms[sample], log_light[sample].astype(np.float64)
    weights = np.ones(len(values))
    for _ in range(FIT_ROUNDS):
        coefficients, *_ = np.linalg.lstsq(inputs * weights[:, None], values * weights[:, None], rcond=None)
        difference = (values - inputs @ coefficients).mean(axis=1)
        brighter = difference[difference > 0]
        # The median absolute value of a normal distribution is 0.6745 standard deviations.
        noise = float(np.median(brighter)) / 0.6745 if len(brighter) else 0.0
        scale = max(noise, 0.005) * np.where(difference < 0, 1.0, 3.0)
        weights = 1 / (1 + (difference / scale) ** 2)
    return (log_light - terms @ coefficients).astype(np.float32), noise


def _darkness(residual: FloatMap, noise: float, visible: BoolMask) -> FloatMap:
    """Return the [h, w] decrease of log light by the shadow, 0 on surfaces that are not the ground."""
    residual = weighted_blur(residual, visible.astype(np.float32), sigma=1.0, min_weight=1e-3)
    change = residual.mean(axis=2)
    tint = np.abs(residual - change[..., None]).max(axis=2)
    darkness = np.clip(-change - NOISE_FACTOR * noise, 0, None)
    deviation = tint / (TINT_TOLERANCE + TINT_PER_DARKNESS * darkness)
    foreign = visible & ((deviation > FOREIGN_TINT) | (change > FOREIGN_LIGHT))
    opened = cv2.morphologyEx(foreign.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    # In each column of the photo, everything above the lowest foreign surface is not the ground.
    beyond = dilate(np.maximum.accumulate(opened[::-1] > 0, axis=0)[::-1], 2)
    not_ground = cv2.GaussianBlur(beyond.astype(np.float32), (0, 0), 6.0, sigmaY=2.0)
    ground_weight = np.clip((1 + TINT_FADE - deviation) / TINT_FADE, 0, 1) * (1 - not_ground)
    return np.asarray(darkness * ground_weight, np.float32)


def _contact_weight(piece: BoolMask) -> FloatMap:
    """Return a [h, w] weight that falls from 1 at the foot of the piece to 0 far from it and at the photo's border."""
    _, top, width, height = cv2.boundingRect(piece.astype(np.uint8))
    longer = max(width, height)
    foot_top = top + height - FOOT_SHARE * height
    foot = piece.copy()
    foot[: int(foot_top)] = False
    distance = cv2.distanceTransform((~foot).astype(np.uint8), cv2.DIST_L2, 5)
    rows, columns = np.mgrid[: piece.shape[0], : piece.shape[1]].astype(np.float32)
    border = np.minimum(np.minimum(columns, columns[:, ::-1]), rows[::-1])
    weight = smoothstep(1.0 - distance / (REACH * longer))
    weight *= smoothstep((rows - foot_top) / (0.15 * height))
    weight *= smoothstep(border / (0.08 * longer))
    return weight


def _extrapolate(values: FloatMap, known: BoolMask) -> FloatMap:
    """Extend known values into unknown areas with blurs of increasing size."""
    out, weight, filled = values * known, known.astype(np.float32), known.copy()
    sigma = 1.5
    while not filled.all() and sigma < max(values.shape):
        new = ~filled & (cv2.GaussianBlur(weight, (0, 0), sigma) > 0.1)
        out[new] = weighted_blur(values, weight, sigma, min_weight=1e-9)[new]
        filled |= new
        sigma *= 2
    return np.asarray(out, np.float32)


def _frame(alpha: Image, shadow_alpha: Image | None, options: CutoutOptions) -> Frame:
    """Return the frame of the result: the photo, or the bounding box of the visible pixels with the margin."""
    if not options.trim:
        return 0, 0, alpha.shape[1], alpha.shape[0]
    visible = alpha >= MIN_VISIBLE_ALPHA
    if shadow_alpha is not None:
        visible |= shadow_alpha >= MIN_VISIBLE_ALPHA
    left, top, width, height = cv2.boundingRect(visible.astype(np.uint8))
    margin = round(options.margin * max(width, height))
    return left - margin, top - margin, left + width + margin, top + height + margin


def _crop(image: Image, frame: Frame) -> Image:
    """Return the frame of an image, with zeros where the frame extends past the image."""
    left, top, right, bottom = frame
    height, width = image.shape[:2]
    inside = image[max(0, top) : bottom, max(0, left) : right]
    padding = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    return np.asarray(cv2.copyMakeBorder(inside, *padding, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)), np.uint8)


def _composite(piece: Image, shadow: Image | None, background: SrgbColor) -> Image:
    """Return the [h, w, 3] shadow and piece on a background colour."""
    color = np.array([background.red, background.green, background.blue], np.float32)
    out = np.broadcast_to(color, (*piece.shape[:2], 3)).copy()
    if shadow is not None:
        out *= np.float32(1) - to_float(shadow[..., 3:])
    out += to_float(piece[..., 3:]) * (piece[..., :3] - out)
    return np.asarray(np.rint(out), np.uint8)
