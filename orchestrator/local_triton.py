"""Configures the Triton server of the pip package ``nvidia-pytriton`` from the settings."""

from __future__ import annotations

from orchestrator.inference.launch import TritonServer
from orchestrator.inference.profiles import select_profile
from orchestrator.settings import Settings


def local_triton(settings: Settings) -> TritonServer:
    """Return a Triton server. It is a context manager: the server starts on entry and stops on exit."""
    profile = select_profile(settings.triton_profiles, settings.triton_profile)
    folder = settings.root / "triton"
    return TritonServer(
        settings.model_repository,
        settings.triton_backends,
        folder,
        profile=profile,
        optional_repository=settings.pulled_repository,
    )
