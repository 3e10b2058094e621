"""Runs a foreign program: in its own folder, within limits, with a log and progress, and without survivors."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

import psutil
import structlog

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import DeadlineExceeded, ToolFailed

log = structlog.get_logger()

ReadLine = Callable[[str], tuple[float, str] | None]
"""Reads one line of a program's output: (fraction in [0, 1], message) where it tells of progress, else None."""

KEPT_ENVIRONMENT = ("PATH", "LANG", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
POLL_S, GRACE_S, MEMORY_POLL_S = 0.2, 3.0, 1.0
LAST_LINES, MAX_LOG_BYTES, MAX_LINE_BYTES = 8, 64 << 20, 64 << 10
MAX_FILE_BYTES = 8 << 30
"""The largest file that a program may write; a photogrammetry of 200 photos writes 2 GB at most."""
PATH = re.compile(r"(?<![\w.])/(?:[^\s/'\":]+/)+([^\s/'\":]*)")
"""An absolute path and, in it, the name of the file."""


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
    """Run ``command`` in ``folder`` until it has ended; nothing that it started is alive afterwards.

    The program sees no secret of ours (a short list of the environment, ``environment`` on top), a home and a temp
    folder inside ``folder``, and, where the system lets us take them away, no network, no other processes and no
    privileges. Its output goes to ``log_file`` (``folder/NAME.log`` by default) and, line by line, to ``read_line``:
    what a file that it reads makes it print is in there too, so a line is never to be trusted.

    Raises:
        ToolFailed: it could not be started, ended with a code other than 0, or outgrew its memory; with its last words.
        DeadlineExceeded: ``limits.time_s`` passed.
        Canceled: ``progress`` said so. It is asked at least every 0.2 s.
    """
    for inside in ("home", "tmp"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    if shutil.which(command[0]) is None:
        raise ToolFailed(f"{name} could not be started: {Path(command[0]).name} is not there", tool=name)
    started = time.monotonic()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        written = (log_file or folder / f"{name}.log").open("ab")
        process = subprocess.Popen(
            [*_guarded(), *(str(part) for part in command)],
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
    reader = threading.Thread(target=_read, args=(process.stdout, written, lines), name=f"{name}-log", daemon=True)
    reader.start()
    last: list[str] = []
    said = (0.0, f"{name} is running")

    def look() -> None:
        nonlocal last, said
        for line in _drained(lines):
            told = read_line(line)
            said = told or said
            if told is None and line.strip():  # what only tells of progress does not say why it failed
                last = [*last, line][-LAST_LINES:]

    next_look = started + MEMORY_POLL_S
    try:
        while process.poll() is None:
            look()
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
        log.info("tool_ended", tool=name, pid=process.pid, code=process.returncode)
    look()
    if process.returncode != 0:
        raise ToolFailed(
            f"{name} ended with {_code(process.returncode)}: {_words(last)}",
            tool=name,
            code=process.returncode,
        )
    progress(*said)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process group that ``process`` leads: all of it works in a folder of its own, which goes too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@cache
def _guarded() -> tuple[str, ...]:
    """What stands before the command, as much of it as the system has.

    Limits on files; a user namespace, in which no network is there; death with its parent; a process namespace, whose
    first process takes all others with it, also those that left the group; and no privileges in any of these.
    """
    prlimit, setpriv, unshare = (shutil.which(name) for name in ("prlimit", "setpriv", "unshare"))
    limited = [prlimit, f"--fsize={MAX_FILE_BYTES}", "--core=0", "--"] if prlimit else []
    mortal = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    choices: list[list[str]] = []
    if setpriv and unshare:
        user = [unshare, "--user", "--map-current-user", "--net", "--keep-caps", "--"]
        processes = [unshare, "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]
        powerless = [setpriv, "--no-new-privs", "--bounding-set=-all", "--ambient-caps=-all", "--inh-caps=-all", "--"]
        choices = [
            [*limited, *user, *mortal, *processes, *powerless],
            [*limited, *user[:-2], "--", *mortal],  # new credentials would forget a death signal that stood before
        ]
    for guards in choices:
        with suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([*guards, "true"], capture_output=True, check=False, timeout=10).returncode == 0:
                return tuple(guards)
    log.warning("tools_have_network", why="this system allows no user namespaces")
    return (*limited, *mortal)


def _environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), **more}


def _read(output: IO[bytes], written: IO[bytes], lines: queue.SimpleQueue[str]) -> None:
    """Drain the program's output to its end: it would hang on a full pipe."""
    with output, written:
        for raw in _split(iter(lambda: os.read(output.fileno(), 65536), b"")):
            lines.put(raw.decode(errors="replace"))
            with suppress(OSError):  # a full disk costs the log, not the work
                if written.tell() < MAX_LOG_BYTES:
                    written.write(raw + b"\n")
                    written.flush()


def _split(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Lines of at most MAX_LINE_BYTES; progress bars end theirs with a carriage return."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
        yield from whole
        while len(rest) > MAX_LINE_BYTES:
            yield rest[:MAX_LINE_BYTES]
            rest = rest[MAX_LINE_BYTES:]
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
    if code >= 0:
        return f"code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"


def _words(last: list[str]) -> str:
    """The program's last words, as plain text, without where on this machine it worked."""
    words = " | ".join(PATH.sub(r"\1", line.strip()) for line in last[-3:])
    return "".join(letter for letter in words if letter.isprintable())[-400:] or "no output"
