"""Runs an external program in its own folder, with resource limits, a log and progress, and ends all its processes."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import structlog

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits, Sandbox
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import DeadlineExceeded, ToolFailed, ToolKilled
from orchestrator.tools.barriers.launch import options_file
from orchestrator.tools.cgroups import Group, limited_group
from orchestrator.tools.left_links import remove_new_special_files, special_files
from orchestrator.tools.sandbox import (
    Barriers,
    check_sandbox,
    sandbox_options,
    sandbox_prefix,
    supported_barriers,
    unconfined_prefix,
)
from orchestrator.tools.server_paths import remove_folders
from orchestrator.tools.usage import disk_usage, process_usage

log = structlog.get_logger()

ReadLine = Callable[[str], tuple[float, str] | None]
"""Parses one line of a program's output. Returns (fraction in [0, 1], message) if the line reports progress."""

INHERITED_VARIABLES = ("PATH", "LANG", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
POLL_S = 0.2
"""Interval at which output is read and progress is reported."""
MAX_GROUP_THREADS = 1280
"""Maximum in the control group. It leaves time to measure more than MAX_THREADS, which names the reason."""
USAGE_POLL_S = 0.2
"""Interval at which memory and threads are measured. On a system with 260 processes, that takes 7 ms of CPU time."""
DISK_POLLS = 10
"""Every DISK_POLLS-th measurement includes the files."""
MAX_THREADS = 1024
"""Maximum number of threads of all processes. On 64 cores, Blender and PyTorch start up to 3 threads per core."""
READER_TIMEOUT_S = 3.0
"""Time limit for reading the remaining output after the program has ended."""
KEPT_LINES = 3
"""Number of last output lines in the error message."""
MAX_OUTPUT_CHARACTERS = 400  # of these lines together; earlier characters are cut off
MAX_LOG_BYTES = 64 << 20
"""Maximum size of the log. Further output is read and discarded."""
MAX_LINE_BYTES = 64 << 10
"""Longer lines are split."""
PROGRESS_LINE = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")


def run_program(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *,
    log_file: Path | None = None,
    read: Iterable[Path] = (),
    limits: Limits = DEFAULT_LIMITS,
    environment: Mapping[str, str] | None = None,
    read_line: ReadLine = lambda line: None,  # noqa: ARG005
    progress: Progress = no_progress,
) -> None:
    """Run ``command`` in ``folder`` until it ends. When this function returns or raises, all its processes have ended.

    The program gets a short list of environment variables and no secrets. Its home and temporary folders are inside
    ``folder``. As far as the system supports it, the program reads and writes no other files, has no network, reaches
    no other processes and has no privileges; see ``tools.sandbox``.

    Args:
        name: name of the program in messages and in the log.
        log_file: receives the output; default is ``folder/NAME.log``.
        read: files and folders outside ``folder`` that the program may read, besides its own.
        environment: further environment variables.
        read_line: receives the output line by line. An input file can influence lines, so they are untrusted.

    Raises:
        ToolFailed: the program did not start, exited with a code other than 0, exceeded its limit of memory, disk space
            or threads, nested folders too deeply, or left a link, pipe or device, which is removed. The message
            contains its last output.
        ToolKilled: somebody else killed the program.
        FailedPrecondition: ``limits.sandbox`` requires a barrier that this system lacks.
        DeadlineExceeded: ``limits.time_s`` passed.
        Canceled: raised by ``progress``, which is called at least every 0.2 s.
    """
    for subfolder in ("home", "tmp"):
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
    if shutil.which(command[0]) is None:
        raise ToolFailed(f"{name} could not be started: {Path(command[0]).name} was not found", tool=name)
    inherited = {variable: os.environ[variable] for variable in INHERITED_VARIABLES if variable in os.environ}
    folders = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    full_environment = {**inherited, **folders, **(environment or {})}
    known = special_files(folder)
    full_log = log_file or folder / f"{name}.log"
    barriers = None if limits.sandbox is Sandbox.OFF else supported_barriers()
    if barriers is not None:
        check_sandbox(limits.sandbox, barriers)
    with _limited_group(limits, barriers) as group:
        try:
            with _confined(list(map(str, command)), folder, read, barriers, group) as (full_command, descriptors):
                run = _Run(name, full_command, folder, full_log, full_environment, read_line, descriptors)
        except OSError as error:
            raise ToolFailed(f"{name} could not be started: {error.strerror}", tool=name) from None
        try:
            run.wait(limits, group, progress)
        finally:
            run.end()
            left = remove_new_special_files(folder, known)
        run.check_group(limits, group)
    run.finish(progress)
    if left:
        raise ToolFailed(f"{name} left a link or a device in its folder: {', '.join(left[:KEPT_LINES])}", tool=name)


def _limited_group(limits: Limits, barriers: Barriers | None) -> AbstractContextManager[Group]:
    if barriers is None or not barriers.cgroups:
        return nullcontext(Group(()))
    return limited_group(limits.memory_bytes, MAX_GROUP_THREADS)


@contextmanager
def _confined(
    command: list[str], folder: Path, read: Iterable[Path], barriers: Barriers | None, group: Group
) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield the command that runs ``command`` behind barriers, if any, and the descriptors that it inherits."""
    if barriers is None:
        yield [*unconfined_prefix(), *command], ()
        return
    options = options_file(sandbox_options(barriers, command[0], folder, read=read, join_groups=group.join_files))
    try:
        yield [*sandbox_prefix(barriers, options), *command], (options,)
    finally:
        os.close(options)


def read_progress(line: str) -> tuple[float, str] | None:
    """Parse a line ``PROGRESS <fraction in [0, 1]> <message>``, by which Heartwood's scripts report progress."""
    match = PROGRESS_LINE.match(line)
    return (min(float(match[1]), 1.0), match[2]) if match else None


class _Run:
    """A running program, and what its output has reported so far. Creating it raises OSError if it does not start."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        log_file: Path,
        env: dict[str, str],
        read_line: ReadLine,
        descriptors: tuple[int, ...],
    ) -> None:
        self._name = name
        self._folder = folder
        self._read_line = read_line
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._last_lines: list[str] = []
        self._progress = (0.0, f"{name} is running")
        log_output = log_file.open("ab")
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,  # for RUN_IF_PARENT_LIVES
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=descriptors,
        )
        log.info("tool_started", tool=name, pid=self._process.pid)
        streams = (self._process.stdout, log_output, self._lines, folder)
        self._reader = threading.Thread(target=_read_output, args=streams, name=f"{name}-log", daemon=True)
        self._reader.start()

    def wait(self, limits: Limits, group: Group, progress: Progress) -> None:
        """Report progress and enforce the limits until the program ends."""
        next_check, checks = self._started + USAGE_POLL_S, 0
        while self._process.poll() is None:
            self._process_lines()
            progress(*self._progress)
            now = time.monotonic()
            if now - self._started > limits.time_s:
                problem = f"did not finish within its time limit of {limits.time_s:.0f} s"
                raise DeadlineExceeded(f"{self._name} {problem}", tool=self._name)
            if now >= next_check:
                checks += 1
                self._check_usage(limits, include_disk=checks % DISK_POLLS == 0)
                self.check_group(limits, group)
                next_check = time.monotonic() + USAGE_POLL_S
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_S)

    def end(self) -> None:
        """End all processes of the program, and read its remaining output."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.join(READER_TIMEOUT_S)
        log.info("tool_ended", tool=self._name, pid=self._process.pid, code=self._process.returncode)

    def finish(self, progress: Progress) -> None:
        """Report the last progress, or raise ToolFailed or ToolKilled if the exit code is not 0."""
        self._process_lines()
        if code := self._process.returncode:
            if _killed_in_namespace(code, self._last_lines):
                code, self._last_lines = -signal.SIGKILL, self._last_lines[:-1]
            message = f"{self._name} ended with {_describe_code(code)}: {_printable(self._last_lines, self._folder)}"
            kind = ToolKilled if code == -signal.SIGKILL else ToolFailed
            raise kind(message, tool=self._name, code=code)
        progress(*self._progress)

    def check_group(self, limits: Limits, group: Group) -> None:
        """Raise ToolFailed if the kernel has enforced a limit of the control group. The program may run on."""
        if group.exceeded_memory():
            raise _memory_exceeded(self._name, limits)
        if group.exceeded_threads():
            raise _threads_exceeded(self._name, MAX_GROUP_THREADS)

    def _check_usage(self, limits: Limits, *, include_disk: bool) -> None:
        """Raise ToolFailed if the program exceeds a limit."""
        used = process_usage(self._process.pid)
        if used.threads > MAX_THREADS:
            raise _threads_exceeded(self._name, used.threads)
        if used.memory_bytes > limits.memory_bytes:
            raise _memory_exceeded(self._name, limits)
        if include_disk and (size := disk_usage(self._folder, used.pids)) > limits.disk_bytes:
            rule = f"its limit is {limits.disk_bytes >> 20} MB (HEARTWOOD_TOOL_DISK_GB)"
            raise ToolFailed(f"{self._name} wrote {size >> 20} MB of files; {rule}", tool=self._name, disk_bytes=size)

    def _process_lines(self) -> None:
        """Process the output that has arrived. Lines that report progress are not kept for the error message."""
        with suppress(queue.Empty):
            while True:
                line = self._lines.get_nowait()
                if (reported := self._read_line(line)) is not None:
                    self._progress = reported
                elif line.strip():
                    self._last_lines = [*self._last_lines, line][-KEPT_LINES:]


def _killed_in_namespace(code: int, last_lines: Sequence[str]) -> bool:
    """Return whether the program in the namespaces of ``unshare`` was killed.

    ``unshare`` tries to end in the same way as the program. It fails to do so for SIGKILL, and ends with an error.
    """
    return code == 1 and bool(last_lines) and "unshare: " in last_lines[-1]


def _read_output(output: IO[bytes], log_output: IO[bytes], lines: queue.SimpleQueue[str], folder: Path) -> None:
    """Read the program's output to its end, so that the program never blocks on a full pipe.

    The log contains no folders, because it can become part of a result.
    """
    with output, log_output:
        for line in _split_lines(iter(lambda: os.read(output.fileno(), 65536), b"")):
            text = line.decode(errors="replace")
            lines.put(text)
            with suppress(OSError):  # a full disk must not stop the program
                if log_output.tell() < MAX_LOG_BYTES:
                    log_output.write(f"{remove_folders(text, folder)}\n".encode())
                    log_output.flush()


def _split_lines(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """Yield lines of at most MAX_LINE_BYTES. A carriage return, as progress bars use it, also ends a line."""
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        yield from complete
        while len(rest) > MAX_LINE_BYTES:
            yield rest[:MAX_LINE_BYTES]
            rest = rest[MAX_LINE_BYTES:]
    if rest:
        yield rest


def _threads_exceeded(name: str, threads: int) -> ToolFailed:
    problem = f"{name} started {threads} threads; the maximum is {MAX_THREADS}"
    return ToolFailed(problem, tool=name, threads=threads)


def _memory_exceeded(name: str, limits: Limits) -> ToolFailed:
    rule = f"its limit is {limits.memory_bytes >> 20} MB (HEARTWOOD_TOOL_MEMORY_GB)"
    return ToolFailed(f"{name} used too much memory; {rule}", tool=name, memory_bytes=limits.memory_bytes)


def _describe_code(code: int) -> str:
    if code >= 0:
        return f"code {code}"
    with suppress(ValueError):  # real-time signals have no name
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


def _printable(lines: list[str], folder: Path) -> str:
    """Join output lines for a message. Removes control characters, and the folders of paths."""
    text = " | ".join(remove_folders(line.strip(), folder) for line in lines)
    return "".join(character for character in text if character.isprintable())[-MAX_OUTPUT_CHARACTERS:] or "no output"
