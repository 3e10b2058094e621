"""Converts third-party furniture models to GLB with Heartwood's own import."""

from __future__ import annotations

import shutil
from pathlib import Path

from export_models.dataset.furniture_package import furniture_folder
from orchestrator.stages.export.export import to_glb
from tests.benchmarks.furniture.catalogue import read_catalogue, read_picks, unpack_model


def furniture_glb(name: str, folder: Path) -> Path:
    """Write the piece ``name`` of ``picks.toml`` to ``folder/NAME.glb`` unless the file exists, and return its path."""
    target = folder / f"{name}.glb"
    if not target.exists():
        work = folder / f".{name}"
        work.mkdir(parents=True, exist_ok=True)
        piece = next(piece for piece in read_picks()["pick"] if piece["name"] == name)
        archive = furniture_folder(work) / f"{piece['archive']}.sh3f"
        obj = unpack_model(archive, read_catalogue(archive)[piece["model"]].path, work / "obj")
        packed = shutil.make_archive(str(work / "model"), "zip", obj.parent)
        shutil.copyfile(to_glb(Path(packed), work / "glb"), target)
        shutil.rmtree(work)
    return target
