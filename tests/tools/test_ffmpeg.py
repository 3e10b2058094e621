"""Tests with the real ffmpeg."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from orchestrator.errors import Canceled, ToolFailed
from orchestrator.tools.ffmpeg import run_ffmpeg

ENDLESS_VIDEO = ["-re", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=30", "-c:v", "libx264"]


def test_cancel_leaves_no_ffmpeg_process(tmp_path: Path) -> None:
    started: list[psutil.Process] = []

    def cancel_when_started(fraction: float, message: str) -> None:
        del fraction, message
        children = psutil.Process().children(recursive=True)
        started.extend(process for process in children if "ffmpeg" in process.name())
        if started:
            raise Canceled("the job was canceled")

    with pytest.raises(Canceled):
        run_ffmpeg(ENDLESS_VIDEO, tmp_path / "endless.mp4", progress=cancel_when_started)
    assert started
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_failure_message_contains_the_output_of_ffmpeg(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="no-such-frame"):
        run_ffmpeg(["-i", "no-such-frame.png"], tmp_path / "nothing.mp4")
