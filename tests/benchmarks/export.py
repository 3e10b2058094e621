"""Exports third-party furniture: is every file valid, accurate in size, small, and visually unchanged?

python -m tests.benchmarks.export [--models 36] [--jobs 1] [--json FILE] [--pictures DIR]

Data: Debian's sweethome3d-furniture. From each of its three libraries with a free licence, furniture (selected by name)
evenly spread over the sizes of the OBJ files. Each is exported to all seven formats for the target web, from a zip of
OBJ, MTL and textures, with the height of the catalogue as its physical height.

*Plain* is Blender's own GLB of the same OBJ, as it was imported. Bounds: every file is read back (STL and PLY by
trimesh, the others by ``inspect``) and compared with the base GLB, relative to the longest side.

Views: 400 × 400, Cycles, 16 samples, denoised, by ``stages.render``; the bounding sphere fills the image. SSIM is that
of scikit-image, on colours.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from skimage.metrics import structural_similarity

from export_models.dataset.furniture_package import furniture_folder
from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import ExportOptions, MeshFormat, Target
from orchestrator.domain.quality import Quality
from orchestrator.domain.render import RenderOptions
from orchestrator.errors import HeartwoodError
from orchestrator.stages.export.export import export, to_glb
from orchestrator.stages.export.inspect import inspect
from orchestrator.stages.render.turntable import render_frames
from tests.benchmarks.furniture.catalogue import ARCHIVE_LICENSES, Model, read_catalogue, unpack_model
from tests.benchmarks.report import Figure, report

FURNITURE = re.compile(
    r"chair|sofa|couch|bed\b|table|desk|stool|cabinet|wardrobe|bookcase|shel(f|ves)|bench|cupboard|drawer|crib|vanity",
    re.IGNORECASE,
)
VIEW = RenderOptions(frames=12, width=400, height=400, keep_frames=True)
FRAME = 1
"""Number of the frame that is compared: 30° from the front."""
MIN_SIZE_RATIO = 5.0
"""Minimum median ratio between the sizes of the plain and the web GLB."""
MIN_SSIM = 0.97
"""Minimum SSIM between the views of the plain and the web GLB."""


@dataclass
class Row:
    """The measurements of one piece."""

    name: str
    triangles: tuple[int, int] = (0, 0)  # of the base GLB and of the web GLB
    plain_bytes: int = 0
    web_bytes: int = 0
    errors: int = 0  # of the Khronos validator, in all GLB and glTF files
    arkit: bool = False
    within_budget: bool = False
    bounds: float = 0.0  # largest deviation of all formats, as a share of the longest side
    worst_format: str = ""
    ssim: float = 0.0
    seconds: float = 0.0
    rejected: dict[str, str] = field(default_factory=dict)  # format, or "all" → reason

    @property
    def size_ratio(self) -> float:
        """Size of the plain GLB relative to the web GLB."""
        return self.plain_bytes / max(self.web_bytes, 1)


def select_models(furniture: Path, count: int) -> list[tuple[Path, Model]]:
    """Return ``count`` models, a third from each library, evenly spread over the sizes of the OBJ files."""
    selected = []
    for number, library in enumerate(ARCHIVE_LICENSES):
        archive = furniture / f"{library}.sh3f"
        with zipfile.ZipFile(archive) as opened:
            sizes = {entry.filename: entry.file_size for entry in opened.infolist()}
        models = [
            model for model in read_catalogue(archive).values() if FURNITURE.search(model.name) and model.path in sizes
        ]
        models.sort(key=lambda model: (sizes[model.path], model.path))
        share = (count + number) // len(ARCHIVE_LICENSES)
        places = np.linspace(0, len(models) - 1, share).round().astype(int)
        selected += [(archive, models[place]) for place in places]
    return selected


def measure(archive: Path, model: Model, work: Path, pictures: Path) -> Row:
    """Export one model and measure all files."""
    row = Row(f"{model.name} ({Path(model.path).stem})")
    obj = unpack_model(archive, model.path, work / "obj")
    source = work / "model.zip"
    with zipfile.ZipFile(source, "w") as zipped:
        for path in sorted(obj.parent.rglob("*")):
            zipped.write(path, path.relative_to(obj.parent))
    options = ExportOptions(
        formats=tuple(MeshFormat), target=Target.WEB, dimensions=Dimensions(height_m=model.height_m)
    )
    started = time.monotonic()
    try:
        exported = export(source, options, work / "out")
    except HeartwoodError as error:
        row.rejected = {"all": error.message}
        return row
    row.seconds = time.monotonic() - started
    export_report = json.loads(exported.report.read_text(encoding="utf-8"))
    row.rejected = export_report["refused"]
    validations = export_report["validator"].values()
    row.errors = sum(entry["errors"] + entry.get("unpacked", {}).get("errors", 0) for entry in validations)
    row.arkit, row.within_budget = bool(export_report["arkit"].get("passes")), export_report["budget"]["met"]
    row.triangles = (export_report["facts"]["base"]["triangles"], exported.facts.triangles)
    plain = work / "out" / "work" / "imported.glb"
    row.plain_bytes, row.web_bytes = plain.stat().st_size, exported.files[MeshFormat.GLB].stat().st_size
    base = export_report["facts"]["base"]
    corners = np.array([*base["low"], *base["high"]])
    for format, file in exported.files.items():
        deviation = np.abs(bounds(file, format, work) - corners).max() / (corners[3:] - corners[:3]).max()
        if deviation > row.bounds:
            row.bounds, row.worst_format = float(deviation), format.value
    views = [view(file, work / name) for name, file in (("plain", plain), ("web", exported.files[MeshFormat.GLB]))]
    row.ssim = float(structural_similarity(*views, channel_axis=2))
    side_by_side = Image.fromarray(np.concatenate(views, axis=1))
    ImageDraw.Draw(side_by_side).text(
        (8, 8), f"{row.name}  {row.size_ratio:.1f} x smaller  SSIM {row.ssim:.4f}", "black"
    )
    side_by_side.save(pictures / f"{Path(model.path).stem}.png")
    return row


def bounds(file: Path, format: MeshFormat, work: Path) -> np.ndarray:
    """[6] the minimum and the maximum corner of a file as read back, in metres, +Y up."""
    if format in (MeshFormat.STL, MeshFormat.PLY):
        (left, front, bottom), (right, back, top) = trimesh.load_mesh(file).bounds  # +Z up
        return np.array([left, bottom, -back, right, top, -front])
    facts = inspect(file, work / f"again-{format.value}")
    return np.array([*facts.low, *facts.high])


def view(mesh: Path, work: Path) -> np.ndarray:
    """[H, W, 3] uint8: one frame of the turntable. Blender does not read meshopt, so the GLB is decompressed first."""
    frames: list[Path] = []
    render_frames(
        to_glb(mesh, work),
        [FRAME],
        VIEW,
        Quality.FINAL,
        work,
        lambda number, path: frames.append(path),  # noqa: ARG005
    )
    return np.asarray(Image.open(frames[0]).convert("RGB"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--models", type=int, default=36)
    arguments.add_argument("--jobs", type=int, default=1, help="number of models that are exported at a time")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--pictures", type=Path, help="folder for the views, plain beside web")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.jobs) as pool:
        pictures = options.pictures or Path(scratch) / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)

        def measure_one(number: int, archive: Path, model: Model) -> Row:
            work = Path(scratch) / f"model-{number}"
            row = measure(archive, model, work, pictures)
            print(row, flush=True)
            shutil.rmtree(work)
            return row

        models = select_models(furniture_folder(Path(scratch)), options.models)
        rows = list(pool.map(measure_one, range(len(models)), *zip(*models, strict=True)))
    show(rows)
    exported = [row for row in rows if "all" not in row.rejected]
    figures = [
        Figure("models", len(rows), "", ">= 30"),
        Figure(
            "exported whole, or refused with a reason",
            sum(bool(row.seconds or row.rejected) for row in rows),
            "",
            f"== {len(rows)}",
        ),
        Figure("models refused", len(rows) - len(exported)),
        Figure("formats refused", sum(len(row.rejected) for row in exported)),
        Figure("validator errors", sum(row.errors for row in exported), "", "== 0"),
        Figure("USDZ that fail ARKit's checks", sum(not row.arkit for row in exported), "", "== 0"),
        Figure("bounds, worst of all formats", 100 * max(row.bounds for row in exported), "%", "<= 0.1"),
        Figure(
            "smaller than plain, median",
            statistics.median(row.size_ratio for row in exported),
            "times",
            f">= {MIN_SIZE_RATIO}",
        ),
        Figure("SSIM of the view, median", statistics.median(row.ssim for row in exported), "", f">= {MIN_SSIM}"),
        Figure("SSIM of the view, least", min(row.ssim for row in exported), "", f">= {MIN_SSIM}"),
        Figure("within the web's budget", sum(row.within_budget for row in exported)),
        Figure("seconds a model, all formats, median", statistics.median(row.seconds for row in exported), "s"),
    ]
    report("export", figures, options.json)


def show(rows: list[Row]) -> None:
    """Print a table with one row for each model."""
    headings = (
        "model",
        "triangles",
        "web",
        "plain kB",
        "web kB",
        "times",
        "SSIM",
        "bounds %",
        "errors",
        "ARKit",
        "s",
        "",
    )
    table = Table(*headings, title="Each model")
    for row in rows:
        table.add_row(
            row.name,
            *(f"{count:,}" for count in row.triangles),
            f"{row.plain_bytes / 1000:.0f}",
            f"{row.web_bytes / 1000:.1f}",
            f"{row.size_ratio:.1f}",
            f"{row.ssim:.4f}",
            f"{100 * row.bounds:.4f} {row.worst_format}",
            str(row.errors),
            "passes" if row.arkit else "-",
            f"{row.seconds:.1f}",
            "; ".join(f"{format}: {reason}" for format, reason in row.rejected.items()),
        )
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
