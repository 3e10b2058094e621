"""Runs Meshroom's photogrammetry (AliceVision) with its command line program ``meshroom_batch``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import run_program
from orchestrator.tools.server_paths import remove_folders

# Meshroom's line before each node, or before each chunk of a node with several chunks.
NODE_LINE = re.compile(r"^\[(\d+)/(\d+)\](?:\((\d+)/(\d+)\))? (\w+)$")
ALICEVISION_ERROR = re.compile(r"^\[[\d:.]+\]\[(?:error|fatal)\]\s*(.+)$")  # log format of AliceVision's programs
# Format of Meshroom's own messages (Python's logging and tracebacks).
MESHROOM_ERROR = re.compile(r"^(?:ERROR|CRITICAL|\w*Error|\w*Exception):\s*(.+)$")
MAX_ERRORS = 3  # maximum number of error lines in one message


def run_meshroom(
    executable: str | Path,
    photos: Path,
    masks: Path,
    folder: Path,
    *,
    texture_size: int,
    downscale: int,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Path:
    """Return the textured OBJ that Meshroom reconstructs from ``photos``. Its MTL and textures are in the same folder.

    Args:
        executable: the ``meshroom_batch`` program.
        photos: a folder that contains only photos.
        masks: a folder with a PNG for each photo, under the photo's name, white on the piece.
        texture_size: side of the texture, px.
        downscale: factor by which the photos are reduced for the depth maps: 1, 2 (Meshroom's default), 4, …

    Raises:
        ToolFailed: Meshroom could not be started, reported an error, or wrote no OBJ.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    output, cache = folder / "output", folder / "cache"
    for directory in (output, cache):
        directory.mkdir(parents=True, exist_ok=True)
    overrides = [
        f"FeatureExtraction:masksFolder={masks.resolve()}",
        f"DepthMap:downscale={downscale}",
        f"Texturing:textureSide={texture_size}",
        "Texturing:colorMapping.colorMappingFileType=png",
    ]
    command: list[str | Path] = [
        executable, "--input", photos.resolve(), "--output", output.resolve(), "--cache", cache.resolve(),
        "--pipeline", "photogrammetry", "--paramOverrides", *overrides,
    ]  # fmt: skip
    log = _LogReader()
    try:
        inputs = (photos, masks)
        run_program("meshroom", command, folder, read=inputs, limits=limits, read_line=log.read_line, progress=progress)
    except ToolFailed as error:
        if not log.errors:
            raise
        errors = remove_folders("; ".join(dict.fromkeys(log.errors[-MAX_ERRORS:])), folder)
        message = f"Meshroom failed at {log.node or 'the start'}: {errors}"
        raise ToolFailed(message, tool="meshroom", node=log.node) from error
    meshes = sorted(output.glob("*.obj"))
    if not meshes:
        raise ToolFailed("Meshroom reported success but wrote no OBJ file", tool="meshroom")
    return meshes[0]


@dataclass
class _LogReader:
    """Collects errors and the current node from Meshroom's output."""

    errors: list[str] = field(default_factory=list)
    node: str = ""

    def read_line(self, line: str) -> tuple[float, str] | None:
        """Return the progress if the line reports a node."""
        if match := ALICEVISION_ERROR.match(line) or MESHROOM_ERROR.match(line):
            self.errors.append(match[1].strip())
        if not (match := NODE_LINE.match(line)):
            return None
        number, count, chunk, chunks = int(match[1]), int(match[2]), int(match[3] or 1), int(match[4] or 1)
        self.node = match[5]
        return (number - 1 + (chunk - 1) / chunks) / count, f"Meshroom: {self.node}, step {number} of {count}"
