"""``evaluation.json``: the figures that come with a candidate, its own and those of the version it is to replace.

    {"model": "segmentation",
     "sha256": "9f2c…",
     "against_version": 1,
     "test_split": "furniture-test, 120 pictures of pieces that no training picture shows",
     "figures": {"component_iou": {"candidate": 0.61, "baseline": 0.44, "better": "higher"},
                 "material_error": {"candidate": 0.12, "baseline": 0.12, "better": "lower"}}}

``sha256`` is that of the candidate's file, so that figures can't stand beside another network than they were measured
on. Both columns must have been measured on the same split. Heartwood measures nothing of it again: it holds that the
file is about this candidate and the version that serves, that no figure is worse, and that one is better.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import CandidateRefused, InvalidInput

FIELD = "header.evaluation_json"
MAX_BYTES = 64 << 10


class Measured(BaseModel):
    """One figure of both versions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    candidate: float
    baseline: float
    better: Literal["higher", "lower"]

    @property
    def gain(self) -> float:
        """Above 0 where the candidate is better."""
        return (self.candidate - self.baseline) * (1 if self.better == "higher" else -1)


class EvaluationFile(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    against_version: int = Field(ge=1)
    test_split: str = Field(min_length=1, max_length=400)
    figures: dict[str, Measured] = Field(min_length=1, max_length=100)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that is about the candidate at hand."""

    file: EvaluationFile

    @classmethod
    def read(cls, data: bytes, model: str, sha256: str) -> Evaluation:
        """Read the file.

        Raises:
            InvalidInput: it isn't as described above.
            CandidateRefused: it is about another model or another file.
        """
        if len(data) > MAX_BYTES:
            raise InvalidInput(FIELD, f"{len(data)} bytes; at most {MAX_BYTES} are allowed")
        try:
            file = EvaluationFile.model_validate(json.loads(data))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise InvalidInput(FIELD, f"{where}: {first['msg']}") from None
        except ValueError:
            raise InvalidInput(FIELD, "it is not JSON") from None
        if file.model != model:
            raise CandidateRefused(f"its evaluation is of the model {file.model[:60]!r}, not of {model!r}")
        if file.sha256 != sha256:
            raise CandidateRefused("its evaluation is of another file: the SHA-256 differs")
        return cls(file)

    def say_no(self, serving: int) -> str:
        """Why the candidate is not measured better than the version that serves; "" where it is."""
        if self.file.against_version != serving:
            return f"its evaluation is against version {self.file.against_version}, but version {serving} serves"
        figures = self.file.figures
        worse = [_told(name, one) for name, one in figures.items() if one.gain < 0]
        if worse:
            return f"its evaluation has worse figures: {', '.join(worse)}"
        if not any(one.gain > 0 for one in figures.values()):
            return "its evaluation has no better figure"
        return ""


def _told(name: str, one: Measured) -> str:
    return f"{name} {one.candidate:g} after {one.baseline:g}"
