"""Delivers webhooks to receivers that answer with mutated HTTP responses."""

from __future__ import annotations

import asyncio
import gzip
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from orchestrator.domain.jobs import JobState
from orchestrator.domain.webhooks import Delivery, WebhookPolicy
from orchestrator.jobs import webhooks
from orchestrator.jobs.webhooks import Webhooks
from orchestrator.store.records import Records
from orchestrator.store.webhook_records import WebhookRecords
from tests.benchmarks.fuzzing.byte_mutations import changed_bytes, changed_parts
from tests.benchmarks.fuzzing.findings import Finding, Outcome
from tests.support.records import job_record
from tests.support.running_service import wait_for

KIND = "webhook response"
TENANTS = 32
"""Number of tenants, so that many attempts run at the same time."""
BATCH = 1000
MAX_GROWTH_MB = 300
"""Maximum memory for all attempts of a batch, with 128 attempts at a time."""
SECRET_PATH = "/canary"
"""Path to which responses redirect. No request may follow."""
RESPONSES = (
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\nfailed",
    b"HTTP/1.1 302 Found\r\nLocation: /canary\r\n\r\n",
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:22/canary\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nSet-Cookie: a=b; Path=/; Expires=x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(1 << 20)),
    b"HTTP/2 200\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"<html>no status line</html>",
    b"\x15\x03\x01\0\2\2\x46",  # an alert of TLS
)
HEADERS = (
    *(b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 1, 2", b"Content-Length: a"),
    *(
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Encoding: br",
        b"X: " + b"a" * 9000,
    ),
    *(
        b"Content-Encoding: deflate",
        b"Set-Cookie: \xff\0=;=",
        b"Set-Cookie: " + b"a=b; " * 500,
        b": x",
        b"X\0: y",
        b"\xe9: x",
    ),
    *(b"Location: file:///etc/passwd", b"Location: \xff", b"Connection: upgrade", b"X: a\r\n folded", b"Refresh: 0"),
    *(b"Content-Type: text/html; charset=\xff", b"Date: x", b"X: \x7f\x01", b"A" * 9000 + b": x", b"Retry-After: 1e99"),
)
STATUS_LINES = (
    *(b"HTTP/1.1 200", b"HTTP/1.1 099 x", b"HTTP/1.1 1000 x", b"HTTP/1.1 -1 x", b"HTTP/1.1 2e2 x", b"HTTP/9.9 200 x"),
    *(b"HTTP/1.1  200  OK", b"HTTP/1.1 200 \xff\xfe", b"HTTP/1.1 299 " + b"a" * 9000, b"ICY 200 OK", b"200", b""),
    *(b"HTTP/1.1 999 x", b"HTTP/1.1 000 x", "HTTP/1.1 ２００ x".encode(), b"HTTP/1.1 200\0 OK", b"http/1.1 200 OK"),
)


def mutated_response(seed: int, number: int) -> bytes:
    """Return the bytes with which the receiver answers this number of a request."""
    choice = Random(f"{seed} {KIND} {number}")  # noqa: S311 - not used for security
    response, other = choice.choice(RESPONSES), choice.choice(RESPONSES)
    if choice.random() < 0.7:
        head, separator, body = response.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        if choice.random() < 0.3:
            status = choice.choice(STATUS_LINES)
        for _ in range(choice.choice((0, 1, 2, 4))):
            lines = changed_parts(lines, choice, HEADERS)
        if choice.random() < 0.05:
            lines += [b"X-%d: y" % index for index in range(choice.choice((100, 1000, 20_000)))]
        response = b"\r\n".join((status, *lines)) + separator + body
    if choice.random() < 0.5:
        response = changed_bytes(response, choice, other)
    return response


class Receiver:
    """A server on loopback. The number in the path of a request selects the answer, which it sends in pieces."""

    def __init__(self, seed: int) -> None:
        self.canaries = 0
        self._seed = seed
        self._loop = asyncio.new_event_loop()
        server = asyncio.start_server(self._answer, "127.0.0.1", 0)
        self._server = self._loop.run_until_complete(server)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if path == SECRET_PATH:
                self.canaries += 1
            response = mutated_response(self._seed, int(path[1:])) if path[1:].isdigit() else RESPONSES[0]
            middle = len(response) // 2
            writer.write(response[:middle])
            await writer.drain()
            writer.write(response[middle:])
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # the client left
        finally:
            writer.close()


@contextmanager
def _receiving(seed: int) -> Iterator[Receiver]:
    receiver = Receiver(seed)
    yield receiver
    receiver.stop()


def run_receivers(count: int, seed: int, folder: Path) -> Outcome:
    """Deliver ``count`` webhooks, and check the record of each delivery. ``folder`` gets the database."""
    outcome, started = Outcome(), time.monotonic()
    for first in range(0, count, BATCH):
        records = Records.open("", folder / f"records-{first}.sqlite")
        memory_mb = _memory_mb()
        with _receiving(seed) as receiver:
            numbers = range(first, min(first + BATCH, count))
            deliveries = _deliver(records, receiver.port, numbers)
            canaries = receiver.canaries
        records.close()
        growth_mb = _memory_mb() - memory_mb
        outcome.inputs[KIND] += len(numbers)
        outcome.largest_mb[KIND] = max(growth_mb, outcome.largest_mb.get(KIND, 0.0))
        for number, delivery in deliveries.items():
            outcome.accepted[KIND] += delivery.state.value == "DELIVERED"
            if problem := _problem(delivery, mutated_response(seed, number)):
                source = f"seed {seed}, response {number}"
                outcome.findings.append(Finding(KIND, problem, source, mutated_response(seed, number)))
        if canaries or growth_mb > MAX_GROWTH_MB:
            problem = f"{canaries} redirects were followed; the attempts took {growth_mb:.0f} MB"
            outcome.findings.append(Finding(KIND, problem, f"seed {seed}, responses {numbers}"))
    outcome.seconds[KIND] = time.monotonic() - started  # type: ignore[assignment]
    return outcome


def _deliver(records: Records, port: int, numbers: range) -> dict[int, Delivery]:
    """Deliver a webhook for each number, and return the deliveries after the first attempt."""
    for number in numbers:
        job = job_record(f"tenant-{number % TENANTS}", webhook_url=f"http://127.0.0.1:{port}/{number}")
        records.add_job(job, max_active=len(numbers))
        records.change_job(job.id, (JobState.QUEUED,), state=JobState.SUCCEEDED)
    deliverer = Webhooks(records, WebhookPolicy(("127.0.0.0/8",)))
    deliverer.announce_finished_jobs()
    deliverer.start()
    store = WebhookRecords(records.engine)

    def found() -> dict[int, Delivery]:
        pages = [store.page(f"tenant-{tenant}", "", (), None, len(numbers)) for tenant in range(TENANTS)]
        return {int(delivery.url.rpartition("/")[2]): delivery for page in pages for delivery in page}

    with suppress(AssertionError):  # an attempt whose end was not recorded is a finding
        limit_s = 3 * webhooks.ATTEMPT_S + len(numbers) / 20
        wait_for(lambda: all(map(_has_ended, found().values())), limit_s, 0.5)
    deliverer.stop()
    return found()


def _has_ended(delivery: Delivery) -> bool:
    return bool(delivery.error or delivery.status_code)


def _problem(delivery: Delivery, response: bytes) -> str:
    """Describe why the record of a delivery does not fit the response; empty if it does."""
    if not _has_ended(delivery):
        return "the end of the attempt was not recorded"
    is_delivered = delivery.state.value == "DELIVERED"
    if is_delivered != (200 <= delivery.status_code < 300) or is_delivered == bool(delivery.error):
        return f"the delivery is {delivery.state.value} with status {delivery.status_code} and error {delivery.error!r}"
    if is_delivered and b"2" not in response[:20_000]:
        return "a response without a status of 2xx counts as delivered"
    if len(delivery.error) > 200 or not delivery.error.isprintable():
        return f"the error is not a short printable line: {delivery.error!r}"
    return ""


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
