"""One running Heartwood: Triton (its own, or one that runs already), the durable jobs and the gRPC server."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from orchestrator.api.auth import add_token, write_private
from orchestrator.api.server import Server
from orchestrator.errors import FailedPrecondition
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.models import TritonModels
from orchestrator.inference.profiles import pick
from orchestrator.jobs.dependencies import Parts, open_stores
from orchestrator.jobs.runner import Runner
from orchestrator.rollout.follower import Follower
from orchestrator.rollout.rollout import Rollout
from orchestrator.settings import Settings
from orchestrator.store.model_records import ModelRecords

log = structlog.get_logger()

LOCAL_TENANT = "local"
HEALTH_INTERVAL_S = 1.0


def run(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; ``tell`` gets a line for people at each stage.

    Raises:
        FailedPrecondition: another service uses the data folder, or the address is taken.
        ToolFailed: Triton could not be started.
    """
    configure_logs(settings.log_level)
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(settings.root / "service.lock"), _triton(settings, tell) as url:
        records, blobs = open_stores(settings)
        models = TritonModels(url, timeout_s=settings.triton_timeout_s)
        versions = ModelRecords(records.engine)
        follower = Follower(versions, blobs, models, settings.executor_id)
        rollout = Rollout(versions, blobs, models, follower, settings.executor_id)
        runner = Runner(Parts(settings, records, blobs, models))
        follower.start()
        runner.start()
        try:
            asyncio.run(_serve(settings, runner, rollout, models, tell))
        finally:
            runner.stop()
            follower.stop()
            models.close()
            records.close()


async def _serve(
    settings: Settings, runner: Runner, rollout: Rollout, models: TritonModels, tell: Callable[[str], None]
) -> None:
    server = Server(settings, runner.jobs, rollout)
    port = await server.start()
    host = settings.listen.rpartition(":")[0]
    local_token(settings)
    state = settings.root / "service.json"
    await server.tell_health(await asyncio.to_thread(models.ready))
    write_private(state, json.dumps({"address": f"{host}:{port}", "pid": os.getpid()}))
    tell(f"Heartwood listens on {host}:{port}")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), HEALTH_INTERVAL_S)
        except TimeoutError:
            await server.tell_health(await asyncio.to_thread(models.ready))
    tell("stopping: running calls and jobs may finish")
    state.unlink(missing_ok=True)
    await server.stop()


@contextmanager
def _triton(settings: Settings, tell: Callable[[str], None]) -> Iterator[str]:
    if settings.triton_url:
        yield settings.triton_url
        return
    tell("starting Triton …")
    with local_triton(settings) as triton:
        tell(f"Triton serves the models on {triton.url}")
        yield triton.url


def local_triton(settings: Settings) -> TritonServer:
    """The Triton from pip that the settings describe; not started yet."""
    return TritonServer(
        settings.model_repository,
        settings.triton_backends,
        settings.root / "triton",
        profile=pick(settings.triton_profiles, settings.triton_profile),
    )


@contextmanager
def _only_one(file: Path) -> Iterator[None]:
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FailedPrecondition(
                f"another Heartwood runs on {file.parent}; stop it, or set HEARTWOOD_DATA_DIR to another folder"
            ) from None
        yield


def local_token(settings: Settings) -> str:
    """The token of this machine's own tenant, made on first use; only the owner of the data folder can read it."""
    file = settings.root / "local_token"
    if file.exists():
        return file.read_text().strip()
    token = add_token(settings.tokens_file, LOCAL_TENANT)
    write_private(file, token)
    return token


def running_address(settings: Settings) -> str:
    """The address of the service that runs on this data folder, or an empty string."""
    try:
        state = json.loads((settings.root / "service.json").read_text())
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError):
        return ""
    return str(state["address"])


def configure_logs(level: str) -> None:
    """Structured lines on standard error: JSON for machines, colour for a terminal."""
    names = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not sys.stderr.isatty():
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(names[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
