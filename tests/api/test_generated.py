"""The generated protocol code matches the protos."""

from __future__ import annotations

from pathlib import Path

from orchestrator.protocol.generate import HERE, generate


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    generate(tmp_path)
    generated = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    committed = {
        path.relative_to(HERE): path.read_text()
        for path in (HERE / "heartwood").rglob("*.py*")
        if "__pycache__" not in path.parts
    }
    assert generated == committed, "run `make proto`"
