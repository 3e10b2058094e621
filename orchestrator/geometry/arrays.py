"""Array types of 3D geometry."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""Points, directions and matrices. The name or the docstring of the variable gives the shape."""

Triangles: TypeAlias = NDArray[np.int32]
"""[T, 3] vertex indices, counter-clockwise as seen from outside."""
