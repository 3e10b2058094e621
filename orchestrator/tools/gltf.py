"""glTF through Node: any glTF to a clean base, a base to files within a budget, and what a file holds.

The scripts in ``node/`` read a JSON job and answer with JSON. They use glTF-Transform, meshoptimizer, Draco, sharp,
Basis Universal and the Khronos validator, and may touch no file outside their own folder and their packages.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.dimensions import MAX_SIZE_M, MIN_SIZE_M, Dimensions
from orchestrator.domain.export import MeshCodec, TextureCodec
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.node_packages import SOURCES, node_packages, node_program
from orchestrator.tools.program import run_program

UNKNOWN = Dimensions()
LINE = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")


@dataclass(frozen=True)
class Budget:
    """What a file may be at most; 0 is no limit."""

    max_bytes: int = 0
    max_triangles: int = 0
    texture_px: int = 0  # the longer side


@dataclass(frozen=True)
class Optimised:
    """How far a file had to be reduced."""

    tolerance: float  # how far the surface moved at most, as a share of the model's diagonal
    quality: int  # of WebP or KTX2, in [1, 100]; 0 where textures are as they were
    texture_px: int  # what textures' longer sides were bounded by; 0 by nothing


def normalise(
    source: Path,
    target: Path,
    folder: Path,
    *,
    dimensions: Dimensions = UNKNOWN,
    unitless: bool = False,
    place: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write ``source`` (GLB or glTF, inside ``folder``, its resources beside it) as a base GLB; return notes on it.

    The base is one scene of plain triangle meshes without node transforms, with sound normals, PNG and JPEG textures,
    no compression, no cameras, lights, animations and skeletons, and materials marked opaque that are.

    Args:
        dimensions: true size; one scales the model, more must agree with its shape within 5 %.
        unitless: the model's format has no unit; only for the words of an error.
        place: scale to metres and put the origin at the bottom centre; else the model stays where it is.

    Raises:
        InvalidInput: it cannot be read, has no triangles, or does not fit ``dimensions``.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
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
    answer = run_node("normalise", job, folder, limits=limits, progress=progress)
    return tuple(str(note) for note in answer["notes"])


def optimise(
    base: Path,
    target: Path,
    folder: Path,
    budget: Budget,
    *,
    tolerances: tuple[float, ...],
    texture_codec: TextureCodec,
    mesh_codec: MeshCodec,
    join: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Optimised:
    """Write ``base`` as ``target`` (.glb, or .gltf with its resources beside it) within ``budget`` where that can be.

    Args:
        tolerances: how far the surface may move, as shares of the diagonal, ascending. The first is always used; the
            others one by one while the budget is missed.
        join: merge parts that share a material, which saves draw calls; materials keep their names.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    job = {
        "source": str(base),
        "target": str(target),
        "max_bytes": budget.max_bytes,
        "max_triangles": budget.max_triangles,
        "texture_px": budget.texture_px,
        "tolerances": list(tolerances),
        "codec": texture_codec.value,
        "mesh": mesh_codec.value,
        "join": join,
    }
    answer = run_node("optimise", job, folder, limits=limits, progress=progress)
    return Optimised(float(answer["tolerance"]), int(answer["quality"]), int(answer["texture_px"]))


def look_into(
    source: Path,
    folder: Path,
    *,
    validate: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the glTF holds, and what the Khronos validator says of it (empty without ``validate``).

    Raises:
        InvalidInput: it cannot be read.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    job = {"source": str(source), "validate": validate}
    answer = run_node("inspect", job, folder, limits=limits, progress=progress)
    return answer["facts"], answer["validation"] or {}


def run_node(
    script: str,
    job: Mapping[str, Any],
    folder: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Run ``node/SCRIPT.mjs`` on ``job``; it may read and write inside ``folder`` only. Return its answer.

    Raises:
        InvalidInput: the script refused the model.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    packages, node = node_packages().resolve(), node_program()
    folder.mkdir(parents=True, exist_ok=True)
    inside = folder.resolve()
    scripts = inside / "node"
    # Node looks for packages upwards from the script, so the scripts stand beside a link to them.
    scripts.mkdir(exist_ok=True)
    for one in SOURCES.glob("*.mjs"):
        shutil.copyfile(one, scripts / one.name)
    if not (link := scripts / "node_modules").is_symlink():
        link.symlink_to(packages)
    result, job_file = inside / f"{script}-result.json", inside / f"{script}.json"
    result.unlink(missing_ok=True)
    job_file.write_text(json.dumps({**job, "result": str(result)}), encoding="utf-8")
    allowed = [f"--allow-fs-read={inside}", f"--allow-fs-read={packages}", f"--allow-fs-write={inside}"]
    heap = f"--max-old-space-size={max(512, limits.memory_bytes >> 20)}"
    command: list[str | Path] = [node, heap, "--permission", "--allow-addons", *allowed, "--no-warnings"]

    def read_line(line: str) -> tuple[float, str] | None:
        match = LINE.match(line)
        return (min(float(match[1]), 1.0), match[2]) if match else None

    run_program(
        "node",
        [*command, scripts / f"{script}.mjs", job_file],
        folder,
        log_file=folder / f"{script}.log",
        limits=limits,
        read_line=read_line,
        progress=progress,
    )
    answer: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if "invalid" in answer:
        raise InvalidInput(answer["invalid"]["field"], answer["invalid"]["message"])
    if not answer:
        raise ToolFailed(f"{script} gave no answer", tool="node")
    return answer
