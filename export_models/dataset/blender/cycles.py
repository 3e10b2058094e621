"""Blender side: Cycles as pictures with their truth need it."""

from __future__ import annotations

from collections.abc import Mapping

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
