"""The running service: Triton, the stores, the durable jobs, the model rollout and the gRPC server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from orchestrator.api.auth import Tokens, write_private
from orchestrator.api.server import Server
from orchestrator.decoding.pool import decode_pool
from orchestrator.domain.limits import DecodeLimits, Sandbox
from orchestrator.domain.model_roles import Role, setting_name
from orchestrator.domain.tokens import ALL_SCOPES, hash_of
from orchestrator.inference.models import TritonModels
from orchestrator.inference.roles.role_models import check_choices
from orchestrator.inference.triton_control import ControlHeader
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.quotas import TenantQuotas
from orchestrator.jobs.runner import Runner
from orchestrator.local_triton import candidate_triton, control_header, local_triton
from orchestrator.rollout.follower import Follower
from orchestrator.rollout.rollout import Rollout
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.database import check_database
from orchestrator.store.leases import Leases, new_executor_id
from orchestrator.store.locks import check_restored, exclusive_use
from orchestrator.store.model_records import ModelRecords
from orchestrator.store.records import Records
from orchestrator.store.tenant_records import TenantRecords
from orchestrator.store.token_records import TokenRecords
from orchestrator.tools.sandbox import check_sandbox, supported_barriers

log = structlog.get_logger()

LOCAL_TENANT = "local"
TOKENS_FILE_0_1_0 = "tokens.json"
HEALTH_INTERVAL_S = 1.0
STOP_S = 10.0
"""Time after ``drain_s`` in which the service closes its connections and ends Triton. Not tuned."""


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let running calls and jobs finish. ``announce`` prints a line of text.

    Raises:
        FailedPrecondition: another service uses the data folder, the address is in use, or the settings require the
            model of a role that the model repository does not contain, or a barrier around external programs that this
            system lacks.
        StorageUnavailable: the database or the object store does not answer.
        ToolFailed: Triton did not start.
    """
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_sandbox(Sandbox(settings.sandbox), supported_barriers(), private=settings.root)
    with exclusive_use(settings):
        check_restored(settings)
        records, blobs = _open_stores(settings)  # before Triton, whose start takes several seconds
        with _triton(settings, announce) as (triton_url, control):
            choices = {role: getattr(settings, setting_name(role)) for role in Role}
            models = TritonModels(
                triton_url,
                timeout_s=settings.triton_timeout_s,
                choices=choices,
                tls=settings.triton_tls,
                ca=settings.triton_ca,
                control=control,
            )
            check_choices(choices, models.triton.in_repository)
            tokens = TokenRecords(records.engine)
            _ensure_local_token(settings, tokens)
            model_records = ModelRecords(records.engine)
            quotas = TenantQuotas(settings, TenantRecords(records.engine))
            executor_id = new_executor_id()
            follower = Follower(model_records, blobs, models, executor_id, Leases(records.engine).live)
            rollout = Rollout(follower, candidate_triton(settings))
            dependencies = Dependencies(settings, records, blobs, models, quotas, executor_id)
            runner = Runner(dependencies, is_alone=records.engine.dialect.name == "sqlite")
            decoders = decode_pool(_decode_limits(settings))
            follower.sync()  # otherwise the first jobs would use the newest versions in the repository
            runner.start()
            follower.start()
            try:
                asyncio.run(_serve(settings, runner, rollout, models, tokens, announce))
            finally:
                runner.stop()
                follower.stop()
                decoders.close()
                models.close()
                records.close()


def _decode_limits(settings: Settings) -> DecodeLimits:
    return DecodeLimits(
        processes=settings.decode_processes,
        memory_bytes=settings.decode_memory_mb << 20,
        cpu_s=settings.decode_cpu_s,
        pixels=settings.decode_megapixels * 1_000_000,
        waiting=settings.max_waiting_uploads,
        sandbox=Sandbox(settings.sandbox),
    )


def _open_stores(settings: Settings) -> tuple[Records, Blobs]:
    """Open the databases and the object store, and check that they answer."""
    records = Records.open(settings.database_url, settings.root / "heartwood.sqlite")
    if settings.dbos_database_url:
        check_database(settings.dbos_database_url, "HEARTWOOD_DBOS_DATABASE_URL")
    blobs = Blobs.open(settings.blob_url, settings.blob_options, settings.root / "blobs")
    blobs.check()
    return records, blobs


def _ensure_local_token(settings: Settings, tokens: TokenRecords) -> None:
    """Write a token for the commands on this machine, unless there is a valid one. Import the tokens of 0.1.0."""
    tokens.import_file(settings.root / TOKENS_FILE_0_1_0, operators=(LOCAL_TENANT,))
    file = settings.local_token_file
    known = tokens.find(hash_of(file.read_text().strip())) if file.exists() else None
    if known is None or not known.is_valid(datetime.now(UTC)):
        write_private(file, tokens.create(LOCAL_TENANT, ALL_SCOPES)[0])


async def _serve(
    settings: Settings,
    runner: Runner,
    rollout: Rollout,
    models: TritonModels,
    tokens: TokenRecords,
    announce: Callable[[str], None],
) -> None:
    """Run the gRPC server until a signal arrives. While it runs, ``settings.service_file`` contains its address."""
    # A thread for each call, so that calls that wait, such as for a file to be decoded, delay no other.
    threads = ThreadPoolExecutor(settings.max_concurrent_rpcs, thread_name_prefix="rpc")
    asyncio.get_running_loop().set_default_executor(threads)
    server = Server(settings, runner.jobs, rollout, Tokens(tokens.find))
    port = await server.start()
    host = settings.listen.rpartition(":")[0]
    await server.set_health(await asyncio.to_thread(models.ready))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)
    write_private(settings.service_file, json.dumps({"address": f"{host}:{port}", "pid": os.getpid()}))
    announce(f"Heartwood listens on {host}:{port}")
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), HEALTH_INTERVAL_S)
        except TimeoutError:
            await server.set_health(await asyncio.to_thread(models.ready))
    announce("Stopping: waiting for running calls and jobs to finish.")
    _end_after(settings.drain_s + STOP_S)
    settings.service_file.unlink(missing_ok=True)
    await asyncio.gather(server.stop(), asyncio.to_thread(runner.stop))


def _end_after(timeout_s: float) -> None:
    """End the process after ``timeout_s`` even if threads still wait, such as for a database that does not answer.

    This is as safe as SIGKILL: the kernel ends the programs and Triton, and the jobs resume elsewhere or later.
    """

    def end() -> None:
        log.error("stop_timed_out", threads=sorted(thread.name for thread in threading.enumerate()))
        os._exit(1)

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()


@contextmanager
def _triton(settings: Settings, announce: Callable[[str], None]) -> Iterator[tuple[str, ControlHeader | None]]:
    """Yield the address and the control header of ``settings.triton_url`` if set, otherwise of a local Triton.

    The local Triton runs during the block.
    """
    if settings.triton_url:
        yield settings.triton_url, control_header(settings)
        return
    announce("Starting Triton …")
    with local_triton(settings, is_private=True) as triton:
        announce(f"Triton serves the models on {triton.url}")
        yield triton.url, triton.control
