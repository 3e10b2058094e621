"""What the caller states about materials, combined with the likelihoods of the models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.domain.images import FloatMap
from orchestrator.domain.made_of import PartMaterial
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.stages.analysis import pack, unpack
from orchestrator.stages.known_materials import known_materials, known_piece, part_likelihood
from tests.support.wooden_scene import wooden_scene

COMPONENTS = ("background", "body", "leg", "cushion", "hardware")
MATERIALS = ("other", "wood", "fabric", "metal", "glass", "painted")
WOOD = (PartMaterial("wood"),)
SIDE = 4


def maps_of(component: dict[str, float], material: dict[str, float]) -> MaterialMaps:
    """Return maps in which every pixel has the same likelihoods."""

    def stack(names: tuple[str, ...], likelihoods: dict[str, float]) -> FloatMap:
        values = np.array([likelihoods.get(name, 0.0) for name in names], np.float32)
        return np.tile(values[:, None, None], (1, SIDE, SIDE))

    return replace(
        wooden_scene(2 * SIDE, 2 * SIDE).maps,
        component=stack(COMPONENTS, component),
        material=stack(MATERIALS, material),
        component_names=COMPONENTS,
        material_names=MATERIALS,
    )


def winner(maps: MaterialMaps) -> str:
    return maps.material_names[int(maps.material[:, 0, 0].argmax())]


def test_nothing_changes_if_the_caller_states_nothing() -> None:
    maps = maps_of({"body": 1.0}, {"wood": 0.4, "metal": 0.6})
    assert np.array_equal(known_materials(maps, ()).material, maps.material)


@pytest.mark.parametrize(
    ("material", "found"),
    [
        ({"wood": 0.1, "fabric": 0.9}, "wood"),
        ({"wood": 0.1, "metal": 0.5, "other": 0.4}, "wood"),
        ({"wood": 0.02, "fabric": 0.98}, "fabric"),
        ({"wood": 0.02, "glass": 0.98}, "glass"),
        ({"wood": 0.02, "painted": 0.98}, "wood"),  # black or whitewashed wood looks like paint
        ({"wood": 0.0, "painted": 1.0}, "painted"),
    ],
)
def test_a_wooden_piece_is_wood_unless_it_is_clearly_something_else(material: dict[str, float], found: str) -> None:
    assert winner(known_materials(maps_of({"body": 1.0}, material), WOOD)) == found


def test_a_statement_replaces_what_the_models_conclude_from_the_whole_piece() -> None:
    maps = maps_of({"body": 1.0}, {"wood": 0.001, "fabric": 0.999})
    uncertain = maps_of({"body": 1.0}, {"wood": 0.2, "fabric": 0.8}).material
    assert winner(known_materials(maps, WOOD)) == "fabric"
    surfaces = replace(maps, surface_material=uncertain)
    assert winner(surfaces) == "fabric"
    assert winner(known_materials(surfaces, WOOD)) == "wood"
    assert winner(known_materials(unpack(pack(surfaces)), WOOD)) == "wood"


def test_a_statement_about_the_piece_does_not_cover_cushions_handles_and_surroundings() -> None:
    material = {"wood": 0.2, "fabric": 0.5, "metal": 0.3}
    for part in ("cushion", "hardware", "background"):
        assert winner(known_materials(maps_of({part: 1.0}, material), WOOD)) == "fabric"
    cushion = maps_of({"cushion": 1.0}, {"wood": 0.5, "fabric": 0.4, "metal": 0.1})
    assert winner(known_materials(cushion, (PartMaterial("fabric"),))) == "fabric"
    handle = maps_of({"hardware": 1.0}, {"wood": 0.5, "metal": 0.1, "other": 0.4})
    assert winner(known_materials(handle, (PartMaterial("metal"),))) == "metal"


def test_a_named_part_has_the_stated_material_with_the_likelihood_of_the_part() -> None:
    maps = maps_of({"leg": 0.7, "body": 0.3}, {"wood": 0.9, "metal": 0.1})
    known = known_materials(maps, (PartMaterial("metal", "leg"),))
    assert known.wood[0, 0] == pytest.approx(0.3 * 0.9)
    assert known.material[:, 0, 0].sum() == pytest.approx(1.0)


def test_a_named_part_takes_precedence_over_the_piece() -> None:
    maps = maps_of({"leg": 1.0}, {"wood": 0.5, "metal": 0.5})
    for made_of in ((*WOOD, PartMaterial("metal", "leg")), (PartMaterial("metal", "leg"), *WOOD)):
        assert winner(known_materials(maps, made_of)) == "metal"


def test_masks_of_parts_replace_the_parts_of_the_models() -> None:
    maps = maps_of({"leg": 1.0}, {"wood": 1.0})
    left = np.zeros((SIDE, SIDE), np.float32)
    left[:, :2] = 1.0
    known = known_materials(maps, (PartMaterial("metal", "leg"), PartMaterial("glass", "tray")), {"leg": left})
    assert np.array_equal(known.wood, 1.0 - left)
    overlap = known_materials(maps, (PartMaterial("metal", "a"), PartMaterial("glass", "b")), {"a": left, "b": left})
    assert overlap.material[:, 0, 0] == pytest.approx([0, 0, 0, 0.5, 0.5, 0])


def test_a_material_that_the_models_do_not_distinguish_is_other() -> None:
    known = known_materials(maps_of({"leg": 1.0}, {"wood": 1.0}), (PartMaterial("stone", "leg"),))
    assert winner(known) == "other"


def test_a_known_piece_replaces_the_outline_and_keeps_the_parts_inside() -> None:
    maps = maps_of({"background": 0.9, "leg": 0.1}, {"wood": 1.0})
    mask = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    mask[:, :SIDE] = 255
    known = known_piece(maps, mask)
    assert np.array_equal(known.foreground > 0.5, np.arange(SIDE) < np.full((SIDE, 1), 2))
    assert known.component[COMPONENTS.index("leg"), 0, 0] > 0.9
    assert known.component.sum(axis=0) == pytest.approx(1.0)


def test_the_likelihood_of_parts_is_their_share_of_the_piece() -> None:
    maps = maps_of({"background": 0.5, "leg": 0.3, "body": 0.2}, {"wood": 1.0})
    assert part_likelihood(maps, ("leg",))[0, 0] == pytest.approx(0.6)
    assert part_likelihood(maps, ("leg", "body"))[0, 0] == pytest.approx(1.0)
    assert part_likelihood(maps, ("door",))[0, 0] == 0.0
