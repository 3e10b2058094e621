"""What a fuzz run reports: the number of inputs of each kind, and the inputs that the service did not handle."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """An input that broke a rule.

    Attributes:
        kind: kind of the input, such as ``photo``.
        problem: the rule that was broken, and how.
        source: how to make the input again: the seed and the number of the input, or the example of Hypothesis.
        data: the input itself, if it is a file or a message.
    """

    kind: str
    problem: str
    source: str
    data: bytes = b""


@dataclass
class Outcome:
    """The result of a run.

    Attributes:
        inputs: number of inputs of each kind.
        seconds: duration of each kind.
        accepted: number of the inputs of each kind that were valid.
        slowest_s: largest CPU time that one input took, by kind.
        largest_mb: largest memory that one input took, by kind.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    largest_mb: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Add the result of another run."""
        for name in ("inputs", "accepted", "seconds"):
            getattr(self, name).update(getattr(other, name))
        for name in ("slowest_s", "largest_mb"):
            mine, others = getattr(self, name), getattr(other, name)
            mine.update({kind: max(value, mine.get(kind, 0.0)) for kind, value in others.items()})
        self.findings += other.findings

    def write(self, folder: Path) -> None:
        """Write the input and the description of each finding into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for finding in self.findings:
            name = f"{finding.kind}-{hashlib.sha256(repr(finding).encode()).hexdigest()[:10]}"
            (folder / f"{name}.bin").write_bytes(finding.data)
            (folder / f"{name}.txt").write_text(f"{finding.source}\n{finding.problem}\n", encoding="utf-8")
