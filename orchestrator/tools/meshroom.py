"""Runs Meshroom's photogrammetry (AliceVision), ``meshroom_batch``, on photos of one piece."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import run_program

NODE = re.compile(r"^\[(\d+)/(\d+)\](?:\((\d+)/(\d+)\))? (\w+)$")
"""What ``executeGraph`` prints before a node, or before each chunk of a node that has several."""
COMPLAINT = re.compile(r"^\[[\d:.]+\]\[(?:error|fatal)\]\s*(.+)$")
"""How AliceVision's programs log what went wrong."""
ERROR = re.compile(r"^(?:ERROR|CRITICAL|\w*Error|\w*Exception):\s*(.+)$")
"""How Meshroom itself does (Python's logging and tracebacks)."""
COMPLAINTS = 3


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
    """Return the textured OBJ that Meshroom made of ``photos``; its MTL and textures lie beside it.

    Args:
        executable: the ``meshroom_batch`` program.
        photos: a folder with nothing but photos.
        masks: a folder with a PNG of each photo's name, white on the piece; features beside the piece are not used.
        folder: gets Meshroom's cache and output.
        texture_size: side of the texture, px.
        downscale: of the photos for the depth maps: 1, 2 (Meshroom's default), 4, …

    Raises:
        ToolFailed: Meshroom could not be started or failed, in its own words; or made no model.
        DeadlineExceeded, Canceled: as in ``run_program``.
    """
    output, cache = folder / "output", folder / "cache"
    for inside in (output, cache):
        inside.mkdir(parents=True, exist_ok=True)
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
    complaints: list[str] = []
    node = ""

    def read_line(line: str) -> tuple[float, str] | None:
        nonlocal node
        if match := COMPLAINT.match(line) or ERROR.match(line):
            complaints.append(match[1].strip())
        if not (match := NODE.match(line)):
            return None
        number, count, chunk, chunks = int(match[1]), int(match[2]), int(match[3] or 1), int(match[4] or 1)
        node = match[5]
        return (number - 1 + (chunk - 1) / chunks) / count, f"Meshroom: {node}, step {number} of {count}"

    try:
        run_program("meshroom", command, folder, limits=limits, read_line=read_line, progress=progress)
    except ToolFailed as error:
        if not complaints:
            raise
        words = "; ".join(dict.fromkeys(complaints[-COMPLAINTS:])).replace(str(folder), ".")
        raise ToolFailed(f"Meshroom failed at {node or 'the start'}: {words}", tool="meshroom", node=node) from error
    found = sorted(output.glob("*.obj"))
    if not found:
        raise ToolFailed("Meshroom ended well but wrote no model (OBJ)", tool="meshroom")
    return found[0]
