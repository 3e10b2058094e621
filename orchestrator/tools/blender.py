"""Runs the scripts in ``blender_scripts/`` with the ``bpy`` wheel or with a ``blender`` executable.

Blender is licensed under the GPL and may crash, so it always runs in a process of its own. The last argument of a
script is the path of its JSON job.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import read_progress, run_program

SCRIPTS = Path(__file__).with_name("blender_scripts")
SAFE_OPTIONS = ("--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1")
"""Options of the executable that disable add-ons, startup files, and scripts inside opened files."""


def run_blender(
    script: str,
    job: Mapping[str, Any],
    folder: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
    on_line: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> None:
    """Run ``blender_scripts/SCRIPT.py`` on ``job`` in ``folder``.

    Args:
        job: the script's parameters, which are written to ``folder/SCRIPT.json``. Paths become strings. The script can
            read the files of the values that are a ``Path``, and everything in ``folder``.
        executable: a ``blender`` program; empty means the ``bpy`` wheel.
        on_line: receives every line that Blender prints. An input file can influence lines, so they are untrusted.

    Raises:
        ToolFailed: Blender is not installed, or the script failed. The message contains its last output.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job_file = folder / f"{script}.json"
    job_file.write_text(json.dumps(job, default=str), encoding="utf-8")

    def read_line(line: str) -> tuple[float, str] | None:
        on_line(line)
        return read_progress(line)

    script_file = SCRIPTS / f"{script}.py"
    command: list[str | Path]
    if executable:
        command = [executable, *SAFE_OPTIONS, "--python", script_file, "--", job_file]
    elif importlib.util.find_spec("bpy") is not None:
        command = [sys.executable, "-P", script_file, job_file]
    else:
        raise ToolFailed("Blender is not installed; install it with: pip install 'heartwood[tools]'")
    files = list(_paths(job))
    run_program("blender", command, folder, read=files, limits=limits, read_line=read_line, progress=progress)


def _paths(value: object) -> Iterator[Path]:
    """Yield all values of a job that are a Path."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _paths(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item)
