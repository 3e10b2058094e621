"""The codec of each stage, found by the name of the stage."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from orchestrator.api.convert import Codec
from orchestrator.jobs.stages import STAGES


def _find_codec(name: str) -> Codec:
    """The codec of a stage. A stage whose fields all follow the rules of ``convert`` has no module here."""
    module = f"{__name__}.{name}"
    return import_module(module).CODEC if find_spec(module) else Codec(name, f"{name}_id")


CODECS: dict[str, Codec] = {name: _find_codec(name) for name in STAGES}
