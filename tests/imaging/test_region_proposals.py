"""Region proposals join regions of one surface, and leave everything else as it is."""

from __future__ import annotations

import numpy as np

from orchestrator.imaging.region_proposals import join_regions

STRIPES = np.repeat(np.arange(8), 4)[None].repeat(32, axis=0)  # [32, 32], eight stripes of four columns
PIECE = np.ones((32, 32), np.float32)


def box(left: int, right: int, top: int = 0, bottom: int = 32) -> np.ndarray:
    likelihood = np.zeros((32, 32), np.float32)
    likelihood[top:bottom, left:right] = 1
    return likelihood


def test_regions_inside_one_proposal_become_one() -> None:
    joined = join_regions(STRIPES, [box(0, 8)], PIECE)
    assert len(np.unique(joined[:, :8])) == 1
    assert len(np.unique(joined)) == 7
    assert joined.max() == 6


def test_of_overlapping_proposals_the_smallest_counts() -> None:
    joined = join_regions(STRIPES, [box(0, 11), box(4, 8)], PIECE)
    assert len(np.unique(joined[:, 4:8])) == 1
    assert joined[0, 0] != joined[0, 4]


def test_a_proposal_of_most_of_the_piece_is_ignored() -> None:
    assert len(np.unique(join_regions(STRIPES, [box(0, 32)], PIECE))) == 8


def test_a_region_that_is_only_partly_inside_stays_separate() -> None:
    assert len(np.unique(join_regions(STRIPES, [box(0, 8, bottom=24)], PIECE))) == 8


def test_proposals_of_another_size_are_scaled() -> None:
    joined = join_regions(STRIPES, [np.kron(box(0, 8), np.ones((4, 4), np.float32))], PIECE)
    assert len(np.unique(joined)) == 7
