"""Runs a foreign program: in its own folder, within limits, with a log and progress, and without survivors."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil
import structlog

from orchestrator.domain import DEFAULT_LIMITS, Limits, Progress, no_progress
from orchestrator.errors import DeadlineExceeded, ToolFailed

__all__ = ["DEFAULT_LIMITS", "Limits", "end_group", "run_program"]

log = structlog.get_logger()

ReadLine = Callable[[str], tuple[float, str] | None]
"""Reads one line of a program's output: (fraction in [0, 1], message) where it tells of progress, else None."""

KEPT_ENVIRONMENT = ("PATH", "LANG", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
POLL_S, GRACE_S, MEMORY_POLL_S = 0.2, 3.0, 1.0
LAST_LINES, MAX_LOG_BYTES = 8, 64 << 20


def run_program(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *,
    log_file: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    environment: Mapping[str, str] | None = None,
    read_line: ReadLine = lambda line: None,  # noqa: ARG005
    progress: Progress = no_progress,
) -> None:
    """Run ``command`` in ``folder`` until it has ended; nothing of its process group is alive afterwards.

    The program sees no secret of ours (a short list of the environment, ``environment`` on top), a home and a temp
    folder inside ``folder``, and no network where the system lets us take it away. Its output goes to ``log_file``
    (``folder/NAME.log`` by default) and, line by line, to ``read_line``.

    Raises:
        ToolFailed: it could not be started, ended with a code other than 0, or outgrew its memory; with its last words.
        DeadlineExceeded: ``limits.time_s`` passed.
        Canceled: ``progress`` said so. It is asked at least every 0.2 s.
    """
    for inside in ("home", "tmp"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    arguments = [*_guarded(), *(str(part) for part in command)]
    target = log_file or folder / f"{name}.log"
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=_environment(folder, environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"{name} could not be started: {error.strerror}", tool=name) from None
    log.info("tool_started", tool=name, pid=process.pid)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None  # noqa: S101 - opened as a pipe
    reader = threading.Thread(
        target=_read, args=(process.stdout.fileno(), target, lines), name=f"{name}-log", daemon=True
    )
    reader.start()
    last: list[str] = []
    said = (0.0, f"{name} is running")
    next_look = started + MEMORY_POLL_S
    try:
        while process.poll() is None:
            for line in _drained(lines):
                last = [*last, line][-LAST_LINES:] if line.strip() else last
                said = read_line(line) or said
            progress(*said)
            now = time.monotonic()
            if now - started > limits.time_s:
                raise DeadlineExceeded(f"{name} was not done within {limits.time_s:.0f} s", tool=name)
            if now >= next_look:
                next_look = now + MEMORY_POLL_S
                _check_memory(name, process.pid, limits.memory_bytes)
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
    finally:
        end_group(process)
        reader.join(GRACE_S)
        process.stdout.close()
        log.info("tool_ended", tool=name, pid=process.pid, code=process.returncode)
    for line in _drained(lines):
        last = [*last, line][-LAST_LINES:] if line.strip() else last
        said = read_line(line) or said
    if process.returncode != 0:
        raise ToolFailed(
            f"{name} ended with {_code(process.returncode)}: {_words(last, folder)}",
            tool=name,
            code=process.returncode,
        )
    progress(*said)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, a moment, then SIGKILL to the process group that ``process`` leads; harmless when it is gone."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@cache
def _guarded() -> tuple[str, ...]:
    """What stands before the command: death with its parent, and no network, each where the system has it."""
    guards: list[str] = []
    setpriv, unshare = shutil.which("setpriv"), shutil.which("unshare")
    if unshare:
        isolated = [unshare, "--user", "--map-current-user", "--net", "--"]
        tried = subprocess.run([*isolated, "true"], capture_output=True, check=False, timeout=10)
        if tried.returncode == 0:
            guards += isolated
    if setpriv:  # after unshare: new credentials would forget the death signal
        guards += [setpriv, "--pdeathsig", "KILL", "--"]
    return tuple(guards)


def _environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), **more}


def _read(output: int, target: Path, lines: queue.SimpleQueue[str]) -> None:
    written = 0
    with target.open("ab") as file:
        # Progress bars end their lines with a carriage return.
        for raw in _split(iter(lambda: os.read(output, 65536), b"")):
            lines.put(raw.decode(errors="replace"))
            if written < MAX_LOG_BYTES:
                written += file.write(raw + b"\n")
                file.flush()


def _split(pieces: Iterable[bytes]) -> Iterable[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
        yield from whole
    if rest:
        yield rest


def _drained(lines: queue.SimpleQueue[str]) -> Iterable[str]:
    while True:
        try:
            yield lines.get_nowait()
        except queue.Empty:
            return


def _check_memory(name: str, pid: int, limit: int) -> None:
    used = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for one in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used += one.memory_info().rss
    if used > limit:
        raise ToolFailed(f"{name} took {used >> 20} MB of memory; it may take {limit >> 20} MB", tool=name)


def _code(code: int) -> str:
    return f"code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _words(last: list[str], folder: Path) -> str:
    """The program's last words, without where on this machine it worked."""
    return " | ".join(line.strip().replace(str(folder), ".") for line in last[-3:])[-400:] or "no output"
