"""``evaluation.json``: measured figures of a candidate and of the version that it would replace.

    {"model": "segmentation",
     "sha256": "9f2c…",
     "against_version": 1,
     "test_split": "furniture-test, 120 images of pieces that are in no training image",
     "figures": {"component_iou": {"candidate": 0.61, "baseline": 0.44, "better": "higher"},
                 "material_error": {"candidate": 0.12, "baseline": 0.12, "better": "lower"}}}

``sha256`` is that of the candidate's ONNX file and ties the figures to this file. Both values of a figure must be
measured on the same split. Heartwood does not repeat the measurement. It checks that the file describes this candidate
and the serving version, that no figure is worse, and that at least one figure is better.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import CandidateRefused, InvalidInput

FIELD = "header.evaluation_json"
MAX_BYTES = 64 << 10


class Figure(BaseModel):
    """One figure, measured for both versions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    candidate: float
    baseline: float
    better: Literal["higher", "lower"]

    @property
    def gain(self) -> float:
        """Improvement of the candidate over the baseline; negative if the candidate is worse."""
        return (self.candidate - self.baseline) * (1 if self.better == "higher" else -1)


class Evaluation(BaseModel):
    """The contents of ``evaluation.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    against_version: int = Field(ge=1)
    test_split: str = Field(min_length=1, max_length=400)
    figures: dict[str, Figure] = Field(min_length=1, max_length=100)

    @classmethod
    def read(cls, data: bytes, model: str, sha256: str) -> Evaluation:
        """Parse ``evaluation.json``.

        Raises InvalidInput if it is malformed, and CandidateRefused if it is for another model or ONNX file.
        """
        if len(data) > MAX_BYTES:
            raise InvalidInput(FIELD, f"{len(data)} bytes; allowed are at most {MAX_BYTES}")
        try:
            evaluation = cls.model_validate(json.loads(data))
        except ValidationError as error:
            first = error.errors()[0]
            location = ".".join(str(key) for key in first["loc"]) or "the file"
            raise InvalidInput(FIELD, f"{location}: {first['msg']}") from None
        except ValueError:
            raise InvalidInput(FIELD, "the file is not valid JSON") from None
        if evaluation.model != model:
            raise CandidateRefused(f"the evaluation is for model {evaluation.model[:60]!r}, not for {model!r}")
        if evaluation.sha256 != sha256:
            hashes = f"the SHA-256 is {sha256}, the evaluation has {evaluation.sha256}"
            raise CandidateRefused(f"the evaluation is for another ONNX file: {hashes}")
        return evaluation

    def objection(self, serving_version: int) -> str:
        """Return why the evaluation does not show that the candidate is better, or an empty string if it does."""
        if self.against_version != serving_version:
            return f"the evaluation is against version {self.against_version}, but version {serving_version} serves"
        worse = {name: figure for name, figure in self.figures.items() if figure.gain < 0}
        if worse:
            listed = (f"{name} {figure.candidate:g} (baseline {figure.baseline:g})" for name, figure in worse.items())
            return f"the evaluation has worse figures: {', '.join(listed)}"
        is_better = any(figure.gain > 0 for figure in self.figures.values())
        return "" if is_better else "the evaluation has no better figure"
