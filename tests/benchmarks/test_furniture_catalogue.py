"""The furniture of the benchmarks: licences, completeness and the contents of Debian's package."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_models.dataset.furniture_package import INSTALLED, PACKAGE
from tests.benchmarks.furniture.catalogue import ARCHIVE_LICENSES, read_catalogue, read_picks, unpack_model
from tests.benchmarks.furniture.pictures import CLASSES


def test_picks_have_only_allowed_licences() -> None:
    picks = read_picks()
    for piece in picks["pick"] + picks["demo"]:
        assert piece["license"] == ARCHIVE_LICENSES[piece["archive"]], piece["name"]
    assert {piece["license"] for piece in picks["demo"]} == {"CC0-1.0"}, "the demo photos are part of the package"


def test_picks_are_complete() -> None:
    picks = read_picks()
    names = [piece["name"] for piece in picks["pick"]]
    assert len(names) == len(set(names)) >= 14
    for piece in picks["pick"] + picks["demo"]:
        classes = {surface.split()[0] for surface in piece["materials"].values()}
        assert "wood" in classes, piece["name"]
        assert classes <= set(CLASSES), piece["name"]
        assert piece["room"] in picks["rooms"], piece["name"]


@pytest.mark.skipif(not INSTALLED.is_dir(), reason=f"Debian's {PACKAGE} is not installed")
def test_every_pick_is_in_the_debian_package_with_its_author_and_materials(tmp_path: Path) -> None:
    picks = read_picks()
    for piece in picks["pick"] + picks["demo"]:
        archive = INSTALLED / f"{piece['archive']}.sh3f"
        model = read_catalogue(archive)[piece["model"]]
        assert (model.name, model.author) == (piece["title"], piece["author"])
        assert 0.2 < model.height_m < 2.5
        lines = unpack_model(archive, piece["model"], tmp_path).read_text(encoding="utf-8", errors="replace")
        used = {line.split(maxsplit=1)[1].strip() for line in lines.splitlines() if line.startswith("usemtl ")}
        assert used <= set(piece["materials"]), piece["name"]
