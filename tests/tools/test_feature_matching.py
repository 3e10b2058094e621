"""Matching of SIFT descriptors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.tools.colmap_child.features import DESCRIPTOR_NORM, mutual_matches


def random_descriptors(count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    directions = np.sqrt(random.dirichlet(np.full(128, 0.5), count))
    return np.clip(np.round(directions * DESCRIPTOR_NORM), 0, 255).astype(np.uint8)


def test_same_features_find_each_other_in_any_order() -> None:
    random = np.random.default_rng(1)
    common, only_a, only_b = (random_descriptors(count, random) for count in (50, 20, 30))
    order = random.permutation(80)
    noisy = np.clip(common.astype(int) + random.integers(-4, 5, common.shape), 0, 255).astype(np.uint8)
    matches = mutual_matches(np.concatenate([common, only_a]), np.concatenate([noisy, only_b])[order])
    found = {(int(a), int(order[b])) for a, b in matches}
    assert {(index, index) for index in range(50)} <= found
    # Random descriptors are 0.7 to 0.8 rad apart, so that nearly all of them fail the limit of the angle.
    assert len(found) <= 52


def test_feature_that_resembles_two_others_is_not_matched() -> None:
    random = np.random.default_rng(2)
    a = random_descriptors(3, random)
    b = np.concatenate([a, a[:1]])  # the first feature occurs twice
    assert mutual_matches(a, b).tolist() == [[1, 1], [2, 2]]


def test_fewer_than_two_features_have_no_matches() -> None:
    a = random_descriptors(5, np.random.default_rng(3))
    assert mutual_matches(a, a[:1]).shape == (0, 2)
    assert mutual_matches(a[:0], a).shape == (0, 2)
