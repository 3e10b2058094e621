"""Attack programs that run as external programs reach nothing, with namespaces and in a container without them.

``tests/support/attacks.py`` is the attack program. Each barrier is tested by what the attack program reports and by
what its targets notice. The same attacks succeed without barriers.
"""

from __future__ import annotations

import json
import shutil
import socket
import stat
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from orchestrator.domain.limits import Limits, Sandbox
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.errors import FailedPrecondition, ToolFailed
from orchestrator.tools import program
from orchestrator.tools.barriers import seccomp, system_calls
from orchestrator.tools.cgroups import limited_group
from orchestrator.tools.program import run_program
from orchestrator.tools.sandbox import Barriers, check_sandbox, exposing_folder, supported_barriers
from tests.support import attacks
from tests.support.attacks import ON_THE_SYSTEM, ON_THE_TARGETS, Targets

SECRET = "hw_secret_of_the_operator"
SYSTEMS = {
    "with namespaces": supported_barriers(),
    "container": replace(supported_barriers(), network_namespace=False, process_namespace=False, cgroups=False),
    "container on Linux 5.13": replace(
        supported_barriers(), network_namespace=False, process_namespace=False, cgroups=False, landlock_abi=1
    ),
}
WITHOUT_EFFECT = {"share_token", "touch_blob", "limit_service", "slow_down_all"}
"""Attacks that report success, because programs use these calls on their own files, and that change nothing."""
pytestmark = pytest.mark.skipif(bool(supported_barriers().missing), reason="this system lacks barriers")


@dataclass(frozen=True)
class Attacked:
    """What an attack program reported, and what its targets noticed."""

    outcomes: dict[str, str]
    data: dict[str, tuple[bytes, int, float]]  # content, mode and time of change by file name
    received: tuple[str, ...]  # the sockets on which something arrived
    service_lives: bool
    service_open_files: tuple[int, int]  # its limit
    service_was_slowed_down: bool
    output: str


DATA = {"local_token": SECRET.encode(), "heartwood.sqlite": b"records", "blob": b"a photo"}


@pytest.fixture(scope="module")
def run_attacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Attacked]:
    """Run all attacks once on each of SYSTEMS, and those on the targets also without barriers."""
    results = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, barriers in SYSTEMS.items():
            patch.setattr(program, "supported_barriers", lambda barriers=barriers: barriers)
            results[name] = _attack(tmp_path_factory.mktemp("attack"), Sandbox.REQUIRE)
        results["off"] = _attack(tmp_path_factory.mktemp("attack"), Sandbox.OFF)
    return results


@pytest.fixture(params=SYSTEMS)
def attacked(request: pytest.FixtureRequest, run_attacks: dict[str, Attacked]) -> Attacked:
    return run_attacks[str(request.param)]


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Barriers:
    barriers = SYSTEMS[str(request.param)]
    monkeypatch.setattr(program, "supported_barriers", lambda: barriers)
    return barriers


def _attack(folder: Path, sandbox: Sandbox) -> Attacked:
    data, work = folder / "data", folder / "data" / "work" / "job"
    work.mkdir(parents=True)
    for name, content in DATA.items():
        (data / name).write_bytes(content)
        (data / name).chmod(0o600)
    shutil.copy(attacks.__file__, work / "attacks.py")
    with ExitStack() as stack:
        sockets = {
            "tcp": stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            "udp": stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            "unix": stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
            "abstract": stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
        }
        sockets["udp"].bind(("127.0.0.1", 0))
        sockets["unix"].bind(str(folder / "s"))
        sockets["abstract"].bind(f"\0{folder}")
        for listening in sockets.values():
            listening.setblocking(False)
        service = subprocess.Popen(["sleep", "600"], env={"HEARTWOOD_KEY": SECRET})
        niceness = psutil.Process(service.pid).nice()
        try:
            targets = Targets(
                str(data),
                seccomp.__file__,
                sockets["tcp"].getsockname()[1],
                sockets["udp"].getsockname()[1],
                str(folder / "s"),
                str(folder),
                service.pid,
            )
            command = [sys.executable, work / "attacks.py", json.dumps(targets), *["all"][sandbox is Sandbox.OFF :]]
            with suppress(ToolFailed):  # without barriers, the program leaves links
                run_program("attacks", command, work, limits=Limits(60, sandbox=sandbox))
            time.sleep(0.05)  # for a signal to arrive
            output = (work / "attacks.log").read_text()
            return Attacked(
                json.loads(output.splitlines()[-1]),
                {path.name: _state(path) for path in data.iterdir() if path.is_file()},
                tuple(name for name, listening in sockets.items() if _has_received(listening)),
                service.poll() is None,
                psutil.Process(service.pid).rlimit(psutil.RLIMIT_NOFILE) if service.poll() is None else (0, 0),
                service.poll() is None and psutil.Process(service.pid).nice() != niceness,
                output,
            )
        finally:
            service.kill()
            service.wait()


def _state(path: Path) -> tuple[bytes, int, float]:
    status = path.stat()
    return path.read_bytes(), stat.S_IMODE(status.st_mode), status.st_mtime


def _has_received(listening: socket.socket) -> bool:
    try:
        listening.accept() if listening.type == socket.SOCK_STREAM else listening.recv(16)
    except BlockingIOError:
        return False
    return True


def test_every_attack_on_the_service_succeeds_without_barriers(run_attacks: dict[str, Attacked]) -> None:
    off = run_attacks["off"]
    # kill ends the service, so the attacks on processes that follow fail. io_uring can be disabled by the system, and
    # some file systems have no flags.
    after_kill = {"kill_by_thread", "kill_by_descriptor", "read_environment", "read_memory", "trace", "limit_service"}
    failed = {name for name, outcome in off.outcomes.items() if outcome != "done"}
    assert failed <= {*after_kill, "io_uring", "user_namespace", "file_flags"}
    assert set(off.received) == {"tcp", "udp", "unix", "abstract"}
    assert not off.service_lives
    assert off.data.keys() == {"local_token", "new"}


@pytest.mark.parametrize("name", [function.__name__ for function in (*ON_THE_TARGETS, *ON_THE_SYSTEM)])
def test_attack_is_refused(run_attacks: dict[str, Attacked], name: str) -> None:
    outcomes = {system: run_attacks[system].outcomes[name] for system in SYSTEMS}
    succeeded = [system for system, outcome in outcomes.items() if outcome == "done"]
    assert succeeded == (list(SYSTEMS) if name in WITHOUT_EFFECT else [])


def test_data_folder_is_unreadable_and_unchanged(attacked: Attacked) -> None:
    assert {name: (content, mode) for name, (content, mode, _) in attacked.data.items()} == {
        name: (content, 0o600) for name, content in DATA.items()
    }
    assert all(time.time() - changed < 600 for _, _, changed in attacked.data.values())
    assert SECRET not in attacked.output


def test_nothing_arrives_at_any_socket(attacked: Attacked) -> None:
    assert attacked.received == ()


def test_service_is_neither_signalled_nor_limited(attacked: Attacked) -> None:
    assert attacked.service_lives
    assert not attacked.service_was_slowed_down
    assert attacked.service_open_files[0] > 3


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_too_many_processes_are_stopped(tmp_path: Path, system: Barriers) -> None:  # noqa: ARG001
    # The number of processes is bounded, because a bomb that nothing stopped would stop the machine.
    bomb = "import os, time\nfor _ in range(1500):\n    if os.fork() == 0: time.sleep(600)\ntime.sleep(600)"
    with pytest.raises(ToolFailed, match=r"started \d+ threads; the maximum is"):
        run_program("bomb", python(bomb), tmp_path, limits=Limits(60))
    assert not [process for process in psutil.process_iter() if _works_in(process, tmp_path)]


def test_process_that_leaves_its_group_and_its_parent_ends_too(tmp_path: Path, system: Barriers) -> None:  # noqa: ARG001
    daemon = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(600)
    os._exit(0)
"""
    run_program("daemon", python(daemon), tmp_path)
    assert not [process for process in psutil.process_iter() if _works_in(process, tmp_path)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


def test_memory_of_many_children_counts_together(tmp_path: Path, system: Barriers) -> None:  # noqa: ARG001
    hoarders = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = b'x' * (60 << 20)
        time.sleep(600)
time.sleep(600)
"""
    with pytest.raises(ToolFailed, match="its limit is 300 MB"):
        run_program("hoarders", python(hoarders), tmp_path, limits=Limits(60, memory_bytes=300 << 20))


@pytest.mark.skipif(not supported_barriers().cgroups, reason="this system delegates no control groups")
def test_control_group_counts_memory_that_no_process_shows(tmp_path: Path) -> None:
    # Bytes in sockets belong to no process, so measuring the processes does not find them.
    code = """
import socket, time
pairs = [socket.socketpair() for _ in range(480)]
for first, second in pairs:
    for end in (first, second):
        end.setblocking(False)
        try:
            while True: end.send(bytes(65536))
        except BlockingIOError: pass
time.sleep(600)
"""
    with pytest.raises(ToolFailed, match="its limit is 80 MB"):
        run_program("hoarder", python(code), tmp_path, limits=Limits(20, memory_bytes=80 << 20))


@pytest.mark.skipif(not supported_barriers().cgroups, reason="this system delegates no control groups")
def test_control_group_bounds_a_fork_bomb_and_is_removed() -> None:
    with limited_group(1 << 30, 20) as group:
        join = f"open({group.join_files[-1]!r}, 'w').write('0')"
        forks = "import os, time\nfor _ in range(30):\n    if os.fork() == 0: time.sleep(5); os._exit(0)"
        result = subprocess.run(python(f"{join}\n{forks}"), capture_output=True, text=True, check=False)
        for line in Path(group.join_files[-1]).read_text().splitlines():
            psutil.Process(int(line)).kill()
    assert "BlockingIOError" in result.stderr
    assert not any(folder.exists() for folder in group.folders)


@pytest.mark.parametrize("deleted", [False, True])
def test_program_that_fills_the_disk_is_stopped(tmp_path: Path, deleted: bool) -> None:
    filler = f"""
import os, time
for number in range(5):
    file = open(f'part-{{number}}', 'wb')
    file.write(os.urandom(4 << 20))
    file.flush()
    {"os.unlink(file.name)" if deleted else ""}
    keep = globals().setdefault('keep', []); keep.append(file)
time.sleep(600)
"""
    with pytest.raises(ToolFailed, match=r"wrote \d+ MB of files; its limit is 10 MB"):
        run_program("filler", python(filler), tmp_path, limits=Limits(60, disk_bytes=10 << 20))


NEST = "import os\nfor _ in range(3000): os.mkdir('folder'); os.chdir('folder')\n"


def test_program_that_nests_folders_without_end_is_refused_and_its_folder_is_removed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(ToolFailed, match="made a folder with a path of more than 2000 bytes"):
        run_program("nester", python(NEST), work)
    remove_untrusted(work)
    assert not work.exists()


def test_files_in_folders_that_forbid_to_be_read_count_and_are_removed(tmp_path: Path) -> None:
    hide = "os.mkdir('hidden'); open('hidden/file', 'wb').write(os.urandom(20 << 20)); os.chmod('hidden', 0o300)"
    limits = Limits(60, disk_bytes=10 << 20, sandbox=Sandbox.OFF)
    with pytest.raises(ToolFailed, match=r"wrote \d+ MB of files; its limit is 10 MB"):
        run_program("hider", python(f"import os, time; {hide}; time.sleep(60)"), tmp_path / "work", limits=limits)
    remove_untrusted(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_link_in_the_results_is_refused(tmp_path: Path) -> None:
    work = tmp_path / "work"
    leave_link = "import os; os.symlink('/etc/passwd', 'model.glb')"
    with pytest.raises(ToolFailed, match=r"left a link or a device in its folder: model\.glb"):
        run_program("linker", python(leave_link), work, limits=Limits(60, sandbox=Sandbox.OFF))
    assert not (work / "model.glb").is_symlink()


def test_pipe_in_the_results_is_refused(tmp_path: Path) -> None:
    limits = Limits(60, sandbox=Sandbox.OFF)
    with pytest.raises(ToolFailed, match="left a link or a device in its folder: model"):
        run_program("piper", python("import os; os.mkfifo('model')"), tmp_path, limits=limits)


def test_program_reads_the_given_files_and_no_others(tmp_path: Path, system: Barriers) -> None:  # noqa: ARG001
    photo, other, work = tmp_path / "photo", tmp_path / "other", tmp_path / "work"
    photo.write_text("a chair")
    other.write_text("a secret")
    run_program("reader", python(f"print(open({str(photo)!r}).read())"), work, read=(photo,))
    assert (work / "reader.log").read_text() == "a chair\n"
    with pytest.raises(ToolFailed, match="Permission denied"):
        run_program("reader", python(f"print(open({str(other)!r}).read())"), work, read=(photo,))


def test_required_barriers_that_are_missing_are_named_and_no_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "supported_barriers", lambda: Barriers(0, False, False, False, False))
    with pytest.raises(FailedPrecondition, match=r"without Landlock .*; .* without seccomp"):
        run_program("toucher", ["touch", "ran"], tmp_path, limits=Limits(60, sandbox=Sandbox.REQUIRE))
    assert not (tmp_path / "ran").exists()
    run_program("toucher", ["touch", "ran"], tmp_path, limits=Limits(60, sandbox=Sandbox.PREFER))
    assert (tmp_path / "ran").exists()


def test_data_folder_that_programs_can_read_is_refused(tmp_path: Path) -> None:
    inside = Path(sys.prefix) / "data"
    assert exposing_folder(inside) == str(Path(sys.prefix).resolve())
    assert exposing_folder(tmp_path) == ""
    with pytest.raises(FailedPrecondition, match="external programs can read"):
        check_sandbox(Sandbox.REQUIRE, supported_barriers(), private=inside)


@pytest.mark.parametrize("machine", seccomp.AUDIT_ARCH)
def test_filter_is_valid_on_every_architecture(machine: str) -> None:
    refused = dict.fromkeys(("shared_memory", "truncate", "signals", "new_processes"), False)
    program = seccomp.assemble(machine, 2, tcp=True, seqpacket=True, **refused)
    assert len(program) <= seccomp.MAX_INSTRUCTIONS
    for index, (code, if_true, if_false, _) in enumerate(program):
        if code in (seccomp.JUMP_EQUAL, seccomp.JUMP_AT_LEAST, seccomp.JUMP_ANY_BIT):
            assert index + 1 + max(if_true, if_false) < len(program)
    assert program[-1] == (seccomp.RETURN, 0, 0, seccomp.ALLOW)


def test_numbers_of_system_calls_are_those_of_the_kernel() -> None:
    headers = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))
    if not all(header.is_file() for header in headers):
        pytest.skip("the kernel's headers are not installed")
    x86_64, generic = map(_defined_numbers, headers)
    tables = [value for name, value in vars(system_calls).items() if name.isupper() and isinstance(value, dict)]
    for name, numbers in [entry for table in tables for entry in table.items()]:
        assert (name, x86_64.get(name, numbers[0]), generic.get(name, numbers[1])) == (name, *numbers)


def _defined_numbers(header: Path) -> dict[str, int]:
    lines = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    return {line[1].removeprefix("__NR_"): int(line[2]) for line in lines if len(line) > 2 and line[2].isdigit()}
