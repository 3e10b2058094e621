"""No text in a file or in a reply of a service controls the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from orchestrator.cli import terminal
from orchestrator.cli.terminal import SafeConsole, progress_bar
from tests.support.cli import run_in_process
from tests.support.mesh_bytes import changed_glb, set_value

HOSTILE = "oak\x1b]0;title\x07\x1b[2J\x9b2J\u202egpj"


def test_control_characters_are_replaced_and_the_styles_remain() -> None:
    output = io.StringIO()
    console = SafeConsole(file=output, force_terminal=True, width=200)
    table = Table(box=None)
    table.add_row(HOSTILE)
    console.print(table, Text(HOSTILE, "red"))
    text = output.getvalue()
    assert not any(part in text for part in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e"))
    assert "\x1b[31moak?]0;title" in text


def test_a_material_of_a_3d_model_with_control_characters_is_shown_without_them(tmp_path: Path) -> None:
    model = tmp_path / "model.glb"
    model.write_bytes(changed_glb(set_value("materials", value=[{"name": HOSTILE}])))
    shown = run_in_process("inspect", model).stdout
    assert "oak" in shown
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)


def test_a_message_with_markup_does_not_stop_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(terminal, "console", SafeConsole(file=output, force_terminal=True, width=200))
    with progress_bar() as bar:
        bar.add_task("stain [/x]", total=1.0, message="the part '[/b]' [link=https://evil.example]here[/link]")
    assert "'[/b]' [link=https://evil.example]here" in output.getvalue()
