"""Writes what the 3D stages made into a folder, and says what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rich.table import Table

from orchestrator.cli import results
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, export_pb2, job_pb2, reconstruct_pb2, render_pb2
from orchestrator.stages.export.inspect import ModelFacts


def save_pipeline(client: Heartwood, job: job_pb2.Job, out: Path) -> Iterator[Table]:
    """Download everything that a pipeline made, a folder a stage; yield a table of each."""
    made = job.pipeline
    results.save_segments(client, made.segment, out / "segment")
    yield results.segment_table(made.segment)
    if made.HasField("stain"):
        results.save_stains(client, made.stain, out / "stain")
        yield results.stain_table(made.stain)
    yield save_model(client, made.reconstruct, out / "model")
    if made.HasField("render"):
        yield save_turntable(client, made.render, out / "turntable")
    if made.HasField("export"):
        yield save_export(client, made.export, out / "export")


def save_model(client: Heartwood, made: reconstruct_pb2.ReconstructResult, out: Path) -> Table:
    """Download a reconstruct job's files; return what the capture was like."""
    for asset in (made.glb, made.usdz, made.fbx, made.preview, *made.extras):
        _save(client, asset, out)
    table = _facts("model", made.model_id)
    size, report = made.dimensions, made.report
    table.add_row("triangles", f"{made.triangles:,}")
    table.add_row("width, height, depth", f"{size.width_m:.3f} × {size.height_m:.3f} × {size.depth_m:.3f}")
    table.add_row("photos used", f"{len(report.used_photo_asset_ids)} of {report.photos}")
    if report.points:
        table.add_row("reprojection error", f"{report.mean_reprojection_error_px:.2f} px, {report.points:,} points")
        table.add_row("coverage", f"{report.coverage_deg:.0f}° of the turn")
    for advice in report.advice:
        table.add_row("advice", advice)
    return table


def save_turntable(client: Heartwood, made: render_pb2.RenderResult, out: Path) -> Table:
    """Download a render job's files; return what they are."""
    table = _facts("turntable", f"{made.width} × {made.height}")
    for asset in (made.mp4, made.webm, made.gif, made.contact_sheet, *made.thumbnails):
        _save(client, asset, out, table)
    for asset in made.frames:
        _save(client, asset, out / "frames")
    return table


def save_export(client: Heartwood, made: export_pb2.ExportResult, out: Path) -> Table:
    """Download an export job's files; return what they are."""
    target = export_pb2.ExportTarget.Name(made.target).removeprefix("EXPORT_TARGET_").lower()
    met = {export_pb2.ExportTarget.Name(one).removeprefix("EXPORT_TARGET_").lower() for one in made.facts.meets}
    table = _facts("export", target)
    for asset in (*(file.file for file in made.files), *made.levels, made.report):
        _save(client, asset, out, table)
    if made.facts.triangles:
        table.add_row("triangles", f"{made.facts.triangles:,} in {made.facts.draw_calls} draw calls")
        table.add_row("meets the budgets of", ", ".join(sorted(met)) or "none")
    return table


def facts_table(facts: ModelFacts, name: str) -> Table:
    """What ``heartwood inspect`` prints."""
    table = _facts(name, _size(facts.size_bytes))
    size = facts.dimensions
    table.add_row(
        "dimensions", f"{size.width_m:.3f} × {size.height_m:.3f} × {size.depth_m:.3f} m (width, height, depth)"
    )
    table.add_row("triangles", f"{facts.triangles:,}")
    table.add_row("vertices", f"{facts.vertices:,}")
    table.add_row("draw calls", str(facts.draw_calls))
    table.add_row("materials", ", ".join(one.name for one in facts.materials) or "none")
    for texture in facts.textures:
        table.add_row(
            "texture",
            f"{texture.name} {texture.width} × {texture.height}, {texture.format}, {_size(texture.size_bytes)}",
        )
    table.add_row("extensions", ", ".join(facts.extensions) or "none")
    table.add_row("meets the budgets of", ", ".join(target.value for target in facts.meets) or "none")
    return table


def _facts(title: str, what: str) -> Table:
    table = Table(title, what, box=None, header_style="bold")
    table.columns[0].no_wrap = True
    return table


def _save(client: Heartwood, asset: asset_pb2.Asset, folder: Path, table: Table | None = None) -> None:
    if not asset.id:
        return
    path = client.download(asset, folder / PurePosixPath(asset.name).name)
    if table is not None:
        table.add_row(path.name, _size(asset.size_bytes))


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
