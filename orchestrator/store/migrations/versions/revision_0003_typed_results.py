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
BOX_FIELDS = ("left", "top", "right", "bottom")
DIMENSION_FIELDS = ("width_m", "height_m", "depth_m")


def upgrade() -> None:
    """Convert each result."""
    connection = op.get_bind()
    finished = connection.execute(sa.select(JOBS.c.id).where(JOBS.c.result.is_not(None))).scalars().all()
    for id in finished:
        results = connection.scalar(sa.select(JOBS.c.result).where(JOBS.c.id == id))
        if results:
            converted = {stage: CONVERTERS[stage](result) for stage, result in results.items()}
            connection.execute(sa.update(JOBS).where(JOBS.c.id == id).values(result=converted))


def _segmented_photo(photo: Document) -> Document:
    files = photo["files"]
    boxes = [dict(zip(BOX_FIELDS, component["box"], strict=True)) for component in photo["components"]]
    components = [
        {**component, "box": box, "mask": files[f"mask-{component['instance']}"]}
        for component, box in zip(photo["components"], boxes, strict=True)
    ]
    named_files = {"foreground": files["foreground"], "wood": files.get("wood", ""), "overlay": files["overlay"]}
    facts = {"components": components, **_select(photo, "analysis", "cost")}
    return {**_photo(photo), **facts, **named_files, "document": files["components"]}


def _stained_photo(photo: Document) -> Document:
    files = {"height_map" if name == "height" else name: id for name, id in photo["files"].items()}
    return {**_photo(photo), **_select(photo, "wood_share", "delta_e"), "reached_color": photo["reached"], **files}


def _photo(photo: Document) -> Document:
    return {"photo_asset_id": photo["photo"], "model_versions": photo["models"], **_select(photo, "width", "height")}


def _reconstruct(result: Document) -> Document:
    files, photos = result["files"], result["photos"]
    report = {
        "photos": len(photos),
        "used_photo_asset_ids": [photos[index] for index in result["used"]],
        "mean_reprojection_error_px": result["error_px"],
        **_select(result, "points", "coverage_deg", "advice"),
    }
    return {
        "report": report,
        "dimensions": dict(zip(DIMENSION_FIELDS, result["dimensions"], strict=True)),
        "glb": files["model.glb"],
        "usdz": files.get("model.usdz", ""),
        "fbx": files.get("model.fbx", ""),
        "preview": files["model-preview.png"],
        "extras": [id for name, id in files.items() if name not in MESH_FILES],
        "model_versions": result["models"],
        **_select(result, "mode", "vertices", "triangles"),
    }


def _render(result: Document) -> Document:
    files = {name: result["files"].get(name, "") for name in ("mp4", "webm", "gif", "contact_sheet")}
    return {**files, **_select(result, "thumbnails", "frames", "width", "height")}


def _export(result: Document) -> Document:
    facts = result["facts"]
    counts = _select(facts, "size_bytes", "triangles", "vertices", "draw_calls", "dimensions", "meets")
    lengths = {name: len(facts[name]) for name in ("materials", "textures")}
    return {**_select(result, "files", "levels", "report"), "facts": {**counts, **lengths}}


def _select(document: Document, *names: str) -> Document:
    return {name: document[name] for name in names}


CONVERTERS: dict[str, Callable[[Document], Document]] = {
    "segment": lambda result: {"photos": [_segmented_photo(photo) for photo in result["photos"]]},
    "stain": lambda result: {"photos": [_stained_photo(photo) for photo in result["photos"]]},
    "reconstruct": _reconstruct,
    "render": _render,
    "export": _export,
}
