"""Which vertices of a mesh hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def connected(edges: NDArray[Any], count: int) -> NDArray[np.int64]:
    """[count] the number of each vertex's connected part; parts are numbered in the order of their lowest vertex.

    Args:
        edges: [E, 2] vertices that hang together.
    """
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
