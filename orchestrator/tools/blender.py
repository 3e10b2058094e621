"""Runs one of our Blender scripts on a JSON job: with the ``bpy`` wheel, or with a ``blender`` executable.

Blender is GPL and may crash, so it is only ever a process of its own. A script is a ``.py`` file in
``orchestrator/tools/blender_scripts/``; its last argument is the job's file. It tells of progress by printing lines
``PROGRESS <fraction in [0, 1]> <message>``, and may print others; what it makes, it writes where its job says.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import run_program

SCRIPTS = Path(__file__).with_name("blender_scripts")
LINE = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")


def run_blender(
    script: str,
    job: Mapping[str, Any],
    folder: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
    saw: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    threads: int = 0,
) -> None:
    """Run ``blender_scripts/SCRIPT.py`` on ``job`` in ``folder``; ``saw`` gets every line that it prints.

    Args:
        executable: a ``blender`` program; empty takes the bpy wheel of this Python.
        threads: how many Blender may use; 0 means all.

    Raises:
        ToolFailed: Blender is not installed, or the script failed; with its last words.
        DeadlineExceeded: ``limits.time_s`` passed.
        Canceled: ``progress`` said so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job_file = folder / f"{script}.json"
    job_file.write_text(json.dumps({**job, "threads": threads}), encoding="utf-8")

    def read_line(line: str) -> tuple[float, str] | None:
        saw(line)
        match = LINE.match(line)
        return (min(float(match[1]), 1.0), match[2]) if match else None

    command = [*_blender(executable, SCRIPTS / f"{script}.py"), job_file]
    run_program("blender", command, folder, limits=limits, read_line=read_line, progress=progress)


def _blender(executable: str, script: Path) -> list[str | Path]:
    if executable:
        # Factory settings: no add-on, no start-up file and no script of the user's or of a file's is run.
        safe = ["--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1"]
        return [executable, *safe, "--python", script, "--"]
    if importlib.util.find_spec("bpy") is None:
        raise ToolFailed("Blender is not installed: pip install 'heartwood[tools]'")
    return [sys.executable, "-P", script]
