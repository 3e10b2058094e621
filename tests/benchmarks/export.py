"""Export furniture made by others: is every file valid, true in size, small, and does it look the same?

python -m tests.benchmarks.export [--models 36] [--jobs 1] [--json FILE] [--pictures DIR]

Models: Debian's sweethome3d-furniture; of each of its three libraries with a free licence, pieces of furniture (by the
words of their names) evenly spread over the sizes of their OBJ files. Each is given as a zip of OBJ, MTL and pictures
with the catalogue's height as its true height, and exported for the web to all seven formats.

*Plain* is Blender's own GLB of the same OBJ, as it was imported. Bounds: every file is read again (STL and PLY by
trimesh, the others as ``inspect`` reads them) and compared with the base, relative to the longest side.

Views: 400 × 400, Cycles, 16 samples, denoised, through ``stages.render``; the bounding sphere fills the picture.
SSIM as in skimage, on colours.
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
BOUNDS, SMALLER, SSIM = 0.001, 5.0, 0.97


@dataclass
class Row:
    """What was found of one model."""

    name: str
    triangles: tuple[int, int] = (0, 0)  # of the base, for the web
    plain_bytes: int = 0
    web_bytes: int = 0
    errors: int = 0  # of the validator, over all GLB and glTF files
    arkit: bool = False
    within_budget: bool = False
    bounds: float = 0.0  # the worst of all formats
    worst: str = ""
    ssim: float = 0.0
    seconds: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def smaller(self) -> float:
        """How many times smaller than plain."""
        return self.plain_bytes / max(self.web_bytes, 1)


def picked(furniture: Path, count: int) -> list[tuple[Path, Model]]:
    """Return ``count`` models, a third of each library, evenly spread over the OBJ files' sizes."""
    found = []
    for number, library in enumerate(ARCHIVE_LICENSES):
        archive = furniture / f"{library}.sh3f"
        with zipfile.ZipFile(archive) as opened:
            sizes = {one.filename: one.file_size for one in opened.infolist()}
        models = [one for one in read_catalogue(archive).values() if FURNITURE.search(one.name) and one.path in sizes]
        models.sort(key=lambda one: (sizes[one.path], one.path))
        share = (count + number) // len(ARCHIVE_LICENSES)
        places = np.linspace(0, len(models) - 1, share).round().astype(int)
        found += [(archive, models[place]) for place in places]
    return found


def measure(archive: Path, model: Model, work: Path, pictures: Path) -> Row:
    """Export one model and look at all that was made."""
    row = Row(f"{model.name} ({Path(model.path).stem})")
    obj = unpack_model(archive, model.path, work / "obj")
    source = work / "model.zip"
    with zipfile.ZipFile(source, "w") as zipped:
        for one in sorted(obj.parent.rglob("*")):
            zipped.write(one, one.relative_to(obj.parent))
    options = ExportOptions(
        formats=tuple(MeshFormat), target=Target.WEB, dimensions=Dimensions(height_m=model.height_m)
    )
    started = time.monotonic()
    try:
        made = export(source, options, work / "out")
    except HeartwoodError as error:
        row.refused = {"all": error.message}
        return row
    row.seconds = time.monotonic() - started
    told = json.loads(made.report.read_text(encoding="utf-8"))
    row.refused = told["refused"]
    checks = [told["validator"][name] for name in told["validator"]]
    row.errors = sum(one["errors"] + one.get("unpacked", {}).get("errors", 0) for one in checks)
    row.arkit, row.within_budget = bool(told["arkit"].get("passes")), told["budget"]["met"]
    row.triangles = (told["facts"]["base"]["triangles"], made.facts.triangles)
    plain = work / "out" / "work" / "imported.glb"
    row.plain_bytes, row.web_bytes = plain.stat().st_size, made.files[MeshFormat.GLB].stat().st_size
    base = told["facts"]["base"]
    corners = np.array([*base["low"], *base["high"]])
    for format, file in made.files.items():
        off = np.abs(bounds(file, format, work) - corners).max() / (corners[3:] - corners[:3]).max()
        if off > row.bounds:
            row.bounds, row.worst = float(off), format.value
    views = [view(one, work / name) for name, one in (("plain", plain), ("web", made.files[MeshFormat.GLB]))]
    row.ssim = float(structural_similarity(*views, channel_axis=2))
    both = Image.fromarray(np.concatenate(views, axis=1))
    ImageDraw.Draw(both).text((8, 8), f"{row.name}  {row.smaller:.1f} x smaller  SSIM {row.ssim:.4f}", "black")
    both.save(pictures / f"{Path(model.path).stem}.png")
    return row


def bounds(file: Path, format: MeshFormat, work: Path) -> np.ndarray:
    """The lower and the upper corner as a file's reader sees them, [6], metres, +Y up."""
    if format in (MeshFormat.STL, MeshFormat.PLY):
        (left, front, bottom), (right, back, top) = trimesh.load_mesh(file).bounds  # +Z up
        return np.array([left, bottom, -back, right, top, -front])
    seen = inspect(file, work / f"again-{format.value}")
    return np.array([*seen.low, *seen.high])


def view(model: Path, work: Path) -> np.ndarray:
    """One frame of the turntable, [H, W, 3] uint8. Blender reads no meshopt, so the model is unpacked first."""
    got: list[Path] = []
    render_frames(
        to_glb(model, work),
        [FRAME],
        VIEW,
        Quality.FINAL,
        work,
        lambda number, path: got.append(path),  # noqa: ARG005
    )
    return np.asarray(Image.open(got[0]).convert("RGB"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--models", type=int, default=36)
    arguments.add_argument("--jobs", type=int, default=1, help="how many models at once")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--pictures", type=Path, help="keep the views here, plain beside web")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(given.jobs) as pool:
        pictures = given.pictures or Path(scratch) / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)

        def one(number: int, archive: Path, model: Model) -> Row:
            work = Path(scratch) / f"model-{number}"
            row = measure(archive, model, work, pictures)
            print(row, flush=True)
            shutil.rmtree(work)
            return row

        models = picked(furniture_folder(Path(scratch)), given.models)
        rows = list(pool.map(one, range(len(models)), *zip(*models, strict=True)))
    show(rows)
    made = [one for one in rows if "all" not in one.refused]
    figures = [
        Figure("models", len(rows), "", ">= 30"),
        Figure(
            "exported whole, or refused with a reason",
            sum(bool(one.seconds or one.refused) for one in rows),
            "",
            f"== {len(rows)}",
        ),
        Figure("models refused", len(rows) - len(made)),
        Figure("formats refused", sum(len(one.refused) for one in made)),
        Figure("validator errors", sum(one.errors for one in made), "", "== 0"),
        Figure("USDZ that fail ARKit's checks", sum(not one.arkit for one in made), "", "== 0"),
        Figure("bounds, worst of all formats", 100 * max(one.bounds for one in made), "%", "<= 0.1"),
        Figure("smaller than plain, median", statistics.median(one.smaller for one in made), "times", f">= {SMALLER}"),
        Figure("SSIM of the view, median", statistics.median(one.ssim for one in made), "", f">= {SSIM}"),
        Figure("SSIM of the view, least", min(one.ssim for one in made), "", f">= {SSIM}"),
        Figure("within the web's budget", sum(one.within_budget for one in made)),
        Figure("seconds a model, all formats, median", statistics.median(one.seconds for one in made), "s"),
    ]
    report("export", figures, given.json)


def show(rows: list[Row]) -> None:
    """Print one line a model."""
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
    for one in rows:
        said = "; ".join(f"{format}: {why}" for format, why in one.refused.items())
        numbers = (f"{one.plain_bytes / 1000:.0f}", f"{one.web_bytes / 1000:.1f}", f"{one.smaller:.1f}")
        bounds = f"{100 * one.bounds:.4f} {one.worst}"
        rest = (f"{one.ssim:.4f}", bounds, str(one.errors), "passes" if one.arkit else "-", f"{one.seconds:.1f}", said)
        table.add_row(one.name, *(f"{count:,}" for count in one.triangles), *numbers, *rest)
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
