"""``heartwood inspect``."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from orchestrator.cli.arguments import MeshFile, read_settings
from orchestrator.cli.terminal import configure_logs, console, facts_table, file_size
from orchestrator.client.uploads import read_file
from orchestrator.domain.untrusted_folder import scratch_folder
from orchestrator.stages.export.inspect import MeshFacts
from orchestrator.stages.export.inspect import inspect as inspect_mesh
from orchestrator.stages.intake import check_mesh


def inspect(model: MeshFile) -> None:
    """Show what the file of a 3D model contains.

    Prints size, triangles, draw calls, materials, textures, dimensions and the size budgets of `heartwood export` that
    the file meets. Runs without the service.
    """
    settings = read_settings()
    configure_logs(settings.log_level)
    data = read_file(model)
    info = check_mesh(data, model.name, str(model), blender=settings.blender)
    with scratch_folder("heartwood-") as scratch:
        source = scratch / f"source.{'zip' if info.is_archive else info.format.value}"
        source.write_bytes(data)
        facts = inspect_mesh(source, scratch / "work", blender=settings.blender)
    console.print(table(facts, model.name))


def table(facts: MeshFacts, name: str) -> Table:
    """Return the facts about the file ``name``."""
    rows = facts_table(name, file_size(facts.size_bytes))
    size = facts.dimensions
    size_m = f"{size.width_m:.3f} × {size.height_m:.3f} × {size.depth_m:.3f} m (width, height, depth)"
    rows.add_row("dimensions", size_m)
    rows.add_row("triangles", f"{facts.triangles:,}")
    rows.add_row("vertices", f"{facts.vertices:,}")
    rows.add_row("draw calls", str(facts.draw_calls))
    rows.add_row("materials", Text(", ".join(material.name for material in facts.materials) or "none"))
    for texture in facts.textures:
        size_px = f"{texture.width} × {texture.height}"
        rows.add_row("texture", Text(f"{texture.name} {size_px}, {texture.format}, {file_size(texture.size_bytes)}"))
    rows.add_row("extensions", Text(", ".join(facts.extensions) or "none"))
    rows.add_row("meets the budgets of", ", ".join(target.value for target in facts.meets) or "none")
    return rows
