"""Decoding runs in limited processes: their results are those of the decoders, and bombs and crashes harm nobody."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.decoding.pool import DecodePool, opened, photo_size
from orchestrator.decoding.result import BrokenResult, TaskResult, create_file, read_result, write_result
from orchestrator.domain.limits import DecodeLimits
from orchestrator.errors import InvalidInput, ResourceExhausted
from orchestrator.imaging.photo import BLACK, WHITE, read_photo
from tests.support.bad_photos import CORPUS
from tests.support.bombs import png_bomb, scan_bomb
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import wait_for

PHOTO = jpeg(wood_photo(200, 150))


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    """A pool with the default limits."""
    pool = DecodePool(DecodeLimits())
    yield pool
    pool.close()


def decode(pool: DecodePool, data: bytes, **arguments: object) -> TaskResult:
    options = {"max_side": 0, "backdrop": WHITE, "is_mask": False, **arguments}
    return pool.photo_task("decode_photo", data, "data", **options)


def task_processes(pool: DecodePool) -> list[psutil.Process]:
    return psutil.Process(pool.template_pid).children() if pool.template_pid else []


@pytest.mark.parametrize(
    "name", ["plain jpeg", "orientation 6", "heic", "avif", "tiff", "half transparent black on white"]
)
def test_a_photo_is_decoded_as_in_this_process(pool: DecodePool, name: str) -> None:
    data = CORPUS[name].data
    image = decode(pool, data).image
    assert image is not None
    assert np.array_equal(image, read_photo(data))
    image[0, 0] = 1  # it is private to this process
    small = decode(pool, data, max_side=40).image
    assert small is not None
    assert np.array_equal(small, read_photo(data, max_side=40))
    mask = decode(pool, data, is_mask=True, backdrop=BLACK).image
    assert mask is not None
    assert np.array_equal(mask, read_photo(data, backdrop=BLACK).max(axis=2))


def test_an_error_is_the_one_of_the_decoder(pool: DecodePool) -> None:
    with pytest.raises(InvalidInput) as here:
        read_photo(CORPUS["jpeg cut in half"].data, "data")
    with pytest.raises(InvalidInput) as there:
        decode(pool, CORPUS["jpeg cut in half"].data)
    assert (there.value.field, there.value.message) == (here.value.field, here.value.message)


def test_a_file_that_needs_too_much_time_is_refused() -> None:
    pool = DecodePool(DecodeLimits(cpu_s=1))
    with pytest.raises(InvalidInput, match="more than 1 s of CPU time") as refused:
        pool.photo_task("check_photo", scan_bomb(50), "data")
    assert refused.value.field == "data"
    assert decode(pool, PHOTO).image is not None
    pool.close()


def test_a_file_that_needs_too_much_memory_is_refused() -> None:
    pool = DecodePool(DecodeLimits(memory_bytes=300 << 20))
    with pytest.raises(InvalidInput, match="memory") as refused:
        decode(pool, png_bomb())
    assert refused.value.field == "data"
    assert decode(pool, PHOTO).image is not None
    pool.close()


def running_task(pool: DecodePool, canceled: threading.Event | None = None) -> tuple[list[Exception], threading.Thread]:
    """Start a task that takes seconds. Return the list that its error will be in, and its thread."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            pool.photo_task("check_photo", scan_bomb(50), "data", canceled)
        except (InvalidInput, ResourceExhausted) as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: [child for child in task_processes(pool) if child.memory_info().rss > 150 << 20], 30)
    return errors, thread


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [(signal.SIGSEGV, InvalidInput, "makes the decoder fail"), (signal.SIGKILL, ResourceExhausted, "lacks memory")],
)
def test_a_file_that_crashes_its_decoder_is_refused(
    pool: DecodePool, number: signal.Signals, error: type[Exception], message: str
) -> None:

    errors, thread = running_task(pool)
    for child in task_processes(pool):
        child.send_signal(number)
    thread.join(30)
    assert isinstance(errors[0], error)
    assert message in str(errors[0])
    assert decode(pool, PHOTO).image is not None


def test_a_task_whose_result_is_not_needed_is_killed(pool: DecodePool) -> None:
    canceled = threading.Event()
    _, thread = running_task(pool, canceled)
    canceled.set()
    thread.join(5)
    assert not thread.is_alive()
    wait_for(lambda: not task_processes(pool), 5)


def test_tasks_continue_with_a_new_template_when_it_is_killed(pool: DecodePool) -> None:
    assert decode(pool, PHOTO).image is not None
    killed = pool.template_pid
    os.kill(killed, signal.SIGKILL)
    assert decode(pool, PHOTO).image is not None
    assert pool.template_pid not in (0, killed)


def test_tasks_continue_with_a_new_template_while_the_former_one_is_ending(pool: DecodePool) -> None:
    assert decode(pool, PHOTO).image is not None
    ending, control = pool.template_pid, pool._template._control
    assert control is not None
    control.shutdown(socket.SHUT_RDWR)
    assert decode(pool, PHOTO).image is not None
    assert pool.template_pid not in (0, ending)


def test_a_pool_that_is_closed_ends_its_tasks_and_starts_no_others() -> None:
    pool = DecodePool(DecodeLimits())
    errors, thread = running_task(pool)
    pool.close()
    thread.join(5)
    assert [type(error) for error in errors] == [ResourceExhausted]
    assert pool.template_pid == 0


def test_the_processes_end_with_the_service_and_know_no_secret(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        "from orchestrator.decoding.pool import decode_pool\n"
        "import threading, time\n"
        "pool, code = decode_pool(), b'__import__(\"time\").sleep(60)'\n"
        "pool._template.module = 'tests.support.hostile_decoder'\n"
        "threading.Thread(target=pool.photo_task, args=('attack', code, 'data'), daemon=True).start()\n"
        "while not pool.template_pid: time.sleep(0.05)\n"
        "print('pid', pool.template_pid, flush=True)\n"
        "time.sleep(20)\n"
    )
    environment = {**os.environ, "HEARTWOOD_OPENAI_API_KEY": "sk-secret", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert service.stdout is not None
        line = next(line for line in service.stdout if line.startswith(b"pid"))
        template = psutil.Process(int(line.split()[1]))
        task = wait_for(lambda: template.children(), 30)[0]
        for process in (template, task):
            assert "sk-secret" not in "".join(process.environ().values())
            assert not any(name.startswith("HEARTWOOD") for name in process.environ())
        service.kill()
    wait_for(lambda: not template.is_running() and not task.is_running(), 10)


def test_photos_that_are_decoded_at_a_time_have_limited_pixels_together() -> None:
    """Photos of 27 megapixels are decoded one after the other if 30 may be decoded at a time."""
    pool, photo = DecodePool(DecodeLimits(pixels=30_000_000)), png_bomb(5200)
    threads = [threading.Thread(target=pool.photo_task, args=("check_photo", photo, "data")) for _ in range(2)]
    most = 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        large = [child for child in task_processes(pool) if _resident(child) > 130 << 20]
        most = max(most, len(large))
        time.sleep(0.01)
    pool.close()
    assert most == 1


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def test_a_large_input_in_memory_is_passed_completely() -> None:
    data = os.urandom(3 << 20)
    with opened(data) as file:
        assert os.pread(file, len(data) + 1, 0) == data


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.dictionaries(st.sampled_from(["height", "width", "channels", "type"]), st.integers() | st.text()).map(
            lambda facts: _framed(repr(facts).replace("'", '"').encode())
        ),
    )
)
def test_whatever_a_process_writes_is_read_as_data_or_refused(written: bytes) -> None:
    file = create_file()
    try:
        os.pwrite(file, written, 0)
        try:
            result = read_result(file)
        except BrokenResult:
            return
        assert result.image is None or result.image.dtype == np.uint8
    finally:
        os.close(file)


def _framed(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    ("columns", "rows"), [(10**9, 10**9), (-4, -4), (0, 5), ("4", 5), (4.5, 5), (float("inf"), 5), (None, 5)]
)
def test_a_size_that_no_photo_can_have_is_refused(columns: object, rows: object) -> None:
    assert photo_size({"columns": 4, "rows": 5}, "data") == (4, 5)
    with pytest.raises(InvalidInput, match="size"):
        photo_size({"columns": columns, "rows": rows}, "data")


def test_a_result_is_read_as_it_was_written() -> None:
    file, image = create_file(), np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    write_result(file, TaskResult({"type": "image/png"}, image))
    read = read_result(file)
    os.close(file)
    assert read.facts == {"type": "image/png"}
    assert np.array_equal(read.image, image)


ATTACKS = {
    "read a file": "open('{secret}').read()",
    "write a file": "open('{folder}/written', 'w')",
    "list the folder": "__import__('os').listdir('{folder}')",
    "open a socket": "__import__('socket').socket()",
    "start a process": "__import__('os').fork() or __import__('time').sleep(60)",
    "start a program": "__import__('subprocess').run(['/bin/true'], check=True)",
    "signal the service": "__import__('os').kill({service}, 0)",
    "share a process group, which kill(0) signals": "__import__('os').getpgrp() == __import__('os').getpid() and 1 / 0",
    "see other processes": "open('/proc/{service}/environ').read()",
    "take memory that no process has": "__import__('os').memfd_create('hidden')",
}


@pytest.fixture(scope="module")
def hostile_pool() -> Iterator[DecodePool]:
    """A pool that runs Python code as a task, as an exploit of a decoder would, through the real template."""
    pool = DecodePool(DecodeLimits())
    pool._template.module = "tests.support.hostile_decoder"
    yield pool
    pool.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_code_in_a_decoder_reaches_nothing(hostile_pool: DecodePool, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    code = ATTACKS[name].format(secret=secret, folder=tmp_path, service=os.getpid())
    with pytest.raises(InvalidInput, match="reached nothing"):
        hostile_pool.photo_task("attack", code.encode(), "data")


def test_code_in_a_decoder_can_compute(hostile_pool: DecodePool) -> None:
    with pytest.raises(InvalidInput, match="reached something"):
        hostile_pool.photo_task("attack", b"1 + 1", "data")
