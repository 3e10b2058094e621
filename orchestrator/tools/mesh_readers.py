"""Reads an uploaded 3D file in a sandboxed process, and returns what it contains.

glTF is read by the Khronos validator and glTF-Transform, USDZ by USD, and all other formats by Blender.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from orchestrator.domain.export import MeshFormat
from orchestrator.domain.limits import Limits
from orchestrator.errors import DeadlineExceeded, InvalidInput, ToolFailed, ToolKilled
from orchestrator.mesh_files.limits import MAX_COORDINATE, MAX_TRIANGLES, InvalidMeshFile, printable
from orchestrator.mesh_files.textures import MAX_SIDE, MAX_TEXTURE_PIXELS
from orchestrator.tools.blender import run_blender
from orchestrator.tools.gltf import run_node
from orchestrator.tools.server_paths import remove_folder
from orchestrator.tools.usd import run_usd

log = structlog.get_logger()

BLENDER_ERROR = re.compile(r"^ERROR \(io\.\w+\): \S+ \w+: (.*)$")
"""An output line in which one of Blender's importers reports why it stops."""
BLENDER_BAD_INDEX = re.compile(r"^WARN \(io\.\w+\): .*(Invalid (?:PLY )?vertex index .*?)(?:, ignoring face)?$")
"""An output line in which an importer reports a face that it drops."""


class MeshContents(NamedTuple):
    """What a reader found in a file; see ``MeshFileInfo``."""

    triangles: int
    materials: tuple[str, ...] = ()
    compression: str = ""


class BlenderWarnings:
    """Collects the output lines in which Blender's importers report why they stop or drop faces."""

    def __init__(self) -> None:
        self.error = ""  # the last error, because earlier ones do not name the cause
        self.bad_index = ""  # the first invalid vertex index

    def collect(self, line: str) -> None:
        if match := BLENDER_ERROR.match(line):
            self.error = match[1]
        elif match := BLENDER_BAD_INDEX.match(line):
            self.bad_index = self.bad_index or match[1]


def read_mesh(source: Path, format: MeshFormat, folder: Path, *, blender: str = "", limits: Limits) -> MeshContents:
    """Read a 3D file.

    Args:
        source: the file, inside ``folder``, with all files that belong to it.
        folder: working folder of the reader.
        blender: a ``blender`` executable; the bpy wheel if empty.

    Raises:
        InvalidMeshFile: the reader rejects the file, crashes on it, or exceeds the limits.
        ToolFailed: the reader is not installed.
        ToolKilled: somebody else killed the reader.
    """
    job = {"source": str(source.resolve()), "max_coordinate": MAX_COORDINATE}
    with _failures_as_invalid_file(limits):
        if format in (MeshFormat.GLB, MeshFormat.GLTF):
            job |= {"max_triangles": MAX_TRIANGLES, "max_side": MAX_SIDE, "max_pixels": MAX_TEXTURE_PIXELS}
            contents = run_node("check", job, folder, limits=limits)
        elif format is MeshFormat.USDZ:
            contents = run_usd("usd_reader", job, folder, limits=limits)
        else:
            contents = _read_with_blender(format, job, folder, blender, limits)
    if problem := contents.get("problem"):
        raise InvalidMeshFile(printable(remove_folder(problem, folder.resolve())))
    names = tuple(printable(name) for name in contents["materials"])
    return MeshContents(int(contents["triangles"]), names, contents.get("compression", ""))


@contextmanager
def _failures_as_invalid_file(limits: Limits) -> Iterator[None]:
    """Raise InvalidMeshFile if the reader rejects the file, crashes on it, or exceeds a limit."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidMeshFile(printable(error.description)) from None
    except DeadlineExceeded:
        raise InvalidMeshFile(f"the file takes too long to read: more than {limits.time_s:g} s") from None
    except ToolKilled as error:
        log.warning("mesh_reader_killed", reason=error.message)
        raise ToolKilled("the file was not read, because its reader was killed; try again later") from None
    except ToolFailed as error:
        log.warning("mesh_reader_failed", reason=error.message)
        if "code" in error.facts:  # error.message contains output of the tool, which only the operator may see
            tool, code = error.facts["tool"], error.facts["code"]
            raise InvalidMeshFile(f"the file cannot be read: {tool} ended with code {code}") from None
        if "memory_bytes" in error.facts:
            megabytes = limits.memory_bytes >> 20
            raise InvalidMeshFile(f"the file needs too much memory to read: more than {megabytes} MB") from None
        raise


def _read_with_blender(
    format: MeshFormat, job: dict[str, Any], folder: Path, executable: str, limits: Limits
) -> dict[str, Any]:
    result = folder.resolve() / "contents.json"
    warnings = BlenderWarnings()
    job = {**job, "format": format.value, "result": str(result)}
    run_blender("check_mesh", job, folder, executable=executable, limits=limits, on_line=warnings.collect)
    contents: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if warnings.bad_index:
        raise InvalidMeshFile(f"a face refers to a vertex that does not exist: {printable(warnings.bad_index)}")
    if "import_error" in contents:
        reason = remove_folder(warnings.error or contents["import_error"], folder.resolve())
        raise InvalidMeshFile(f"it is no {format.value.upper()} that Blender can read: {printable(reason)}")
    return contents
