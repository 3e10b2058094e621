"""External programs run within their limits, report progress, and leave no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from orchestrator.domain.limits import Limits
from orchestrator.errors import Canceled, DeadlineExceeded, ToolFailed, ToolKilled
from orchestrator.tools import program
from orchestrator.tools.program import run_program
from orchestrator.tools.sandbox import Barriers, supported_barriers, unconfined_prefix
from tests.support.running_service import wait_for

NO_NAMESPACES = replace(supported_barriers(), network_namespace=False, process_namespace=False)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return all processes whose working directory is ``folder``."""
    return [process for process in psutil.process_iter() if _works_in(process, folder)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


def test_output_is_logged_and_reported_as_progress(tmp_path: Path) -> None:
    reports: list[tuple[float, str]] = []
    run_program(
        "counter",
        python("for n in (1, 2): print(f'{n} of 2', flush=True)"),
        tmp_path,
        read_line=lambda line: (int(line[0]) / 2, line) if " of " in line else None,
        progress=lambda fraction, message: reports.append((fraction, message)),
    )
    assert reports[-1] == (1.0, "2 of 2")
    assert (tmp_path / "counter.log").read_text() == "1 of 2\n2 of 2\n"


def test_failure_message_has_the_exit_code_and_the_last_output_without_paths(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"cutter ended with code 3: .*wood is too hard") as caught:
        run_program("cutter", python("import os; print(os.getcwd(), 'wood is too hard'); exit(3)"), tmp_path)
    assert str(tmp_path) not in caught.value.message


def test_log_names_files_without_folders(tmp_path: Path) -> None:
    folder = tmp_path / "data of tenant 7"
    other = folder.with_name("photo 1.png")
    run_program("reader", python(f"print('reading', {str(other)!r}, __import__('os').getcwd() + '/a/b.glb')"), folder)
    assert (folder / "reader.log").read_text() == "reading photo 1.png a/b.glb\n"


def test_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="saw was not found"):
        run_program("saw", ["/nowhere/saw"], tmp_path)


GRANDCHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"


@pytest.mark.parametrize("ignore_sigterm", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"])
def test_cancel_ends_the_whole_process_group(tmp_path: Path, ignore_sigterm: str) -> None:
    started = time.monotonic()

    def cancel_when_up(_: float, message: str) -> None:
        if "up" in message:
            raise Canceled("stop")

    code = f"{ignore_sigterm}{GRANDCHILD}print('up', flush=True); time.sleep(600)"
    with pytest.raises(Canceled):
        run_program("sleeper", python(code), tmp_path, read_line=lambda line: (0.5, line), progress=cancel_when_up)
    assert time.monotonic() - started < 20
    assert not processes_in(tmp_path)


@pytest.mark.parametrize("barriers", [supported_barriers(), NO_NAMESPACES], ids=["namespaces", "no namespaces"])
def test_program_that_somebody_kills_is_not_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, barriers: Barriers
) -> None:
    monkeypatch.setattr(program, "supported_barriers", lambda: barriers)
    code = "import time; print('cutting', flush=True); time.sleep(60)"

    def read_line(line: str) -> tuple[float, str] | None:
        return (0.5, "cutting") if line.startswith("cutting") else None

    def kill(_: float, message: str) -> None:
        if message == "cutting":
            max(processes_in(tmp_path), key=lambda process: process.pid).kill()  # the one in the namespaces

    with pytest.raises(ToolKilled, match="cutter ended with signal SIGKILL") as killed:
        run_program("cutter", python(code), tmp_path, read_line=read_line, progress=kill)
    assert "unshare" not in killed.value.message


def test_child_that_left_the_process_group_ends_too(tmp_path: Path) -> None:
    run_program("starter", python(f"import os; {GRANDCHILD.replace(')', ', start_new_session=True)', 1)}"), tmp_path)
    assert not processes_in(tmp_path)


def test_long_output_without_line_ends_is_read_in_linear_time(tmp_path: Path) -> None:
    started = time.monotonic()
    run_program("endless", python("import sys; sys.stdout.write('x' * (20 << 20))"), tmp_path)
    # Concatenating each chunk with all earlier ones took 20 s for this output. Reading each byte once takes under 1 s.
    assert time.monotonic() - started < 8


def test_failure_message_has_no_control_characters_and_names_files_without_folders(tmp_path: Path) -> None:
    code = "print('\\033[31mcannot open /opt/secret/place/chair.blend: denied'); exit(1)"
    with pytest.raises(ToolFailed, match=r"cannot open chair\.blend: denied") as caught:
        run_program("opener", python(code), tmp_path)
    assert "\033" not in caught.value.message


def test_program_dies_when_heartwood_is_killed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from orchestrator.tools.program import run_program
run_program("sleeper", [{sys.executable!r}, "-c", "import time; time.sleep(600)"], Path({str(tmp_path)!r}))
"""
    parent = subprocess.Popen(python(code))
    wait_for(lambda: processes_in(tmp_path), 30)
    parent.kill()
    parent.wait()
    wait_for(lambda: not processes_in(tmp_path), 10)


def test_program_does_not_start_when_heartwood_died_just_before(tmp_path: Path) -> None:
    ours, held_by_heartwood = os.pipe()
    os.close(held_by_heartwood)
    subprocess.run([*unconfined_prefix(), "touch", tmp_path / "started"], stdin=ours, check=False)
    os.close(ours)
    assert not (tmp_path / "started").exists()


def test_time_limit_is_enforced(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded, match="sleeper did not finish within its time limit of 1 s"):
        run_program("sleeper", python("import time; time.sleep(600)"), tmp_path, limits=Limits(time_s=1))


def test_memory_limit_is_enforced(tmp_path: Path) -> None:
    code = "import time; kept = b'x' * (300 << 20); time.sleep(600)"
    with pytest.raises(ToolFailed, match="its limit is 200 MB"):
        run_program("hoarder", python(code), tmp_path, limits=Limits(memory_bytes=200 << 20))


def test_program_gets_no_secret_and_not_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTWOOD_OPENAI_API_KEY", "sk-secret")
    run_program("env", python("import os; open('env', 'w').write(str(sorted(os.environ.items())))"), tmp_path)
    environment = (tmp_path / "env").read_text()
    assert "sk-secret" not in environment
    assert str(tmp_path / "home") in environment
    assert f"'{os.environ['HOME']}'" not in environment
