from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import Region, StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import Canceled, InvalidInput, NoWoodFound
from orchestrator.imaging import strips
from orchestrator.imaging.color import ciede2000, lab_from_linear, linear_from_color, linear_from_srgb
from orchestrator.stages.stain.stain import COMPARISON_WIDTH, VARNISH, before_after, stain
from orchestrator.stages.stain.surface import surface_maps
from tests.benchmarks.grain_measure import grain_kept
from tests.support.wooden_scene import wooden_scene

WALNUT = STAINS["walnut"].color


@pytest.fixture(scope="module")
def scene():
    return wooden_scene()


@pytest.fixture(scope="module")
def walnut(scene):
    return stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT))


def mean_lab(image_srgb, mask):
    return lab_from_linear(linear_from_srgb(image_srgb)[mask].mean(axis=0))


@pytest.mark.parametrize("name", STAINS)
def test_the_mean_of_the_wood_reaches_every_stain_of_the_catalogue(scene, name):
    result = stain(scene.photo_srgb, scene.maps, StainOptions(STAINS[name].color), mask=scene.wood)
    goal = lab_from_linear(linear_from_color(STAINS[name].color))
    assert ciede2000(mean_lab(result.albedo, scene.wood > 0), goal) < 1.0  # not visible side by side
    assert result.delta_e < 1.0


def test_stain_leaves_other_materials_untouched(scene, walnut):
    outside = walnut.wood_mask == 0
    assert outside.mean() > 0.3
    assert np.array_equal(walnut.preview[outside], scene.photo_srgb[outside])


def test_the_albedo_outside_the_mask_does_not_depend_on_the_stain(scene):
    mask = np.zeros_like(scene.wood)
    mask[150:200, 40:120] = 255
    walnut = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT), mask=mask)
    whitewash = stain(scene.photo_srgb, scene.maps, StainOptions(STAINS["whitewash"].color), mask=mask)
    assert np.array_equal(walnut.preview[mask == 0], scene.photo_srgb[mask == 0])
    assert np.array_equal(walnut.albedo[mask == 0], whitewash.albedo[mask == 0])
    assert np.array_equal(walnut.wood_mask, mask)


def test_the_mask_follows_the_edge_of_the_wood(scene, walnut):
    wrong = (walnut.wood_mask > 127) != (scene.wood > 127)
    assert wrong.mean() < 0.005  # one row of 240


@pytest.mark.parametrize("name", ["ebony", "walnut", "golden-oak", "whitewash"])
def test_preserve_grain_1_keeps_the_grain_of_the_albedo(scene, name):
    options = StainOptions(STAINS[name].color)
    bare = stain(scene.photo_srgb, scene.maps, replace(options, strength=0.0), mask=scene.wood)
    result = stain(scene.photo_srgb, scene.maps, options, mask=scene.wood)
    correlation, contrast = grain_kept(bare.albedo, result.albedo, scene.wood)
    assert correlation >= 0.95
    assert 0.8 <= contrast <= 1.25


def test_preserve_grain_1_keeps_the_grain_of_the_photo(scene, walnut):
    correlation, contrast = grain_kept(scene.photo_srgb, walnut.preview, scene.wood)
    assert correlation >= 0.95
    assert 0.8 <= contrast <= 1.25


def test_preserve_grain_0_removes_the_grain(scene):
    result = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT, preserve_grain=0.0), mask=scene.wood)
    assert grain_kept(scene.photo_srgb, result.preview, scene.wood)[1] <= 0.3


def test_strength_0_changes_nothing_and_one_half_is_in_between(scene, walnut):
    none = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT, strength=0.0))
    half = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT, strength=0.5))
    assert np.array_equal(none.preview, scene.photo_srgb)
    assert walnut.preview.mean() < half.preview.mean() < none.preview.mean()
    assert none.delta_e == pytest.approx(walnut.delta_e, abs=0.01)  # delta_e is measured at full strength


def test_more_coats_are_darker(scene, walnut):
    deep = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT, coats=2.0))
    assert deep.preview.mean() < walnut.preview.mean()
    assert SrgbColor.parse(deep.reached).red < SrgbColor.parse(walnut.reached).red


def test_the_preview_keeps_the_lighting(scene):
    """The light falls off from left to right as in the photo."""
    result = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT), mask=scene.wood)
    board = slice(120, 230)
    before = linear_from_srgb(scene.photo_srgb)[board].mean(axis=(0, 2))
    after = linear_from_srgb(result.preview)[board].mean(axis=(0, 2))
    assert (after[-20:].mean() / after[:20].mean()) == pytest.approx(before[-20:].mean() / before[:20].mean(), rel=0.05)


def test_a_lighter_stain_does_not_brighten_the_reflections_of_varnish():
    """Part of the light of dark wood is reflected, so that the photo brightens less than the albedo."""
    dark = wooden_scene(mean=(0.06, 0.035, 0.02))
    result = stain(dark.photo_srgb, dark.maps, StainOptions(STAINS["natural-oak"].color), mask=dark.wood)
    board = dark.wood == 255
    own = dark.albedo_linear[board].mean(axis=0)
    oak, before, after = (
        linear_from_srgb(image)[board].mean(axis=0) for image in (result.albedo, dark.photo_srgb, result.preview)
    )
    assert after / before == pytest.approx((oak + VARNISH) / (own + VARNISH), rel=0.1)
    assert (after / before < 0.9 * oak / own).all()


def test_the_result_is_reproducible_and_independent_of_the_strip_size(scene, walnut, monkeypatch):
    again = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT))
    surface = surface_maps(scene.photo_srgb, scene.maps)
    monkeypatch.setattr(strips.strips, "__defaults__", (5 * scene.photo_srgb.shape[1],))
    cut = stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT))
    surface_cut = surface_maps(scene.photo_srgb, scene.maps)
    for name in ("albedo", "preview", "before_after", "wood_mask"):
        assert np.array_equal(getattr(walnut, name), getattr(again, name))
        assert np.array_equal(getattr(walnut, name), getattr(cut, name))
    for name in ("normal", "roughness", "ambient_occlusion", "height", "orm"):
        assert np.array_equal(getattr(surface, name), getattr(surface_cut, name))


def test_surface_maps_show_grain_on_wood_and_are_flat_elsewhere(scene):
    surface = surface_maps(scene.photo_srgb, scene.maps)
    wall, board = slice(0, 80), slice(110, 235)
    assert np.all(surface.height[wall] == 32768)
    assert np.all(surface.normal[wall] == (128, 128, 255))
    assert surface.height[board].std() > 500
    assert np.array_equal(surface.orm[..., 0], surface.ambient_occlusion)
    assert np.array_equal(surface.orm[..., 1], surface.roughness)
    assert surface.orm[..., 2].max() == 0
    # Dark pores are deeper.
    light = scene.albedo_linear[board].sum(axis=2).ravel()
    assert np.corrcoef(light, surface.height[board].ravel())[0, 1] > 0.5


def test_a_photo_without_wood_is_rejected():
    scene = wooden_scene()
    no_wood = replace(scene.maps, material=np.stack([0 * scene.maps.wood, 1 + 0 * scene.maps.wood]))
    with pytest.raises(NoWoodFound):
        stain(scene.photo_srgb, no_wood, StainOptions(WALNUT))


def test_the_region_piece_leaves_wood_outside_the_piece_unstained(scene):
    piece = np.zeros_like(scene.maps.wood)
    piece[:, : piece.shape[1] // 2] = 1
    maps = replace(scene.maps, component=np.stack([1 - piece, piece]))
    half = stain(scene.photo_srgb, maps, StainOptions(WALNUT, region=Region.PIECE))
    whole = stain(scene.photo_srgb, maps, StainOptions(WALNUT, region=Region.PICTURE))
    assert half.wood_share == pytest.approx(whole.wood_share / 2, rel=0.1)
    assert np.array_equal(half.preview[:, 200:], scene.photo_srgb[:, 200:])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((10, 20), 255, np.uint8), "20×10"),
        (np.zeros((240, 320), np.uint8), "black everywhere"),
    ],
)
def test_an_unusable_mask_is_rejected_with_its_field(scene, mask, message):
    with pytest.raises(InvalidInput, match=message) as rejected:
        stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT), mask=mask)
    assert rejected.value.field == "stain.mask_asset_id"


def test_a_small_mask_reaches_the_target(scene):
    mask = np.zeros_like(scene.wood)
    mask[200:204, 50:60] = 255
    assert stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT), mask=mask).delta_e < 1.0


def test_a_canceled_job_stops_the_stage(scene):
    def cancel(*_):
        raise Canceled("the caller canceled the job")

    with pytest.raises(Canceled):
        stain(scene.photo_srgb, scene.maps, StainOptions(WALNUT), progress=cancel)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 400), (400, 3), (64, 64)])
def test_photos_of_any_shape_are_stained(height, width):
    photo = np.full((height, width, 3), (120, 80, 50), np.uint8)
    scene = wooden_scene(32, 32, wood_share=1.0)
    result = stain(photo, scene.maps, StainOptions(WALNUT), mask=np.full((height, width), 255, np.uint8))
    assert result.preview.shape == photo.shape
    assert surface_maps(photo, scene.maps).normal.shape == photo.shape


def test_the_before_after_image_has_a_maximum_width():
    before, after = np.zeros((3000, 4000, 3), np.uint8), np.full((3000, 4000, 3), 90, np.uint8)
    image = before_after(before, after)
    assert image.shape[1] <= COMPARISON_WIDTH
    assert image[0, 0, 0] == 0
    assert image[0, -1, 0] == 90
