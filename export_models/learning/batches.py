"""Makes batches of training examples in worker processes and moves them to the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from export_models.dataset.samples import read_sample
from export_models.learning.examples import Example, make_example

Batch = dict[str, Tensor]
"""The fields of ``Example``, stacked to [B, …]."""


def collate(examples: Sequence[Example]) -> Batch:
    """Stack examples. Floats are in half precision, which halves the traffic between processes."""
    stacked = {name: np.stack([getattr(item, name) for item in examples]) for name in Example.__dataclass_fields__}
    return {
        name: torch.from_numpy(values.astype(np.float16) if values.dtype == np.float32 else values)
        for name, values in stacked.items()
    }


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a collated batch to ``device``, with the image in [0, 1], classes as int64 and other numbers as float32."""
    moved = {name: values.to(device, non_blocking=True) for name, values in batch.items()}
    for name, values in moved.items():
        if values.dtype != torch.bool:
            moved[name] = values.long() if name in ("component", "material") else values.float()
    return moved | {"image": moved["image"] / 255}


def mirror(batch: Batch) -> Batch:
    """Flip a batch from left to right, which gives a second view of each example without preparing it again."""
    flipped = {name: values.flip(-1) for name, values in batch.items()}
    return flipped | {"normal": flipped["normal"] * flipped["normal"].new_tensor([-1, 1, 1])[:, None, None]}


class BatchStream(IterableDataset[Batch]):
    """Batches ``first`` to ``last`` (exclusive) of a reproducible sequence.

    The same number always gives the same batch, so that training can resume. In a ``DataLoader``, the workers share the
    batches. Images are read from disk when they are used (10 ms for 256² pixels), so that any number of them can be
    used.

    Args:
        files: the samples.
        side: height and width of the examples, in pixels.
        count: number of examples in a batch.
    """

    def __init__(self, files: Sequence[Path], side: int, count: int, seed: int, first: int, last: int) -> None:
        self.files = files
        self.side = side
        self.count = count
        self.seed = seed
        self.first = first
        self.last = last

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in range(self.first + start, self.last, step):
            rng = np.random.default_rng([self.seed, number])
            indices = rng.integers(len(self.files), size=self.count)
            yield collate([make_example(read_sample(self.files[index]), self.side, rng) for index in indices])
