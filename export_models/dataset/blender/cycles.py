"""Blender script: configures Cycles for images with ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bpy


def configure_cycles(samples: int, seed: int, threshold: float, bounces: int, aovs: Mapping[str, str]) -> None:
    """Configure the scene to render into a multilayer EXR with a denoised image and raw ground-truth passes.

    Args:
        samples: maximum number of paths per pixel.
        threshold: a pixel gets no more paths once its noise is below this value.
        aovs: the outputs that the materials write (arbitrary output variables), each a ``COLOR`` or a ``VALUE``.
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
    for name, kind in aovs.items():
        aov = layer.aovs.add()
        aov.name, aov.type = name, kind


def denoise_passes(names: tuple[str, ...], file: Path) -> Path:
    """Configure the scene to denoise passes and to write them to a second multilayer EXR.

    The denoiser is the same as for the image. A pattern that is too fine for the pixels is therefore missing from both
    or from neither.

    Returns:
        The file that rendering will write: ``file`` followed by the number of the frame.
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
