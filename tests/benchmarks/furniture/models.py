"""Furniture models by others as GLB, as Heartwood's own import reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

from export_models.dataset.furniture_package import furniture_folder
from orchestrator.stages.export.export import to_glb
from tests.benchmarks.furniture.catalogue import read_catalogue, read_picks, unpack_model


def furniture_glb(name: str, folder: Path) -> Path:
    """Write the piece ``name`` of ``picks.toml`` as ``folder/NAME.glb``, unless it is there; return its path."""
    target = folder / f"{name}.glb"
    if not target.exists():
        work = folder / f".{name}"
        work.mkdir(parents=True, exist_ok=True)
        piece = next(one for one in read_picks()["pick"] if one["name"] == name)
        archive = furniture_folder(work) / f"{piece['archive']}.sh3f"
        obj = unpack_model(archive, read_catalogue(archive)[piece["model"]].path, work / "obj")
        packed = shutil.make_archive(str(work / "model"), "zip", obj.parent)
        shutil.copyfile(to_glb(Path(packed), work / "glb"), target)
        shutil.rmtree(work)
    return target
