"""The conversion of one stage between domain types and protos. A stage with fields that differ overrides a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages import STAGES


@dataclass(frozen=True)
class Codec:
    """The codec of the stage ``name``. ``group_field`` is the field of the result that contains the job's group id."""

    name: str
    options: type[Message]
    result: type[Message]
    group_field: str

    def read_options(self, message: Any, **converted: Any) -> Any:
        """The options of a proto. Raises InvalidInput with the field's path from the stage on."""
        return from_proto(message, STAGES[self.name].options, self.name, **converted)

    def write_options(self, options: Any, **converted: Any) -> Any:
        """The proto of the options."""
        return to_proto(options, self.options, None, **converted)

    def write_result(self, result: Any, job: Job, **converted: Any) -> Any:
        """The proto of the result of ``job``."""
        return to_proto(result, self.result, job, **{self.group_field: job.group_id}, **converted)
