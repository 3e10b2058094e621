"""The codec of each stage, found by the name of the stage."""

from __future__ import annotations

from importlib import import_module

from orchestrator.api.convert import Codec
from orchestrator.jobs.stages import STAGES

CODECS: dict[str, Codec] = {name: import_module(f"{__name__}.{name}").CODEC for name in STAGES}
