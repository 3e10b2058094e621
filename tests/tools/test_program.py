"""A foreign program runs within its limits, tells its progress, and leaves nothing alive."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.domain.limits import Limits
from orchestrator.errors import Canceled, DeadlineExceeded, ToolFailed
from orchestrator.tools.program import _guarded, run_program
from tests.support.running_service import wait_for


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_becomes_progress_and_log(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    run_program(
        "counter",
        python("for n in (1, 2): print(f'{n} of 2', flush=True)"),
        tmp_path,
        read_line=lambda line: (int(line[0]) / 2, line) if " of " in line else None,
        progress=lambda fraction, message: told.append((fraction, message)),
    )
    assert told[-1] == (1.0, "2 of 2")
    assert (tmp_path / "counter.log").read_text() == "1 of 2\n2 of 2\n"


def test_a_failure_tells_the_code_and_the_last_words_but_no_path(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"cutter ended with code 3: .*wood is too hard") as caught:
        run_program("cutter", python("import os; print(os.getcwd(), 'wood is too hard'); exit(3)"), tmp_path)
    assert str(tmp_path) not in caught.value.message


def test_a_program_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="saw"):
        run_program("saw", ["/nowhere/saw"], tmp_path)


GRANDCHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"


@pytest.mark.parametrize("stubborn", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"])
def test_cancel_ends_the_whole_process_group(tmp_path: Path, stubborn: str) -> None:
    began = time.monotonic()

    def cancel(_: float, message: str) -> None:
        if "up" in message:
            raise Canceled("stop")

    code = f"{stubborn}{GRANDCHILD}print('up', flush=True); time.sleep(600)"
    with pytest.raises(Canceled):
        run_program("sleeper", python(code), tmp_path, read_line=lambda line: (0.5, line), progress=cancel)
    assert time.monotonic() - began < 20
    assert not [one for one in psutil.process_iter() if _works_in(one, tmp_path)]


def test_a_child_that_leaves_the_group_ends_too(tmp_path: Path) -> None:
    if not _guarded()[-1:] or "--pid" not in _guarded():
        pytest.skip("this system has no process namespaces")
    run_program("starter", python(f"import os; {GRANDCHILD.replace(')', ', start_new_session=True)', 1)}"), tmp_path)
    assert not [one for one in psutil.process_iter() if _works_in(one, tmp_path)]


def test_output_without_line_ends_is_read_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    run_program("endless", python("import sys; sys.stdout.write('x' * (20 << 20))"), tmp_path)
    # The same bytes took 20 s when each piece was joined to all before it; reading them once takes well under one.
    assert time.monotonic() - began < 8


def test_last_words_are_plain_and_name_files_without_their_folders(tmp_path: Path) -> None:
    code = "print('\\033[31mcannot open /opt/secret/place/chair.blend: denied'); exit(1)"
    with pytest.raises(ToolFailed, match=r"cannot open chair\.blend: denied") as caught:
        run_program("opener", python(code), tmp_path)
    assert "\033" not in caught.value.message


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


def test_the_program_dies_with_a_heartwood_that_was_killed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from orchestrator.tools.program import run_program
run_program("sleeper", [{sys.executable!r}, "-c", "import time; time.sleep(600)"], Path({str(tmp_path)!r}))
"""
    parent = subprocess.Popen(python(code))
    wait_for(lambda: [one for one in psutil.process_iter() if _works_in(one, tmp_path)], 30)
    parent.kill()
    parent.wait()
    wait_for(lambda: not [one for one in psutil.process_iter() if _works_in(one, tmp_path)], 10)


def test_time_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded, match="sleeper was not done within 1 s"):
        run_program("sleeper", python("import time; time.sleep(600)"), tmp_path, limits=Limits(time_s=1))


def test_memory_is_bounded(tmp_path: Path) -> None:
    code = "import time; kept = b'x' * (300 << 20); time.sleep(600)"
    with pytest.raises(ToolFailed, match="it may take 200 MB"):
        run_program("hoarder", python(code), tmp_path, limits=Limits(memory_bytes=200 << 20))


def test_the_program_sees_no_secret_and_no_home_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTWOOD_OPENAI_API_KEY", "sk-secret")
    run_program("env", python("import os; print(sorted(os.environ.items()))"), tmp_path)
    seen = (tmp_path / "env.log").read_text()
    assert "sk-secret" not in seen
    assert str(tmp_path / "home") in seen
    assert f"'{os.environ['HOME']}'" not in seen
