"""The available detectors, by name."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.detect.detector import Detector
from orchestrator.detect.local import LocalDetector
from orchestrator.detect.openai import OpenAIDetector
from orchestrator.detect.prompts import PromptDetector
from orchestrator.domain.segment import DetectorName, OpenAISettings
from orchestrator.errors import InvalidInput

DETECTORS: dict[DetectorName, Callable[[OpenAISettings | None], Detector | None]] = {
    DetectorName.LOCAL: lambda _: LocalDetector(),
    DetectorName.PROMPTS: lambda _: PromptDetector(),
    DetectorName.OPENAI: lambda openai: None if openai is None else OpenAIDetector(openai),
}
"""Name → function that creates the detector. It returns None if the detector needs settings and has none."""


def create_detector(name: DetectorName, openai: OpenAISettings | None) -> Detector:
    """Return a detector. Raises InvalidInput if it is not configured on this service."""
    detector = DETECTORS[name](openai)
    if detector is None:
        configured = ", ".join(other.value for other, create in DETECTORS.items() if create(openai) is not None)
        remedy = f"use one of: {configured}"
        raise InvalidInput("segment.detector", f"{name.value!r} is not configured on this service; {remedy}")
    return detector
