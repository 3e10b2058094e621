"""Delivers webhooks: signed POSTs about finished jobs, as in Standard Webhooks (standardwebhooks.com).

Deliveries are rows of the database with a due time. Each attempt is short, and every tenant has a few attempts at a
time, so that dead or slow receivers and name servers delay only the webhooks of their own tenant. The address of a
receiver is checked when it is resolved for the connection, so that a name cannot get a private address after the check
(DNS rebinding). Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from orchestrator.domain.jobs import JobRecord
from orchestrator.domain.webhooks import RETRY_DELAYS, Delivery, DeliveryState, WebhookPolicy
from orchestrator.errors import HeartwoodError
from orchestrator.store.records import Records
from orchestrator.store.webhook_records import WebhookRecords

log = structlog.get_logger()

ATTEMPT_S = 10.0
"""Time limit of an attempt, from the lookup of the name to the status line."""
CONNECT_S = 5.0
LEASE = timedelta(seconds=60)
"""Time after which an attempt whose process ended is repeated."""
POLL_S = 0.5
PER_TENANT = 4
"""Maximum attempts of a tenant at a time in this process."""
MAX_ATTEMPTS = 128
"""Maximum attempts of all tenants at a time in this process."""
DATABASE_THREADS = 8
"""Threads that read and write the records. Not tuned."""
TENANT: ContextVar[str] = ContextVar("TENANT", default="")
"""The tenant of the attempt that runs."""


class Webhooks:
    """Delivers webhooks from a thread of its own.

    Args:
        trust: the TLS context with the trusted certificates; default: the certificates of the system.
    """

    def __init__(self, records: Records, policy: WebhookPolicy, trust: ssl.SSLContext | None = None) -> None:
        self.policy = policy
        self._jobs, self._records = records, WebhookRecords(records.engine)
        self._trust = trust or ssl.create_default_context()
        self._resolver = CheckedResolver(policy)
        self._running: dict[str, str] = {}  # delivery id → tenant
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the running attempts. They are repeated at the next start, or by another replica."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def announce_finished_jobs(self) -> None:
        """Create the deliveries of the jobs that have ended."""
        for job in self._jobs.jobs_to_announce():
            self._records.announce(job)

    def _run(self) -> None:
        self._loop.set_default_executor(ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="webhook-records"))
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, ssl=self._trust, limit=MAX_ATTEMPTS, force_close=True, use_dns_cache=False
        )
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_S, connect=CONNECT_S)
        no_cookies = aiohttp.DummyCookieJar()  # a receiver could set cookies for the receivers of other tenants
        options: dict[str, Any] = {"timeout": timeout, "trust_env": False, "cookie_jar": no_cookies}
        async with aiohttp.ClientSession(connector=connector, **options) as session:
            tasks: set[asyncio.Task[None]] = set()
            while not self._stopping.is_set():
                try:
                    for delivery in await asyncio.to_thread(self._claim):
                        self._running[delivery.id] = delivery.tenant
                        task = asyncio.create_task(self._attempt(session, delivery))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                except HeartwoodError as error:
                    log.warning("webhooks_not_claimed", reason=error.reason)
                except Exception:
                    log.exception("webhooks_not_claimed")
                try:
                    await asyncio.wait_for(self._stopping.wait(), POLL_S)
                except TimeoutError:
                    continue
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._resolver.close()

    def _claim(self) -> list[Delivery]:
        attempts = dict(self._running)
        running = Counter(attempts.values()) + self._resolver.abandoned()
        free = MAX_ATTEMPTS - running.total()
        if free <= 0:
            return []
        return self._records.claim(datetime.now(UTC), PER_TENANT, free, running, LEASE, without=attempts)

    async def _attempt(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        """POST once, and record the result."""
        TENANT.set(delivery.tenant)
        status, error, is_final = 0, "", False
        try:
            body, headers = await asyncio.to_thread(self._message, delivery)
            if body is None:
                error, is_final = "the job was deleted", True
            else:
                async with session.post(delivery.url, data=body, headers=headers, allow_redirects=False) as response:
                    status = response.status
                error = "" if 200 <= status < 300 else f"the receiver replied with HTTP {status}"
        except TimeoutError:
            error = f"the receiver did not reply within {ATTEMPT_S:g} s"
        except (Refused, HeartwoodError) as failure:
            error = str(failure)
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = f"no connection: {type(failure).__name__}"
        finally:
            del self._running[delivery.id]
        await asyncio.to_thread(self._record, delivery, status, error, is_final=is_final)

    def _message(self, delivery: Delivery) -> tuple[str | None, dict[str, str]]:
        """Return the body and the signed headers; None if the job was deleted."""
        job = self._jobs.job(None, delivery.job_id)
        if job is None:
            return None, {}
        self.policy.check_url(delivery.url, "webhook_url")  # the policy may have changed since the job was created
        now, body = datetime.now(UTC), payload(job, delivery)
        signatures = [Webhook(secret).sign(delivery.id, now, body) for secret in self._records.secrets(delivery.tenant)]
        return body, {
            "Content-Type": "application/json",
            "User-Agent": "heartwood",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    def _record(self, delivery: Delivery, status: int, error: str, *, is_final: bool) -> None:
        if not error:
            state, due_time = DeliveryState.DELIVERED, None
        elif is_final or delivery.attempts > len(RETRY_DELAYS):
            state, due_time = DeliveryState.FAILED, None
            log.warning("webhook_failed", delivery=delivery.id, job=delivery.job_id, error=error)
        else:
            state, due_time = DeliveryState.PENDING, datetime.now(UTC) + RETRY_DELAYS[delivery.attempts - 1]
        try:
            self._records.finish_attempt(delivery, state, status, error, due_time)
        except HeartwoodError as failure:  # the attempt is repeated after its lease
            log.warning("webhook_not_recorded", delivery=delivery.id, reason=failure.reason)


class Refused(aiohttp.ClientError):
    """The receiver has an address to which webhooks may not be sent."""


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those with an address that the policy does not allow.

    Each lookup occupies a thread until the name servers have answered, which can take a minute longer than its attempt.
    """

    def __init__(self, policy: WebhookPolicy) -> None:
        self._policy = policy
        self._threads = ThreadPoolExecutor(MAX_ATTEMPTS, thread_name_prefix="webhook-lookup")
        self._abandoned: dict[Future[Any], str] = {}  # running lookup → tenant

    def abandoned(self) -> Counter[str]:
        """Return the number of lookups by tenant that still run although their attempt has ended."""
        return Counter(self._abandoned.copy().values())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises Refused."""
        lookup = self._threads.submit(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        try:
            infos = await asyncio.wrap_future(lookup)
        except asyncio.CancelledError:
            self._abandoned[lookup] = TENANT.get()
            lookup.add_done_callback(self._abandoned.pop)
            raise
        addresses = [(info[0], str(info[4][0])) for info in infos]
        is_allowed = self._policy.allows_name(host) or all(self._policy.allows_address(ip) for _, ip in addresses)
        if not addresses or not is_allowed:
            raise Refused(f"the receiver {host!r} is not on a public address")
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, ip in addresses
        ]

    async def close(self) -> None:
        """Start no further lookups."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def payload(job: JobRecord, delivery: Delivery) -> str:
    """Return the JSON body of a webhook."""
    data = {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "upload_id": job.upload_id,
        "labels": dict(job.labels),
        "error": asdict(job.failure) if job.failure else None,
        "photo_failures": [asdict(failure) for failure in job.photo_failures],
        "end_time": job.end_time.isoformat() if job.end_time else None,
    }
    document: dict[str, Any] = {"type": delivery.event, "timestamp": delivery.create_time.isoformat(), "data": data}
    return json.dumps(document, sort_keys=True)
