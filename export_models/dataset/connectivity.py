"""Connected groups of vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def label_connected(edges: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return the group number [count] of each vertex. Groups are numbered in the order of their lowest vertex.

    Args:
        edges: [E, 2] pairs of connected vertices.
        count: number of vertices.
    """
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
