"""Runs a Python module in a child process, because its native libraries may crash. Input is a JSON job."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress
from orchestrator.tools.program import ReadLine, run_program

PROGRESS_LINE = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")


def report(fraction: float, message: str) -> None:
    """Report progress from the child process to ``read_progress``."""
    print(f"PROGRESS {fraction:.4f} {message}", flush=True)


def read_progress(line: str) -> tuple[float, str] | None:
    """Return the fraction and the message if ``report`` printed the line."""
    match = PROGRESS_LINE.match(line)
    return (min(float(match[1]), 1.0), match[2]) if match else None


def run_child(
    tool: str,
    module: str,
    job_file: Path,
    job: Mapping[str, object],
    *,
    limits: Limits,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
    read_line: ReadLine = read_progress,
) -> None:
    """Write ``job`` with its folder to ``job_file`` and run ``python -m MODULE JOB_FILE`` in that folder.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: see ``run_program``.
    """
    folder = job_file.parent.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    job_file.write_text(json.dumps({**job, "folder": str(folder)}), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-P", "-m", module, folder / job_file.name]
    run_program(tool, command, folder, limits=limits, environment=environment, read_line=read_line, progress=progress)
