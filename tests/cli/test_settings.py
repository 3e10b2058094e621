"""Where settings come from, and what they keep to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.settings import Settings
from tests.support.cli import Cli

SECRETS = {
    "HEARTWOOD_DATABASE_URL": "postgresql+psycopg://shop:hush@localhost/heartwood",
    "HEARTWOOD_DBOS_DATABASE_URL": "postgresql+psycopg://shop:hush@localhost/heartwood",
    "HEARTWOOD_BLOB_OPTIONS": '{"aws_secret_access_key": "hush"}',
    "HEARTWOOD_OPENAI_API_KEY": "hush",
    "HEARTWOOD_TRELLIS_API_KEY": "hush",
    "HEARTWOOD_TRITON_URL": "localhost:8001",
    "HEARTWOOD_TRITON_CONTROL_HEADER": "admin=hush",
}


def test_a_settings_file_in_the_working_folder_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heartwood.toml").write_text("workers = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert Settings().workers == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = " + b"[" * 3000, "nested too deeply"),
        (b'openai_api_key = "hush"\n# \x80', "not UTF-8: invalid start byte at byte 26"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_an_invalid_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, problem: str
) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    monkeypatch.setenv("HEARTWOOD_CONFIG", str(tmp_path / "a.toml"))
    with pytest.raises(ValueError, match=problem) as refused:
        Settings()
    assert "hush" not in repr(refused.value)


def test_the_file_of_the_settings_folder_is_read_and_a_named_file_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "heartwood" / "heartwood.toml"
    file.parent.mkdir()
    file.write_text("workers = 7\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Settings().workers == 7
    named = tmp_path / "other.toml"
    named.write_text("workers = 9\n")
    monkeypatch.setenv("HEARTWOOD_CONFIG", str(named))
    assert Settings().workers == 9
    monkeypatch.setenv("HEARTWOOD_WORKERS", "3")
    assert Settings().workers == 3


def test_the_command_line_names_a_settings_file_and_refuses_a_missing_one(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTWOOD_CONFIG", "")
    missing = cli("--config", tmp_path / "none.toml", "token", "list")
    assert missing.exit_code == 2
    assert "none.toml of HEARTWOOD_CONFIG does not exist" in missing.errors


@pytest.mark.parametrize("given", ["TLS_CERTIFICATE", "TLS_KEY"])
def test_a_certificate_without_a_key_and_a_key_without_a_certificate_are_refused(cli: Cli, given: str) -> None:
    result = cli("token", "list", **{f"HEARTWOOD_{given}": __file__})
    assert result.exit_code == 2
    assert "TLS needs both" in result.errors


@pytest.mark.parametrize(
    ("header", "url", "problem"),
    [
        ("hush", "localhost:8001", "must be KEY=VALUE"),
        ("a=hu sh", "localhost:8001", "must be"),
        ("a=hush", "", "needs"),
    ],
)
def test_a_control_header_that_cannot_work_is_refused(cli: Cli, header: str, url: str, problem: str) -> None:
    result = cli("token", "list", HEARTWOOD_TRITON_CONTROL_HEADER=header, HEARTWOOD_TRITON_URL=url)
    assert result.exit_code == 2
    assert f"triton_control_header {problem}" in result.errors
    assert "hush" not in result.errors


@pytest.mark.parametrize("invalid", ["WORKERS", "BLOB_OPTIONS", "OPENAI_TIMEOUT_S"])
def test_secrets_appear_neither_in_repr_nor_in_errors(cli: Cli, monkeypatch: pytest.MonkeyPatch, invalid: str) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert "hush" not in repr(Settings())
    result = cli("token", "list", **{f"HEARTWOOD_{invalid}": '{"hush'})
    assert result.exit_code == 2
    assert invalid.lower() in result.errors
    assert "hush" not in result.errors
