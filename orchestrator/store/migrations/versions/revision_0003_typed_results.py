"""Convert the results of finished jobs to the documents of the typed results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Document: TypeAlias = dict[str, Any]
JOBS = sa.table("jobs", sa.column("id"), sa.column("result", sa.JSON))
MESH_FILES = ("model.glb", "model.usdz", "model.fbx", "model-preview.png")


def upgrade() -> None:
    """Convert each result."""
    connection = op.get_bind()
    finished = connection.execute(sa.select(JOBS.c.id).where(JOBS.c.result.is_not(None))).scalars().all()
    for id in finished:
        results = connection.scalar(sa.select(JOBS.c.result).where(JOBS.c.id == id))
        if results:
            converted = {stage: CONVERTERS[stage](result) for stage, result in results.items()}
            connection.execute(sa.update(JOBS).where(JOBS.c.id == id).values(result=converted))


def _segment(result: Document) -> Document:
    return {"photos": [_segmented_photo(photo) for photo in result["photos"]]}


def _segmented_photo(photo: Document) -> Document:
    files = photo["files"]
    return {
        "photo_asset_id": photo["photo"],
        "width": photo["width"],
        "height": photo["height"],
        "components": [
            {
                **component,
                "box": dict(zip(("left", "top", "right", "bottom"), component["box"], strict=True)),
                "mask": files[f"mask-{component['instance']}"],
            }
            for component in photo["components"]
        ],
        "foreground": files["foreground"],
        "wood": files.get("wood", ""),
        "overlay": files["overlay"],
        "document": files["components"],
        "analysis": photo["analysis"],
        "model_versions": photo["models"],
        "cost": photo["cost"],
    }


def _stain(result: Document) -> Document:
    return {"photos": [_stained_photo(photo) for photo in result["photos"]]}


def _stained_photo(photo: Document) -> Document:
    files = dict(photo["files"])
    height_map = files.pop("height")
    return {
        **files,
        "photo_asset_id": photo["photo"],
        "width": photo["width"],
        "height": photo["height"],
        "height_map": height_map,
        "wood_share": photo["wood_share"],
        "reached_color": photo["reached"],
        "delta_e": photo["delta_e"],
        "model_versions": photo["models"],
    }


def _reconstruct(result: Document) -> Document:
    files = result["files"]
    width_m, height_m, depth_m = result["dimensions"]
    return {
        "mode": result["mode"],
        "report": {
            "photos": len(result["photos"]),
            "used_photo_asset_ids": [result["photos"][index] for index in result["used"]],
            "points": result["points"],
            "mean_reprojection_error_px": result["error_px"],
            "coverage_deg": result["coverage_deg"],
            "advice": result["advice"],
        },
        "vertices": result["vertices"],
        "triangles": result["triangles"],
        "dimensions": {"width_m": width_m, "height_m": height_m, "depth_m": depth_m},
        "glb": files["model.glb"],
        "usdz": files.get("model.usdz", ""),
        "fbx": files.get("model.fbx", ""),
        "preview": files["model-preview.png"],
        "extras": [id for name, id in files.items() if name not in MESH_FILES],
        "model_versions": result["models"],
    }


def _render(result: Document) -> Document:
    files = {name: result["files"].get(name, "") for name in ("mp4", "webm", "gif", "contact_sheet")}
    return {**files, **{name: result[name] for name in ("thumbnails", "frames", "width", "height")}}


def _export(result: Document) -> Document:
    facts = result["facts"]
    counts = {name: facts[name] for name in ("size_bytes", "triangles", "vertices", "draw_calls", "dimensions")}
    lengths = {"materials": len(facts["materials"]), "textures": len(facts["textures"])}
    return {
        **{name: result[name] for name in ("files", "levels", "report")},
        "facts": {**counts, **lengths, "meets": facts["meets"]},
    }


CONVERTERS: dict[str, Callable[[Document], Document]] = {
    "segment": _segment,
    "stain": _stain,
    "reconstruct": _reconstruct,
    "render": _render,
    "export": _export,
}
