"""Samples of the data set. Converts renders to samples, and writes and reads samples as NPZ files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

NORMAL_SCALE = 127.0
"""Integer that stands for 1 in the int8 components of stored normals."""


@dataclass(frozen=True)
class Sample:
    """One image and the ground truth of each pixel; H = W."""

    name: str
    radiance: Floats  # [H, W, 3] linear light on the sensor, >= 0, neither exposed nor clipped
    albedo: Floats  # [H, W, 3] linear, in [0, 1]
    normal: Floats  # [H, W, 3] unit, camera space: +X right, +Y up, +Z to the camera; without relief; 0 in the sky
    roughness: Floats  # [H, W] in [0, 1]
    ambient_occlusion: Floats  # [H, W] in [0, 1], 1 is unoccluded; rays of 0.5 m
    depth: Floats  # [H, W] metres from the camera's plane
    component: Bytes  # [H, W] index into COMPONENTS, 0 outside the piece
    material: Bytes  # [H, W] index into MATERIALS; 0, without meaning, outside the piece
    meta: dict[str, Any]  # source of the mesh, camera, style ("catalogue" or "room"), and [seed, split, number]

    @property
    def in_catalogue(self) -> bool:
        """Whether the image has the style of a catalogue."""
        return self.meta.get("style") == "catalogue"

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """The mask [H, W] of the piece."""
        return np.asarray(self.component > 0)


def read_render(exr: Path, name: str, slots: Sequence[tuple[int, int]], meta: dict[str, Any]) -> Sample:
    """Read the files that ``blender.scene`` wrote for one image.

    Args:
        exr: the render. Next to it are the denoised passes (``.truth.exr``) and the camera (``.json``).
        slots: component index and material index of each material slot of the mesh.
    """
    passes = read_passes(exr) | read_passes(exr.with_suffix(".truth.exr"))
    camera_to_world = np.array(json.loads(exr.with_suffix(".json").read_text(encoding="utf-8"))["camera_to_world"])
    normal = passes["geometric_normal"][..., :3] @ camera_to_world
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    slot_index = np.round(passes["IndexMA"][..., 0]).astype(int)  # 1 + slot on the piece, 0 elsewhere
    classes = np.array([(0, 0), *slots], np.uint8)
    return Sample(
        name=name,
        radiance=np.maximum(passes["Combined"][..., :3], 0.0),
        albedo=np.clip(passes["albedo"][..., :3], 0.0, 1.0),
        normal=normal.astype(np.float32),
        roughness=np.clip(passes["roughness"][..., 0], 0.0, 1.0),
        ambient_occlusion=np.clip(passes["AO"][..., :3].mean(-1), 0.0, 1.0),
        depth=passes["Depth"][..., 0],
        component=classes[slot_index, 0],
        material=classes[slot_index, 1],
        meta=meta,
    )


def write_sample(sample: Sample, file: Path) -> None:
    """Write ``sample`` as an NPZ file, atomically."""
    incomplete = file.with_suffix(".part")
    with incomplete.open("wb") as stream:
        np.savez_compressed(
            stream,
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
    incomplete.rename(file)


def read_sample(file: Path) -> Sample:
    """Read a file that ``write_sample`` wrote."""
    with np.load(file) as arrays:
        normal = arrays["normal"].astype(np.float32) / NORMAL_SCALE
        return Sample(
            name=file.stem,
            radiance=arrays["radiance"].astype(np.float32),
            albedo=np.square(arrays["albedo"].astype(np.float32) / 255),
            normal=normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6),
            roughness=arrays["roughness"].astype(np.float32) / 255,
            ambient_occlusion=arrays["ambient_occlusion"].astype(np.float32) / 255,
            depth=arrays["depth"].astype(np.float32),
            component=arrays["component"],
            material=arrays["material"],
            meta=json.loads(arrays["meta"].tobytes()),
        )


def read_passes(exr: Path) -> dict[str, Floats]:
    """Return each pass of a multilayer EXR as [H, W, C] float32, with its channels in the order RGBA or XYZ."""
    import OpenEXR  # from the extra `bench`, which is not needed to read samples

    grouped: dict[str, dict[str, Floats]] = {}
    with OpenEXR.File(str(exr), separate_channels=True) as file:
        for name, channel in file.channels().items():
            *_, pass_name, letter = name.split(".")  # for example ViewLayer.albedo.R
            grouped.setdefault(pass_name, {})[letter] = np.array(channel.pixels, np.float32)
    return {
        name: np.stack([channels[letter] for letter in sorted(channels, key="RGBXYZVA".index)], -1)
        for name, channels in grouped.items()
    }
