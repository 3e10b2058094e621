"""Rendering of the data set: cleanup of third-party meshes, assignment of CPU cores, and the simulated camera."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export_models.dataset.colors import draw_shade, linear, looks_like_wood
from export_models.dataset.generate import KIND_WEIGHTS, assign_cores, unpack_environments
from export_models.dataset.makers import KINDS
from export_models.dataset.meshes import SceneMesh, Slot
from export_models.dataset.photograph import photograph
from export_models.dataset.scenes import ONE_FINISH_SHARE, draw_slot_surfaces
from export_models.dataset.surfaces import draw_surface
from export_models.dataset.woods import COLORINGS
from export_models.export import CHECKOUT
from orchestrator.imaging.color import decode_srgb, encode_srgb

COVERED_FACES_SCRIPT = """
import json, numpy as np
from export_models.dataset.blender.scene import find_covered_faces
square = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
points = np.array(square + [(x, y, height) for height in {heights} for x, y, _ in square], float)
faces = [(first, first + 1, first + 2) for first in range(0, len(points), 4)]
faces += [(first, first + 2, first + 3) for first in range(0, len(points), 4)]
print(json.dumps(find_covered_faces(points, np.array(faces)).tolist()))
"""


def covered_faces(heights: list[float]) -> list[bool]:
    """Return which triangles are covered in a stack of squares. Runs Blender in a child process.

    Args:
        heights: heights of the squares above the first one, which is at 0.

    Returns:
        One value for the first triangle of each square, then one for the second triangle of each.
    """
    script = COVERED_FACES_SCRIPT.format(heights=heights)
    process = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr[-1500:]
    covered: list[bool] = json.loads(process.stdout.strip().splitlines()[-1])
    return covered


def test_one_of_two_coincident_faces_is_kept() -> None:
    lower_first, upper_first, lower_second, upper_second = covered_faces([0.0])
    assert [lower_first + upper_first, lower_second + upper_second] == [1, 1]


def test_parallel_faces_at_a_distance_are_kept() -> None:
    assert covered_faces([0.02, 0.5]) == [False] * 6


def test_every_kind_of_furniture_is_shown() -> None:
    assert set(KIND_WEIGHTS) == set(KINDS)


def test_jobs_share_no_core_if_there_is_one_for_each() -> None:
    assert assign_cores([0, 1, 2, 5], 2) == [[0, 1], [2, 5]]
    assert assign_cores([0, 1, 5], 3) == [[0], [1], [5]]
    assert assign_cores([4, 7], 3) == [[4], [7], [4]]


@pytest.mark.parametrize("material", ["painted", "plastic"])
def test_no_coat_looks_like_plain_wood(material: str) -> None:
    rng = np.random.default_rng(2)
    assert not any(looks_like_wood(draw_surface(material, rng, 1.0)["color"]) for _ in range(300))


def test_a_shade_is_close_to_a_color_of_its_palette() -> None:
    palette = {"#C2272D": 1.0, "#4B6B6A": 1.0, "#F5CE3E": 1.0}
    colors = np.array([linear(color) for color in palette])
    rng = np.random.default_rng(4)
    for _ in range(200):
        distances = np.abs(encode_srgb(draw_shade(palette, rng, spread=0.01)) - encode_srgb(colors)).max(axis=1)
        assert distances.min() < 0.1


def test_a_material_has_one_finish_on_most_pieces_and_never_more_than_two() -> None:
    slots = tuple(Slot("leg", f"board {number}") for number in range(8))
    mesh = SceneMesh(np.eye(3, dtype=np.float32), *np.zeros((5, 1)), slots)
    choices = {slot.role: ("wood",) for slot in slots}
    random = np.random.default_rng(1)
    counts = []
    for _ in range(200):
        surfaces = draw_slot_surfaces(mesh, choices, random).surfaces
        counts.append(len({json.dumps(surface) for surface in surfaces}))
    assert set(counts) == {1, 2}
    # Of 200 draws, the share deviates by less than three standard deviations, 0.09.
    assert counts.count(1) / 200 == pytest.approx(ONE_FINISH_SHARE, abs=0.1)


def test_near_black_wood_has_a_lightness_below_25() -> None:
    early, late = (np.array(decode_srgb([0.55, 0.4, 0.3])) for _ in range(2))
    for seed in range(100):
        colors = COLORINGS["near black"](early, late, np.random.default_rng(seed))[:2]
        assert max(float(color @ [0.2126, 0.7152, 0.0722]) for color in colors) < 0.0442  # luminance of L* 25


def test_environments_of_the_npm_package_are_decoded(tmp_path: Path) -> None:
    source = tmp_path / "hdri"
    source.mkdir()
    (source / "hall.exr.js").write_text("export default 'data:application/exr;base64,di8xAQ=='")
    (source / "own.exr").write_bytes(b"v/1")
    folder = unpack_environments(source, tmp_path / "out")
    assert {file.name: file.read_bytes()[:4] for file in folder.iterdir()} == {
        "hall.exr": b"v/1\x01",
        "own.exr": b"v/1",
    }


@pytest.mark.parametrize("light", [(2.0, 1.0, 0.4), (0.7, 1.0, 1.4)])
def test_the_camera_removes_most_of_the_colour_of_the_light(light: tuple[float, float, float]) -> None:
    albedo = np.full((64, 64, 3), 0.5, np.float32)
    albedo[32:] = (0.6, 0.2, 0.1)
    casts = []
    for seed in range(40):
        exposed, photo = photograph(albedo * np.float32(light), albedo, np.random.default_rng(seed))
        assert (photo.dtype, photo.shape) == (np.uint8, albedo.shape)
        remaining = exposed / albedo
        assert np.allclose(remaining, remaining[0, 0], rtol=1e-4)  # the same for all pixels
        casts.append(np.log(remaining[0, 0, 0] / remaining[0, 0, 2]))
    assert abs(np.mean(casts)) < 0.4 * abs(np.log(light[0] / light[2]))  # at least 60 % is removed
    assert np.std(casts) > 0.05  # the white balance has errors
