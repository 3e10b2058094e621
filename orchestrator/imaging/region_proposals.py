"""Joins regions of one colour that a promptable model takes for one region, such as a board with strong grain."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap

MAX_SHARE = 0.35
"""Largest proposal that is used, as a share of the piece. Larger ones show most of the piece, whose parts may
differ in material. Not tuned: the weights of the model were not available."""
MIN_INSIDE = 0.8
"""Share of a region that must be inside a proposal to belong to it. Not tuned."""


def join_regions(regions: NDArray[np.intp], proposals: Sequence[FloatMap], foreground: FloatMap) -> NDArray[np.intp]:
    """Join the regions that lie in the same proposal. Where proposals overlap, the smallest counts.

    Args:
        regions: [h, w] index of the region of each pixel.
        proposals: likelihoods of any size, which show the same part of the photo as ``regions``.
        foreground: [h, w] likelihood of the piece.

    Returns:
        [h, w] new indices from 0, without gaps.
    """
    height, width = regions.shape
    masks = [cv2.resize(proposal, (width, height), interpolation=cv2.INTER_AREA) > 0.5 for proposal in proposals]
    usable = [mask for mask in masks if 0 < mask.sum() <= MAX_SHARE * foreground.sum()]
    proposal_of = np.zeros(regions.shape, np.intp)  # 0: none
    for number, mask in enumerate(sorted(usable, key=lambda mask: -int(mask.sum())), 1):
        proposal_of[mask] = number
    votes = np.zeros((int(regions.max()) + 1, len(usable) + 1), np.intp)
    np.add.at(votes, (regions.ravel(), proposal_of.ravel()), 1)
    votes[:, 0] = np.where(votes[:, 1:].max(axis=1, initial=0) >= MIN_INSIDE * votes.sum(axis=1), 0, votes.sum(axis=1))
    chosen = votes.argmax(axis=1)
    # Regions without a proposal keep an index of their own, after those of the proposals.
    joined = np.where(chosen > 0, chosen, len(usable) + 1 + np.arange(len(votes)))
    return np.asarray(np.unique(joined[regions], return_inverse=True)[1].reshape(regions.shape), np.intp)
