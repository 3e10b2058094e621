"""Runs the glTF scripts in ``node/``, which read a JSON job and write a JSON result.

The permission model of Node limits the scripts to their working folder and their packages.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.dimensions import MAX_SIZE_M, MIN_SIZE_M, UNKNOWN_DIMENSIONS, Dimensions
from orchestrator.domain.export import MeshCodec, TextureCodec
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.node_packages import SCRIPTS, node_packages, node_program
from orchestrator.tools.program import read_progress, run_program
from orchestrator.tools.server_paths import remove_folder

MIN_HEAP_MB = 512  # heap limit of Node if the memory limit is lower; not tuned


@dataclass(frozen=True)
class GltfBudget:
    """Maximum size of a glTF file. 0 means no limit."""

    max_bytes: int = 0
    max_triangles: int = 0
    texture_px: int = 0  # longer side of a texture


@dataclass(frozen=True)
class Reduction:
    """How far ``optimise`` reduced a file to meet its budget."""

    tolerance: float  # maximum movement of the surface, as a share of the diagonal of the bounding box
    quality: int  # of WebP or KTX2, in [1, 100]; 0 if the textures are unchanged
    texture_px: int  # maximum longer side of the textures; 0 if there was no maximum


@dataclass(frozen=True)
class MaterialFacts:
    """A material of a glTF."""

    name: str
    alpha: str  # OPAQUE, MASK or BLEND
    double_sided: bool


@dataclass(frozen=True)
class TextureFacts:
    """A texture of a glTF."""

    name: str
    format: str  # png, jpeg, webp or ktx2
    width: int
    height: int
    size_bytes: int
    slots: tuple[str, ...]  # uses of the texture, such as baseColorTexture


@dataclass(frozen=True)
class GltfContents:
    """What the default scene of a glTF contains. Lengths in metres, +Y up."""

    triangles: int
    vertices: int
    draw_calls: int
    low: tuple[float, float, float]  # minimum corner of the bounding box
    high: tuple[float, float, float]  # maximum corner
    materials: tuple[MaterialFacts, ...]
    textures: tuple[TextureFacts, ...]
    animations: int
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class GltfValidation:
    """The report of the Khronos validator.

    The keys are ``validator`` (its version), ``errors`` and ``warnings`` (counts) and ``messages``. If the geometry is
    compressed, ``unpacked`` contains the same keys for the file with decompressed geometry.
    """

    report: dict[str, Any]

    @property
    def errors(self) -> int:
        """The number of errors in the file and in its decompressed geometry."""
        return sum(report["errors"] for report in self._reports)

    @property
    def messages(self) -> tuple[str, ...]:
        """The messages of the reports that contain errors."""
        return tuple(entry["message"] for report in self._reports if report["errors"] for entry in report["messages"])

    @property
    def _reports(self) -> list[dict[str, Any]]:
        return [self.report, self.report["unpacked"]] if "unpacked" in self.report else [self.report]


def normalise(
    source: Path,
    target: Path,
    folder: Path,
    *,
    dimensions: Dimensions = UNKNOWN_DIMENSIONS,
    unitless: bool = False,
    place: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write a GLB or glTF as a base GLB, and return notes for the report.

    A base GLB has one scene of triangle meshes without node transforms, with unit normals, with PNG and JPEG textures,
    and without compression, cameras, lights, animations and skeletons. Materials without transparency are opaque.

    Args:
        source: inside ``folder``, with its resources beside it.
        dimensions: the physical size. One dimension scales the mesh; two or three must agree with its shape within 5 %.
        unitless: whether the format of the original file has no unit. Only an error message uses it.
        place: whether to scale to metres and to move the bottom centre to the origin.

    Raises:
        InvalidInput: ``source`` cannot be read, has no triangles, or does not fit ``dimensions``.
        ToolFailed, DeadlineExceeded, Canceled: see ``run_program``.
    """
    job = {
        "source": str(source),
        "target": str(target),
        "dimensions": [dimensions.width_m, dimensions.height_m, dimensions.depth_m],
        "unitless": unitless,
        "place": place,
        "min_size_m": MIN_SIZE_M,
        "max_size_m": MAX_SIZE_M,
    }
    result = run_node("normalise", job, folder, limits=limits, progress=progress)
    return tuple(str(note) for note in result["notes"])


def optimise(
    base: Path,
    target: Path,
    folder: Path,
    budget: GltfBudget,
    *,
    tolerances: tuple[float, ...],
    texture_codec: TextureCodec,
    mesh_codec: MeshCodec,
    join: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Reduction:
    """Write a base GLB as ``target`` within ``budget``, if the tolerances allow it.

    Args:
        target: a .glb, or a .gltf, whose resources are written beside it.
        tolerances: maximum movements of the surface as shares of the diagonal of the bounding box, ascending. The first
            is always used; the others are tried in order while the budget is exceeded.
        join: whether to merge meshes that share a material, which saves draw calls. Materials keep their names.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: see ``run_program``.
    """
    job = {
        "source": str(base),
        "target": str(target),
        **asdict(budget),
        "tolerances": tolerances,
        "texture_codec": texture_codec.value,
        "mesh_codec": mesh_codec.value,
        "join": join,
    }
    result = run_node("optimise", job, folder, limits=limits, progress=progress)
    return Reduction(float(result["tolerance"]), int(result["quality"]), int(result["texture_px"]))


def inspect_gltf(
    source: Path, folder: Path, *, limits: Limits = DEFAULT_LIMITS, progress: Progress = no_progress
) -> GltfContents:
    """Return what a GLB or glTF contains. Raises the errors of ``run_node``."""
    result = run_node("inspect", {"source": str(source), "validate": False}, folder, limits=limits, progress=progress)
    return _read_contents(result["contents"])


def validate_gltf(
    source: Path, folder: Path, *, limits: Limits = DEFAULT_LIMITS, progress: Progress = no_progress
) -> tuple[GltfContents, GltfValidation]:
    """Return what a GLB or glTF contains, and the Khronos validator's report. Raises the errors of ``run_node``."""
    result = run_node("inspect", {"source": str(source), "validate": True}, folder, limits=limits, progress=progress)
    return _read_contents(result["contents"]), GltfValidation(result["validation"])


def run_node(
    script: str, job: Mapping[str, Any], folder: Path, *, limits: Limits, progress: Progress = no_progress
) -> dict[str, Any]:
    """Run ``node/SCRIPT.mjs`` on ``job`` and return its result. The script can read and write only inside ``folder``.

    Raises:
        InvalidInput: the script rejects its input.
        ToolFailed, DeadlineExceeded, Canceled: see ``run_program``.
    """
    packages, node = node_packages().resolve(), node_program()
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.resolve()
    scripts = _copy_scripts(work, packages)
    result_file, job_file = work / f"{script}-result.json", work / f"{script}.json"
    result_file.unlink(missing_ok=True)
    job_file.write_text(json.dumps({**job, "result": str(result_file)}), encoding="utf-8")
    access = [f"--allow-fs-read={work}", f"--allow-fs-read={packages}", f"--allow-fs-write={work}"]
    heap = f"--max-old-space-size={max(MIN_HEAP_MB, limits.memory_bytes >> 20)}"
    options = [heap, "--permission", "--allow-addons", *access, "--no-warnings"]
    command: list[str | Path] = [node, *options, scripts / f"{script}.mjs", job_file]
    log_file = folder / f"{script}.log"
    run_program("node", command, folder, log_file=log_file, limits=limits, read_line=read_progress, progress=progress)
    result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
    if invalid := result.get("invalid"):
        raise InvalidInput(invalid["field"], remove_folder(invalid["message"], work))
    if not result:
        raise ToolFailed(f"{script}.mjs wrote an empty result", tool="node")
    return result


def _copy_scripts(work: Path, packages: Path) -> Path:
    """Copy the scripts, and link their packages beside them, where Node searches for packages. Return the folder."""
    scripts = work / "node"
    scripts.mkdir(exist_ok=True)
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copyfile(script, scripts / script.name)
    if not (link := scripts / "node_modules").is_symlink():
        link.symlink_to(packages)
    return scripts


def _read_contents(result: dict[str, Any]) -> GltfContents:
    """Convert JSON to dataclasses. Its lists become tuples."""
    materials = tuple(MaterialFacts(**material) for material in result["materials"])
    textures = tuple(TextureFacts(**{**texture, "slots": tuple(texture["slots"])}) for texture in result["textures"])
    tuples = {name: tuple(result[name]) for name in ("low", "high", "extensions")}
    return GltfContents(**{**result, **tuples, "materials": materials, "textures": textures})
