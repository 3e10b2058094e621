"""Blender side: Cycles as pictures with their truth need it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bpy


def render_with_truth(samples: int, seed: int, threshold: float, bounces: int, truth: Mapping[str, str]) -> None:
    """Let the scene be rendered into a multilayer EXR: the picture denoised, the truth as it is sampled.

    Args:
        samples: paths a pixel, at most; fewer where they differ by less than ``threshold``.
        truth: the outputs that the materials write, each a ``COLOR`` or a ``VALUE``.
    """
    scene, layer = bpy.context.scene, bpy.context.view_layer
    scene.render.engine = "CYCLES"
    scene.cycles.samples = samples
    scene.cycles.seed = seed
    scene.cycles.use_adaptive_sampling = True
    scene.cycles.adaptive_threshold = threshold
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_prefilter = "FAST"
    scene.cycles.max_bounces = bounces
    scene.cycles.sample_clamp_indirect = 4.0
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    scene.render.image_settings.color_depth = "32"
    layer.use_pass_normal = layer.use_pass_z = layer.use_pass_ambient_occlusion = True
    for name, kind in truth.items():
        aov = layer.aovs.add()
        aov.name, aov.type = name, kind


def denoise_truth(names: tuple[str, ...], file: Path) -> Path:
    """Let the passes ``names`` be written into another multilayer EXR, freed of the noise of few paths.

    The picture's own denoiser does it: patterns finer than its pixels are gone from both, or from neither. Returns the
    file that rendering will write: ``file`` with the frame's number.
    """
    scene = bpy.context.scene
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    layers, output = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("CompositorNodeOutputFile")
    output.format.file_format = "OPEN_EXR_MULTILAYER"
    output.format.color_depth = "16"
    output.base_path = str(file)
    output.file_slots.clear()
    for name in names:
        denoise = tree.nodes.new("CompositorNodeDenoise")
        denoise.use_hdr = False
        tree.links.new(layers.outputs[name], denoise.inputs["Image"])
        output.file_slots.new(name)
        tree.links.new(denoise.outputs[0], output.inputs[name])
    return file.with_name(f"{file.name}{scene.frame_current:04d}.exr")
