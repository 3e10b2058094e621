"""Runs a Python module in a child process, because its native libraries may crash."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress
from orchestrator.tools.program import ReadLine, read_progress, run_program


def run_child(
    tool: str,
    job_file: Path,
    job: Mapping[str, object],
    limits: Limits,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
    read_line: ReadLine = read_progress,
    read: Iterable[Path] = (),
) -> None:
    """Write ``job`` and the folder of ``job_file`` to ``job_file``, and run the sibling package ``TOOL_child`` on it.

    The child can read its folder and ``read``.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: see ``run_program``.
    """
    folder = job_file.parent.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    job_file.write_text(json.dumps({**job, "folder": str(folder)}), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-P", "-m", f"{__package__}.{tool}_child", folder / job_file.name]
    run_program(
        tool,
        command,
        folder,
        read=read,
        limits=limits,
        environment=environment,
        read_line=read_line,
        progress=progress,
    )


def report(fraction: float, message: str) -> None:
    """Report progress from the child process."""
    print(f"PROGRESS {fraction:.4f} {message}", flush=True)
