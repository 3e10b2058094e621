"""The types of the tensors of one request to Triton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
"""The inputs by name, with the batch dimension: [B, …]."""
Shapes: TypeAlias = Mapping[str, Sequence[int]]
"""The shapes of float32 outputs by name, with the batch dimension."""
