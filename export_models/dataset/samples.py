"""The pictures of the data set: made from a render's passes, written, read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

NORMAL_SCALE = 127.0


@dataclass(frozen=True)
class Sample:
    """One picture and what is true of each of its pixels; H = W."""

    name: str
    radiance: Floats  # [H, W, 3] linear, >= 0, as the light fell on the sensor: not exposed, not clipped
    albedo: Floats  # [H, W, 3] linear, in [0, 1]
    normal: Floats  # [H, W, 3] unit, camera space: +X right, +Y up, +Z to the camera; no relief; 0 where nothing is
    roughness: Floats  # [H, W] in [0, 1]
    ambient_occlusion: Floats  # [H, W] in [0, 1], 1 is open; rays of 0.5 m
    depth: Floats  # [H, W] metres from the camera's plane
    component: Bytes  # [H, W] index into COMPONENTS, 0 is not the piece
    material: Bytes  # [H, W] index into MATERIALS on the piece
    meta: dict[str, Any]

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """[H, W] the piece."""
        return np.asarray(self.component > 0)


def from_render(exr: Path, name: str, slots: list[tuple[int, int]], meta: dict[str, Any]) -> Sample:
    """Read a render's passes.

    Args:
        slots: component and material index of each slot of the mesh.
    """
    passes = read_passes(exr) | read_passes(exr.with_suffix(".truth.exr"))
    turn = np.array(json.loads(exr.with_suffix(".json").read_text(encoding="utf-8"))["camera_to_world"])
    normal = passes["shape"][..., :3] @ turn
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    which = np.round(passes["IndexMA"][..., 0]).astype(int)
    table = np.array([(0, 0), *slots], np.uint8)
    return Sample(
        name=name,
        radiance=np.maximum(passes["Combined"][..., :3], 0.0),
        albedo=np.clip(passes["albedo"][..., :3], 0.0, 1.0),
        normal=normal.astype(np.float32),
        roughness=np.clip(passes["roughness"][..., 0], 0.0, 1.0),
        ambient_occlusion=np.clip(passes["AO"][..., :3].mean(-1), 0.0, 1.0),
        depth=passes["Depth"][..., 0],
        component=table[which, 0],
        material=table[which, 1],
        meta=meta,
    )


def write(sample: Sample, file: Path) -> None:
    """Write ``sample`` as one NPZ, whole or not at all."""
    scratch = file.with_suffix(".part")
    with scratch.open("wb") as opened:
        np.savez_compressed(
            opened,
            radiance=np.minimum(sample.radiance, 60000.0).astype(np.float16),
            albedo=np.round(np.sqrt(sample.albedo) * 255).astype(np.uint8),
            normal=np.round(sample.normal * NORMAL_SCALE).astype(np.int8),
            roughness=np.round(sample.roughness * 255).astype(np.uint8),
            ambient_occlusion=np.round(sample.ambient_occlusion * 255).astype(np.uint8),
            depth=np.minimum(sample.depth, 1000.0).astype(np.float16),
            component=sample.component,
            material=sample.material,
            meta=np.frombuffer(json.dumps(sample.meta).encode(), np.uint8),
        )
    scratch.rename(file)


def read(file: Path) -> Sample:
    """Read what ``write`` wrote."""
    with np.load(file) as found:
        normal = found["normal"].astype(np.float32) / NORMAL_SCALE
        return Sample(
            name=file.stem,
            radiance=found["radiance"].astype(np.float32),
            albedo=np.square(found["albedo"].astype(np.float32) / 255),
            normal=normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6),
            roughness=found["roughness"].astype(np.float32) / 255,
            ambient_occlusion=found["ambient_occlusion"].astype(np.float32) / 255,
            depth=found["depth"].astype(np.float32),
            component=found["component"],
            material=found["material"],
            meta=json.loads(found["meta"].tobytes()),
        )


def read_passes(exr: Path) -> dict[str, Floats]:
    """Return each pass of a multilayer EXR as [H, W, C] float32."""
    import OpenEXR  # of the extra `bench`; reading finished samples does not need it

    grouped: dict[str, dict[str, Floats]] = {}
    with OpenEXR.File(str(exr), separate_channels=True) as file:
        for name, channel in file.channels().items():
            *_, group, letter = name.split(".")  # ViewLayer.albedo.R
            grouped.setdefault(group, {})[letter] = np.array(channel.pixels, np.float32)
    return {
        name: np.stack([channels[letter] for letter in sorted(channels, key="RGBXYZVA".index)], -1)
        for name, channels in grouped.items()
    }
