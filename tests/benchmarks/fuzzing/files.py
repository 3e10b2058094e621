"""Decodes mutated files in child processes, and checks what each file may cause.

A child that a decoder crashes, or that exceeds its CPU time, is replaced. Its input is a finding.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

from orchestrator.errors import InvalidInput
from tests.benchmarks.fuzzing.byte_mutations import changed_bytes
from tests.benchmarks.fuzzing.findings import Finding, Outcome
from tests.benchmarks.fuzzing.mesh_mutations import changed_mesh
from tests.benchmarks.fuzzing.photo_mutations import changed_photo

CPU_S = 20
"""Maximum CPU time of one input, after which the child is killed. The largest photo that is allowed, 100 megapixels,
takes 5 s."""
MAX_GROWTH_MB = 2500
"""Maximum memory of one input. A photo of 100 megapixels needs 1.5 GB."""
STRUCTURE_SHARE = 0.6
"""Share of the inputs whose structure is changed; the others differ in bytes only."""
MAX_CRASHES = 50
"""Number of crashes after which the run of a kind ends."""


@dataclass(frozen=True)
class Task:
    """A kind of input, and the numbers of the inputs that a child makes. The same numbers give the same inputs."""

    kind: str
    seeds: dict[str, tuple[bytes, str]]  # contents and file names
    seed: int
    first: int
    step: int
    end: int


def run_files(kind: str, seeds: dict[str, tuple[bytes, str]], count: int, seed: int, processes: int) -> Outcome:
    """Decode ``count`` mutated files in child processes.

    Args:
        kind: ``photo``, ``mesh`` (the checks before the reader), ``mesh reader`` (all checks), or ``fault``.
    """
    context = multiprocessing.get_context("spawn")
    outcome = Outcome()
    started = time.monotonic()
    children: dict[Any, tuple[Any, Task, Any]] = {}

    def start(task: Task) -> None:
        receiver, sender = context.Pipe(duplex=False)
        current = context.Value("q", task.first, lock=False)
        child = context.Process(target=_work, args=(task, sender, current), daemon=True)
        child.start()
        sender.close()
        children[receiver] = (child, task, current)

    for number in range(processes):
        start(Task(kind, seeds, seed, number, processes, count))
    crashes = 0
    while children:
        for receiver in wait(list(children)):
            child, task, current = children[receiver]
            try:
                outcome.add(receiver.recv())  # type: ignore[union-attr]
                continue
            except EOFError:
                del children[receiver]
            child.join()
            if child.exitcode:
                crashes += 1
                outcome.inputs[kind] += 1
                outcome.findings.append(_crash(task, current.value, child.exitcode))
                if crashes < MAX_CRASHES:
                    start(Task(kind, seeds, seed, current.value + task.step, task.step, count))
    outcome.seconds[kind] = time.monotonic() - started  # type: ignore[assignment]
    return outcome


def mutated_file(task: Task, number: int) -> tuple[bytes, str, str]:
    """Return the input of this number: its bytes, its file name and the name of the file it was made from."""
    choice = Random(f"{task.seed} {task.kind} {number}")  # noqa: S311 - not used for security
    name, other = choice.choice(list(task.seeds)), choice.choice(list(task.seeds))
    data, filename = task.seeds[name]
    other_data = task.seeds[other][0]
    if task.kind == "fault":
        name = list(task.seeds)[number % len(task.seeds)]
        return *task.seeds[name], name
    change_structure = changed_photo if task.kind == "photo" else changed_mesh
    if choice.random() < STRUCTURE_SHARE:
        for _ in range(choice.choice((1, 1, 1, 2, 4))):
            data = change_structure(data, choice, other_data)
    if choice.random() < 1.0 - STRUCTURE_SHARE / 2:
        data = changed_bytes(data, choice, other_data)
    return data, filename, name


def _crash(task: Task, number: int, code: int) -> Finding:
    data, _, name = mutated_file(task, number)
    reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
    if -code == signal.SIGPROF:
        reason = f"more than {CPU_S} s of CPU time"
    return Finding(task.kind, f"the decoder ended with {reason}", f"seed {task.seed}, input {number} ({name})", data)


def _work(task: Task, results: Connection, current: Any) -> None:
    """Decode the inputs of a task, and send the results."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # kills the process, even while it runs C code
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes its warnings to the standard error output
    check = _checks()[task.kind]
    with tempfile.TemporaryDirectory() as scratch, _watched_files(Path(scratch)) as touched:
        for number in range(task.first, task.end, task.step):
            current.value, outcome = number, Outcome()
            data, filename, name = mutated_file(task, number)
            touched.clear()
            folder = Path(scratch) / str(number)
            folder.mkdir()
            problem, is_accepted, seconds, megabytes = _measured(check, data, filename, folder)
            if touched and task.kind != "mesh reader":
                problem = problem or f"the decoder opened {touched[0]}"
            if megabytes > MAX_GROWTH_MB:
                problem = problem or f"the decoder used {megabytes:.0f} MB"
            if problem:
                source = f"seed {task.seed}, input {number} ({name})"
                outcome.findings.append(Finding(task.kind, problem, source, data))
            shutil.rmtree(folder)
            outcome.inputs[task.kind] += 1
            outcome.accepted[task.kind] += is_accepted
            outcome.slowest_s[task.kind], outcome.largest_mb[task.kind] = seconds, megabytes
            results.send(outcome)  # at once, because the next file may crash this process


def _measured(
    check: Callable[[bytes, str, Path], object], data: bytes, filename: str, folder: Path
) -> tuple[str, bool, float, float]:
    """Return the problem (empty if there is none), whether the file is valid, the CPU time in s, the memory in MB."""
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before, started = _memory_mb("VmRSS"), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    problem, is_accepted = "", False
    try:
        check(data, filename, folder)
        is_accepted = True
    except InvalidInput as error:
        problem = message_problem(error)
    except BaseException as error:  # noqa: BLE001 - every other error is a finding
        problem = f"{type(error).__name__}: {error}\n{''.join(traceback.format_tb(error.__traceback__)[-3:])}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    return problem, is_accepted, time.process_time() - started, _memory_mb("VmHWM") - before


def message_problem(error: InvalidInput) -> str:
    """Describe why an error about a file is not one that a caller may see; empty if it is."""
    internal = ("Traceback", tempfile.gettempdir(), "site-packages", "orchestrator", str(Path.cwd()))
    for word in internal:
        if word in error.message:
            return f"the message contains {word!r}: {error.message}"
    if not error.message.isprintable() or len(error.message) > 1000:
        return f"the message is not a printable line of at most 1000 characters: {error.message!r}"
    return "" if error.field == "data" else f"the error names the field {error.field!r}"


def _memory_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@contextmanager
def _watched_files(scratch: Path) -> Iterator[list[str]]:
    """Yield a list of the forbidden actions: files outside of Python and ``scratch``, connections and programs."""
    allowed = (
        sys.prefix,
        sys.base_prefix,
        str(scratch),
        "/proc/",
        "/sys/",
        "/dev/",
        "/usr/",
        str(Path.cwd()),
        "/etc/ld",
    )
    touched: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            path, flags = os.fsdecode(arguments[0]), arguments[2]
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            is_allowed = path.startswith((str(scratch), "/dev/null", "/proc/")) if writes else path.startswith(allowed)
            if not is_allowed:
                touched.append(path)
        elif event in ("socket.connect", "subprocess.Popen", "os.system", "os.remove", "os.symlink"):
            touched.append(f"{event} {arguments}")

    sys.addaudithook(watch)
    yield touched


def _checks() -> dict[str, Callable[[bytes, str, Path], object]]:
    from tests.benchmarks.fuzzing import file_checks  # imports the decoders, which only the children need

    return {
        "fault": file_checks.fail,
        "photo": file_checks.check_photo,
        "mesh": file_checks.check_mesh_without_reader,
        "mesh reader": file_checks.check_mesh_with_reader,
    }
