"""The cutout stage on a scene whose opacity, colours and shadow are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.errors import Canceled, InvalidInput, NoPieceFound
from orchestrator.imaging.color import encode_srgb, linear_from_srgb, srgb_from_linear
from orchestrator.stages.cutout import Cutout, cutout
from tests.support.wooden_scene import wooden_scene

HEIGHT, WIDTH = 480, 640
SUPERSAMPLING = 4
GREEN = (30, 190, 70)
SHADOW_LIGHT = 0.4  # share of the light that reaches the middle of the shadow


@dataclass(frozen=True)
class Scene:
    """A brown table in front of a plain background."""

    photo_srgb: Image  # [H, W, 3]
    alpha: FloatMap  # [H, W] true opacity of the table
    colors: FloatMap  # [H, W, 3] true sRGB of the table, 0 to 255, also where it is transparent
    light: FloatMap  # [H, W] share of the light that reaches the background
    maps: MaterialMaps


def table_scene(*, shadow: bool = True, background: Image | None = None) -> Scene:
    """A table with a thick top, four legs and two bars of 3 pixels."""
    drawing = np.zeros((HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING), np.float32)

    def draw(left: int, top: int, right: int, bottom: int) -> None:
        corners = [(x * SUPERSAMPLING + 1, y * SUPERSAMPLING + 1) for x, y in ((left, top), (right, bottom))]
        cv2.rectangle(drawing, *corners, (1.0,), -1)

    draw(130, 120, 510, 170)
    for left in (140, 230, 390, 480):
        draw(left, 170, left + 20, 400)
    for top in (250, 310):
        draw(150, top, 490, top + 3)
    alpha = cv2.resize(drawing, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.7), np.float32)  # the camera's lens

    grain = np.sin(np.arange(HEIGHT) / 3.0)[:, None] * 8 + np.linspace(-10, 10, WIDTH)[None]
    colors = (np.array((150, 100, 60)) + grain[..., None]).astype(np.float32)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = ((columns - 320) / 210) ** 2 + ((rows - 405) / 22) ** 2
    light = (1 - (1 - SHADOW_LIGHT) * np.exp(-distance)).astype(np.float32) if shadow else np.ones_like(alpha)
    plain = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    plain[:] = GREEN
    ground = srgb_from_linear(linear_from_srgb(plain if background is None else background) * light[..., None])
    photo = colors * alpha[..., None] + ground * (1 - alpha[..., None])
    return Scene(np.rint(photo).astype(np.uint8), alpha, colors, light, maps_of(alpha))


def maps_of(alpha: FloatMap) -> MaterialMaps:
    """Maps whose foreground is the true opacity, blurred like the output of a network."""
    likelihood = cv2.GaussianBlur(alpha, (0, 0), 2.0)
    return replace(wooden_scene(HEIGHT, WIDTH).maps, component=np.stack([1 - likelihood, likelihood]))


FULL_FRAME = CutoutOptions(trim=False)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return table_scene()


@pytest.fixture(scope="module")
def full_frame(scene: Scene) -> Cutout:
    return cutout(scene.photo_srgb, scene.maps, FULL_FRAME)


def test_edge_colors_are_free_of_the_background(scene: Scene, full_frame: Cutout) -> None:
    edge = (scene.alpha > 0.05) & (scene.alpha < 0.95)
    error = np.abs(full_frame.image[..., :3][edge] - scene.colors[edge]).mean()
    naive = np.abs(scene.photo_srgb[edge] - scene.colors[edge]).mean()
    # A third: the photo's own edge pixels are a visible green rim on a dark page; a third of that is not.
    assert error <= naive / 3


def test_alpha_is_1_inside_and_0_outside(scene: Scene, full_frame: Cutout) -> None:
    alpha = full_frame.image[..., 3]
    outside = cv2.dilate(scene.alpha, np.ones((9, 9))) == 0
    inside = cv2.erode(scene.alpha, np.ones((9, 9))) == 1
    assert alpha[outside].max() == 0
    assert alpha[inside].min() == 255


def test_thin_bars_keep_their_opacity(scene: Scene, full_frame: Cutout) -> None:
    bars = np.s_[245:318, 260:380]
    error = np.abs(full_frame.image[bars][..., 3] / 255.0 - scene.alpha[bars])
    assert error.mean() < 0.02


def test_a_full_frame_has_the_size_of_the_photo(full_frame: Cutout) -> None:
    assert full_frame.image.shape == (HEIGHT, WIDTH, 4)
    assert full_frame.shadow is not None
    assert full_frame.shadow.shape == (HEIGHT, WIDTH, 4)
    box = full_frame.box
    assert (box.left, box.top, box.right, box.bottom) == (0, 0, WIDTH, HEIGHT)


def test_the_piece_share_is_the_covered_share_of_the_photo(scene: Scene, full_frame: Cutout) -> None:
    assert full_frame.piece_share == pytest.approx(float(scene.alpha.mean()), rel=0.03)


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_a_trimmed_frame_is_tight_up_to_the_margin(scene: Scene, margin: float) -> None:
    result = cutout(scene.photo_srgb, scene.maps, CutoutOptions(margin=margin, shadow=False))
    space = round(margin * 380)
    box = result.box
    expected = (130 - space, 120 - space, 511 + space, 401 + space)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx(expected, abs=3)
    assert result.image.shape[:2] == (box.bottom - box.top, box.right - box.left)


def test_a_margin_extends_past_the_photo_as_transparent_pixels(scene: Scene) -> None:
    result = cutout(scene.photo_srgb, scene.maps, CutoutOptions(margin=0.5, shadow=False))
    assert result.box.left < 0
    assert result.box.bottom > HEIGHT
    assert result.image[:, : -int(result.box.left), 3].max() == 0


def test_a_trimmed_frame_includes_the_shadow(scene: Scene, full_frame: Cutout) -> None:
    trimmed = cutout(scene.photo_srgb, scene.maps, CutoutOptions())
    assert trimmed.shadow is not None
    assert full_frame.shadow is not None
    assert trimmed.image.shape[:2] == trimmed.shadow.shape[:2]
    assert trimmed.shadow[..., 3].max() == full_frame.shadow[..., 3].max()
    assert trimmed.shadow[[0, -1]][..., 3].max() <= 13


def test_a_background_colour_is_composited_exactly(scene: Scene, full_frame: Cutout) -> None:
    result = cutout(scene.photo_srgb, scene.maps, replace(FULL_FRAME, background=SrgbColor(40, 30, 200)))
    assert full_frame.shadow is not None
    under = np.array((40.0, 30.0, 200.0)) * (1 - full_frame.shadow[..., 3:] / 255)
    alpha = full_frame.image[..., 3:] / 255
    expected = full_frame.image[..., :3] * alpha + under * (1 - alpha)
    assert result.image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(result.image - expected).max() <= 0.51  # rounding


def test_the_shadow_layer_reproduces_the_shadow_on_white(scene: Scene, full_frame: Cutout) -> None:
    assert full_frame.shadow is not None
    assert not full_frame.shadow[..., :3].any()
    measured = 1 - full_frame.shadow[..., 3] / 255
    expected = encode_srgb(scene.light)
    visible = (scene.alpha == 0) & (np.arange(HEIGHT)[:, None] > 380)
    assert np.abs(measured - expected)[visible].mean() < 0.03
    assert full_frame.shadow[:200, :, 3].max() == 0  # far above the ground


def test_the_shadow_leaves_the_piece_unchanged(scene: Scene) -> None:
    white = SrgbColor(255, 255, 255)
    with_shadow = cutout(scene.photo_srgb, scene.maps, replace(FULL_FRAME, background=white))
    without = cutout(scene.photo_srgb, scene.maps, replace(FULL_FRAME, background=white, shadow=False))
    inside = cv2.erode(scene.alpha, np.ones((9, 9))) == 1
    assert np.array_equal(with_shadow.image[inside], without.image[inside])
    assert (with_shadow.image <= without.image).all()


def test_a_photo_without_a_shadow_has_no_shadow_layer() -> None:
    scene = table_scene(shadow=False)
    assert cutout(scene.photo_srgb, scene.maps, FULL_FRAME).shadow is None


def test_a_busy_background_gives_no_shadow_layer() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), np.uint8)
    scene = table_scene(background=np.asarray(cv2.resize(noise, (WIDTH, HEIGHT)), np.uint8))
    assert cutout(scene.photo_srgb, scene.maps, FULL_FRAME).shadow is None


def test_a_photo_without_a_piece_is_rejected() -> None:
    photo = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    empty = np.zeros((HEIGHT, WIDTH), np.float32)
    with pytest.raises(NoPieceFound, match=r"0\.00%"):
        cutout(photo, maps_of(empty), CutoutOptions())


@pytest.mark.parametrize("margin", [-0.1, 0.6, float("nan")])
def test_a_margin_out_of_range_is_rejected(margin: float) -> None:
    with pytest.raises(InvalidInput) as rejected:
        CutoutOptions(margin=margin)
    assert rejected.value.field == "cutout.margin"


def test_a_canceled_job_stops_the_stage(scene: Scene) -> None:
    def cancel(_: float, __: str) -> None:
        raise Canceled("stop")

    with pytest.raises(Canceled):
        cutout(scene.photo_srgb, scene.maps, CutoutOptions(), cancel)
