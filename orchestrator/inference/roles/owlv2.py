"""OWLv2 (Minderer et al. 2023): boxes of parts that the caller names, for the role ``open_vocabulary``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np
from instant_clip_tokenizer import Tokenizer
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.model_roles import NamedBox
from orchestrator.domain.segment import Box
from orchestrator.imaging.filters import shrink
from orchestrator.inference.letterbox import to_model_input
from orchestrator.inference.tensors import Tensors

SIDE = 960
"""Side of the square input in pixels. As in the authors' code, the photo is padded on the right and at the bottom."""
PADDING = 127
"""Grey value of the padding. The authors use 0.5."""
TOKENS = 16
"""Number of tokens of a query."""
QUERY_STEP = 8
"""The number of queries is a multiple of this, so that Triton can batch requests with similar numbers of names."""
QUERY = "a photo of a {}"
"""The prompt with which the authors evaluate the model."""
MIN_CONFIDENCE = 0.1
"""Smallest score of a box. The default of the authors' and of Hugging Face's code. Not tuned for furniture."""
MAX_OVERLAP = 0.5
"""IoU from which two boxes of a name are the same. Not tuned."""
MAX_BOXES = 64
"""Maximum number of boxes of a photo. Not tuned."""
MIN_SIDE = 2.0
"""Smallest width and height of a box in pixels of the photo."""


def to_inputs(photo_srgb: Image, names: Sequence[str]) -> Tensors:
    """Return the inputs for one photo, [H, W, 3] uint8, and at least one name."""
    small = shrink(photo_srgb, SIDE)
    if max(small.shape[:2]) < SIDE:
        scale = SIDE / max(small.shape[:2])
        size = (round(small.shape[1] * scale), round(small.shape[0] * scale))
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    square = np.full((SIDE, SIDE, 3), PADDING, np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return {"image": to_model_input(square), "tokens": tokenize(names)[None]}


def tokenize(names: Sequence[str]) -> NDArray[np.int32]:
    """Return [Q, TOKENS] token ids; the rows after the names are 0. Long names lose their last words."""
    queries = [QUERY.format(name.replace("_", " ").strip().lower()) for name in names]
    rows = -(-len(queries) // QUERY_STEP) * QUERY_STEP
    tokens = np.zeros((rows, TOKENS), np.int32)
    tokens[: len(queries)] = _tokenizer().tokenize_batch(queries, context_length=TOKENS)
    return tokens


def named_boxes(outputs: Mapping[str, FloatMap], names: Sequence[str], width: int, height: int) -> tuple[NamedBox, ...]:
    """Return the boxes in a photo of ``width`` × ``height`` pixels, the most confident first.

    Args:
        outputs: ``scores`` [1, N, Q] in [0, 1]; ``boxes`` [1, N, 4] centre x, centre y, width and height as shares of
            the square.
    """
    scores, boxes = outputs["scores"][0], outputs["boxes"][0]
    center, half = boxes[:, :2] * max(width, height), boxes[:, 2:] * max(width, height) / 2
    limits = np.array([width, height], np.float32)
    low, high = (np.clip(corner, 0, limits) for corner in (center - half, center + half))
    large_enough = ((high - low) >= MIN_SIDE).all(axis=1)
    best = scores[:, : len(names)].argmax(axis=1)  # a box has one name
    found = []
    for query, name in enumerate(names):
        likely = np.flatnonzero(large_enough & (best == query) & (scores[:, query] >= MIN_CONFIDENCE))
        rectangles = np.concatenate([low[likely], (high - low)[likely]], axis=1).tolist()
        confidences = scores[likely, query].tolist()
        for index in cv2.dnn.NMSBoxes(rectangles, confidences, MIN_CONFIDENCE, MAX_OVERLAP):
            row = likely[index]
            found.append(NamedBox(name, float(scores[row, query]), Box(*low[row].tolist(), *high[row].tolist())))
    return tuple(sorted(found, key=lambda part: -part.confidence)[:MAX_BOXES])


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer()
