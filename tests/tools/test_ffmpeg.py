"""ffmpeg, the real one."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from orchestrator.errors import Canceled, ToolFailed
from orchestrator.tools.ffmpeg import run_ffmpeg

ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=30", "-c:v", "libx264"]


def test_a_cancel_leaves_no_ffmpeg_behind(tmp_path: Path) -> None:
    seen: list[psutil.Process] = []

    def progress(fraction: float, message: str) -> None:
        del fraction, message
        seen.extend(one for one in psutil.Process().children(recursive=True) if "ffmpeg" in one.name())
        if seen:
            raise Canceled("the job was canceled")

    with pytest.raises(Canceled):
        run_ffmpeg(ENDLESS, tmp_path / "endless.mp4", progress=progress)
    assert seen
    assert not [one for one in seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_ffmpeg_s_own_words_tell_what_failed(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="no-such-frame"):
        run_ffmpeg(["-i", "no-such-frame.png"], tmp_path / "nothing.mp4")
