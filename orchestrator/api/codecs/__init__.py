"""Conversion between domain types and protos: one file per stage, found by the name of the stage.

A codec contains three functions: ``read_options(message)``, ``write_options(options)`` and
``write_result(result, job)``, where ``job`` gives the ids, options and files of the job.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

from orchestrator.jobs.job import Job
from orchestrator.jobs.stages import STAGES


class Codec(Protocol):
    """What the module of each stage contains."""

    def read_options(self, message: Any) -> Any:
        """The options of a proto. Raises InvalidInput with the field's path from the stage on."""

    def write_options(self, options: Any) -> Any:
        """The proto of the options."""

    def write_result(self, result: Any, job: Job) -> Any:
        """The proto of the result."""


CODECS: dict[str, Codec] = {name: cast(Codec, import_module(f"{__name__}.{name}")) for name in STAGES}
