"""Batches to learn from: pictures of the data set, cut and photographed anew each time, each seen in a mirror too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from export_models.baselines.segmentation import MATERIALS
from export_models.dataset.photograph import highest, lowest, photograph
from export_models.dataset.samples import Sample, read
from export_models.dataset.surfaces import MAX_ALBEDO
from orchestrator.inference.letterbox import fill_square

IGNORE = 255
"""Class of pixels that do not count."""
MIN_ALBEDO, MIN_LIGHT, CLIPPED = 0.02, 0.004, 0.97
"""Where albedo and shading can be told: not black, not drowned in noise, not clipped."""
GLASS = MATERIALS.index("glass")
WHOLE_SHARE, MIN_CROP = 0.5, 0.55
"""Share of pictures that are shown whole, and the smallest share of the side that the others are cut to."""
LETTERBOX_SHARE, MIN_ASPECT = 0.35, 0.55
"""Share of pictures that are not square; the service fills them up below or on the right by repeating their edge."""
RECOLOURED_SHARE = 0.5
"""Share of pictures whose parts take other colours than they were rendered in."""
FAR_M = 60.0

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Example:
    """One picture as the network gets it and what is true of it; [C, H, W] each, H = W."""

    image: NDArray[np.uint8]  # sRGB
    light: NDArray[np.float32]  # log of linear photo / albedo, before clipping
    light_counts: NDArray[np.bool_]  # [1, H, W]
    normal: NDArray[np.float32]
    surface_counts: NDArray[np.bool_]  # [1, H, W] something was hit, within FAR_M
    roughness: NDArray[np.float32]
    ambient_occlusion: NDArray[np.float32]
    depth: NDArray[np.float32]  # log of metres
    component: NDArray[np.uint8]  # [H, W]
    piece: NDArray[np.int8]  # [1, H, W] 1 on the piece, 0 beside it, -1 where it does not count
    material: NDArray[np.uint8]  # [H, W]


def read_all(files: Sequence[Path]) -> list[Sample]:
    """Read ``files`` into memory, compactly."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda file: packed(read(file)), files))


def packed(sample: Sample) -> Sample:
    """In half precision: a picture of 320² takes 2.4 MB."""
    arrays = {
        name: getattr(sample, name).astype(np.float16)
        for name in ("radiance", "albedo", "normal", "roughness", "ambient_occlusion", "depth")
    }
    return Sample(name=sample.name, component=sample.component, material=sample.material, meta=sample.meta, **arrays)


def example(sample: Sample, side: int, random: np.random.Generator) -> Example:
    """Cut ``sample``, photograph it at ``side`` pixels."""
    full = sample.component.shape[0]
    cut = full if random.random() < WHOLE_SHARE else int(full * random.uniform(MIN_CROP, 1.0))
    narrow = random.uniform(MIN_ASPECT, 1.0) if random.random() < LETTERBOX_SHARE else 1.0
    aspect = (1.0, narrow) if random.random() < 0.5 else (narrow, 1.0)
    high, wide = (int(cut * share) for share in aspect)  # of what is cut out
    rows, columns = (int(side * share) for share in aspect)  # of the photo
    top, left = int(random.integers(full - high + 1)), int(random.integers(full - wide + 1))

    def of_photo(values: NDArray[Any], smooth: bool) -> NDArray[np.float32]:
        part = values[top : top + high, left : left + wide].astype(np.float32)
        how = (cv2.INTER_AREA if side < cut else cv2.INTER_LINEAR) if smooth else cv2.INTER_NEAREST
        return np.asarray(cv2.resize(part, (columns, rows), interpolation=how), np.float32)

    def shown(values: NDArray[Any], smooth: bool = True) -> NDArray[np.float32]:
        return fill_square(of_photo(values, smooth), side)

    radiance, albedo = of_photo(sample.radiance, smooth=True), of_photo(sample.albedo, smooth=True)
    seen = [of_photo(values, smooth=False) for values in (sample.component, sample.material)]
    if random.random() < RECOLOURED_SHARE:
        part = (seen[0] * len(MATERIALS) + seen[1]).astype(int)
        radiance, albedo = recoloured(radiance, albedo, part, random)
    truth, photo, albedo = (fill_square(one, side) for one in (*photograph(radiance, albedo, random), albedo))
    normal, depth = shown(sample.normal), shown(sample.depth, smooth=False)
    component, material = (fill_square(one, side).astype(np.uint8) for one in seen)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    hit = (length[..., 0] > 0.5) & (depth > 0) & (depth < FAR_M)
    told = colour_is_told(albedo, truth, material)
    counts = np.pad(np.ones((rows, columns), bool), ((0, side - rows), (0, side - columns)))
    piece = np.where(counts, component > 0, -1).astype(np.int8)
    if not sample.meta["source"].get("components", True):  # nobody could tell its parts apart, only the piece
        component = np.where(component > 0, np.uint8(IGNORE), component)
    return Example(
        image=photo.transpose(2, 0, 1),
        light=np.log(np.maximum(truth, MIN_LIGHT) / np.maximum(albedo, MIN_ALBEDO)).transpose(2, 0, 1),
        light_counts=(told & counts)[None],
        normal=(normal / np.maximum(length, 1e-6)).transpose(2, 0, 1),
        surface_counts=(hit & counts)[None],
        roughness=shown(sample.roughness)[None],
        ambient_occlusion=shown(sample.ambient_occlusion)[None],
        depth=np.log(np.clip(depth, 0.05, FAR_M))[None],
        component=np.where(counts, component, np.uint8(IGNORE)),
        piece=piece[None],
        material=np.where(counts, np.where(component > 0, material, np.uint8(0)), np.uint8(IGNORE)),
    )


def recoloured(
    radiance: NDArray[np.float32], albedo: NDArray[np.float32], part: NDArray[np.int_], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each part lighter or darker and a little of another hue, under the light that it was in.

    Args:
        radiance, albedo: [H, W, 3] linear.
        part: [H, W] number of the part that each pixel shows, >= 0.
    """
    count = int(part.max()) + 1
    gains = np.exp(random.normal(0.0, 0.35, (count, 1)) + random.normal(0.0, 0.1, (count, 3)))
    change = np.minimum(gains[part], MAX_ALBEDO / np.maximum(highest(albedo), MIN_ALBEDO)[..., None])
    return np.asarray(radiance * change, np.float32), np.asarray(albedo * change, np.float32)


def colour_is_told(
    albedo: NDArray[np.float32], light: NDArray[np.float32], material: NDArray[Any]
) -> NDArray[np.bool_]:
    """[H, W] where a photo tells colour from light: not black, not clipped, and not through glass.

    Args:
        albedo, light: [H, W, 3] linear; ``light`` is what fell on the sensor, exposed.
        material: [H, W] index into MATERIALS.
    """
    told = (lowest(albedo) > MIN_ALBEDO) & (lowest(light) > MIN_LIGHT) & (highest(light) < CLIPPED)
    return np.asarray(told & (material != GLASS))


def collated(examples: Sequence[Example]) -> Batch:
    """Stack examples into tensors, [B, …] each; floats in half precision, as processes send them to each other."""
    stacked = {name: np.stack([getattr(one, name) for one in examples]) for name in Example.__dataclass_fields__}
    return {
        name: torch.from_numpy(values.astype(np.float16) if values.dtype == np.float32 else values)
        for name, values in stacked.items()
    }


def on_device(batch: Batch, device: torch.device) -> Batch:
    """What ``collated`` made, as it is learned from: the picture in [0, 1], classes as int64, all else as float32."""
    found = {name: values.to(device, non_blocking=True) for name, values in batch.items()}
    for name, values in found.items():
        if values.dtype != torch.bool:
            found[name] = values.long() if name in ("component", "material") else values.float()
    return found | {"image": found["image"] / 255}


def mirrored(batch: Batch) -> Batch:
    """The same left to right: another look at it that costs the processor nothing."""
    found = {name: values.flip(-1) for name, values in batch.items()}
    return found | {"normal": found["normal"] * found["normal"].new_tensor([-1, 1, 1])[:, None, None]}


class Batches(IterableDataset[Batch]):
    """Batches from ``first`` on; the same number always gives the same batch, so that learning can go on later."""

    def __init__(self, samples: Sequence[Sample], side: int, count: int, seed: int, first: int, last: int) -> None:
        self.samples, self.side, self.count, self.seed, self.first, self.last = samples, side, count, seed, first, last

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in range(self.first + start, self.last, step):
            random = np.random.default_rng([self.seed, number])
            chosen = random.integers(len(self.samples), size=self.count)
            yield collated([example(self.samples[at], self.side, random) for at in chosen])
