"""The generated code is what the protos say."""

from __future__ import annotations

from pathlib import Path

from orchestrator.protocol.generate import HERE, generate


def test_the_generated_code_is_not_stale(tmp_path: Path) -> None:
    generate(tmp_path)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    committed = {
        path.relative_to(HERE): path.read_text()
        for path in (HERE / "heartwood").rglob("*.py*")
        if "__pycache__" not in path.parts
    }
    assert made == committed, "run `make proto`"
