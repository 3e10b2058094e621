"""Configures the Tritons that the service starts, with the pip package ``nvidia-pytriton``, and the external ones."""

from __future__ import annotations

from pathlib import Path

from orchestrator.inference.candidate_triton import CandidateTriton, ExternalTriton, OwnTriton
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.profiles import select_profile
from orchestrator.inference.triton_client import TritonClient
from orchestrator.inference.triton_control import ControlHeader
from orchestrator.settings import Settings


def local_triton(settings: Settings, *, is_private: bool = False) -> TritonServer:
    """Return a Triton server. It is a context manager: the server starts on entry and stops on exit.

    Only this process can register shared memory with a private server.
    """
    profile = select_profile(settings.triton_profiles, settings.triton_profile)
    return TritonServer(
        settings.model_repository,
        settings.triton_backends,
        _folder(settings),
        profile=profile,
        optional_repository=settings.pulled_repository,
        is_private=is_private,
    )


def candidate_triton(settings: Settings) -> CandidateTriton:
    """Return the Triton on which candidates are checked."""
    if settings.candidate_triton_url:
        return ExternalTriton(lambda: _connect_to_candidate_triton(settings), settings.candidate_timeout_s)
    memory_bytes = settings.candidate_memory_gb << 30
    return OwnTriton(settings.triton_backends, _folder(settings), memory_bytes, settings.candidate_timeout_s)


def control_header(settings: Settings) -> ControlHeader | None:
    """Return the header that external Tritons require for their control API, if any."""
    text = settings.triton_control_header.get_secret_value()
    return ControlHeader.parse(text) if text else None


def _connect_to_candidate_triton(settings: Settings) -> TritonClient:
    url, control = settings.candidate_triton_url, control_header(settings)
    return TritonClient(url, tls=settings.triton_tls, ca=settings.triton_ca, control=control)


def _folder(settings: Settings) -> Path:
    return settings.root / "triton"
