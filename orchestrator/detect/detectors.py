"""The available detectors, by name."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.detect.detector import Detector
from orchestrator.detect.local import LocalDetector
from orchestrator.detect.open_vocabulary import OpenVocabularyDetector
from orchestrator.detect.openai import OpenAIDetector
from orchestrator.detect.prompts import PromptDetector
from orchestrator.domain.model_roles import ROLE_MODELS, PartFinder, Role, pull_command
from orchestrator.domain.segment import DetectorName, OpenAISettings
from orchestrator.errors import InvalidInput

DETECTORS: dict[DetectorName, Callable[[OpenAISettings | None, PartFinder | None], Detector | None]] = {
    DetectorName.LOCAL: lambda _openai, _finder: LocalDetector(),
    DetectorName.PROMPTS: lambda _openai, _finder: PromptDetector(),
    DetectorName.OPENAI: lambda openai, _finder: None if openai is None else OpenAIDetector(openai),
    DetectorName.OPEN_VOCABULARY: lambda _openai, finder: None if finder is None else OpenVocabularyDetector(finder),
}
"""Name → function that creates the detector. It returns None if the detector needs settings or a model and has none."""

FINDER_MODEL = ROLE_MODELS[Role.OPEN_VOCABULARY]
REMEDIES = {
    DetectorName.OPENAI: "set HEARTWOOD_OPENAI_API_KEY",
    DetectorName.OPEN_VOCABULARY: f"it needs the model {FINDER_MODEL!r}: run `{pull_command(FINDER_MODEL)}`",
}
"""What an operator does to make a detector available."""


def create_detector(name: DetectorName, openai: OpenAISettings | None, finder: PartFinder | None = None) -> Detector:
    """Return a detector. Raises InvalidInput if it is not configured on this service."""
    detector = DETECTORS[name](openai, finder)
    if detector is None:
        configured = ", ".join(other.value for other, create in DETECTORS.items() if create(openai, finder) is not None)
        remedy = f"use one of: {configured}; or, as the operator of the service, {REMEDIES[name]}"
        raise InvalidInput("segment.detector", f"{name.value!r} is not configured on this service; {remedy}")
    return detector
