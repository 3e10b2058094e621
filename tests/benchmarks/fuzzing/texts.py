"""Generates tokens, webhook URLs and settings files, and checks what the service does with them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from unittest import mock

import grpc
import yarl
from hypothesis import strategies as st

from orchestrator.domain.webhooks import WebhookPolicy
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import job_pb2, job_pb2_grpc
from orchestrator.settings import CONFIG_VARIABLE, Settings
from tests.benchmarks.fuzzing.calls import VALID_CALLERS, Target
from tests.benchmarks.fuzzing.examples import smallest_problem
from tests.benchmarks.fuzzing.findings import Finding, Outcome
from tests.benchmarks.fuzzing.messages import TEXTS

Example = TypeVar("Example")

SECRET = "sk-a-secret-of-the-operator"
HOSTS = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "localhost.", "[::1]", "[::]", "0"),
    *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "10.0.0.8", "169.254.169.254", "a.internal", "a.local"),
    *("hooks.example", "93.184.216.34", "xn--nxasmq6b", "127.0.0.1.nip.io", "①②⑦.0.0.1", "127。0。0。1", "1.1.1.1."),
)
SETTINGS = (
    *('listen = "127.0.0.1:0"', "workers = 2", f'openai_api_key = "{SECRET}"', 'blob_options = { key = "value" }'),
    *(
        'webhook_allow = ["10.0.0.0/8"]',
        "drain_s = 1.5",
        'tls_certificate = "/dev/null"',
        f'database_url = "x://{SECRET}@h/d"',
    ),
    *(
        "a = " + "[" * 3000,
        "workers = 1e400",
        "max_photos = 0x7fffffffffffffffff",
        "[table]",
        'log_level = "\\u0000"',
        "\ufeff",
    ),
)


def run_tokens(target: Target, count: int, seed: int) -> Outcome:
    """Call the service with ``authorization`` values that are no valid token."""
    valid = target.tokens["tenant"]
    ascii_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)
    changed = st.builds(
        lambda at, text: valid[:at] + text + valid[at + 1 :],
        st.integers(0, len(valid)),
        ascii_text.filter(lambda text: len(text) < 5),
    )
    token = st.one_of(ascii_text, changed, st.integers(0, len(valid)).map(lambda end: valid[:end]), _others(target))
    scheme = st.one_of(st.just("Bearer "), st.sampled_from(("bearer ", "Basic ", "Bearer", "Bearer  ", "")))
    with grpc.insecure_channel(target.address) as channel:
        list_stains = job_pb2_grpc.JobServiceStub(channel).ListStains

        def problem(example: tuple[str, str]) -> str:
            value = "".join(example)
            code, details = grpc.StatusCode.OK, ""
            try:
                list_stains(job_pb2.ListStainsRequest(), metadata=[("authorization", value)], timeout=20)
            except grpc.RpcError as error:
                code, details = error.code(), error.details() or ""
            is_valid = value[:7].lower() == "bearer " and value[7:].strip() == valid
            expected = grpc.StatusCode.OK if is_valid else grpc.StatusCode.UNAUTHENTICATED
            return "" if code is expected and valid not in details else f"{code.name}: {details}"

        return _run("token", st.tuples(scheme, token), problem, count, seed)


def _others(target: Target) -> st.SearchStrategy[str]:
    return st.sampled_from([token for caller, token in target.tokens.items() if caller not in VALID_CALLERS])


def run_urls(count: int, seed: int) -> Outcome:
    """Check webhook URLs. A URL that is accepted must not lead to a private address in any spelling."""
    policy = WebhookPolicy()
    number = st.one_of(st.integers(0, 255), st.integers(0, 2**32 - 1))
    digits = number.flatmap(lambda value: st.sampled_from((str(value), hex(value), f"0{value:o}", f"00{value}")))
    host = st.one_of(
        st.sampled_from(HOSTS),
        st.lists(digits, min_size=1, max_size=5).map(".".join),
        st.ip_addresses(v=6).map(lambda ip: f"[{ip}]"),
        st.ip_addresses(v=4).map(str),
        st.from_regex(r"[a-z0-9.%\-_@:\\\[\]]{1,30}", fullmatch=True),
        st.text(max_size=20),
    )
    before = st.sampled_from(
        ("https://", "http://", "https:", "https:///", "HTTPS://", "https://a@", "https://a:b@", "\thttps://")
    )
    after = st.one_of(
        st.sampled_from(("", "/", ":443/", ":0", ":99999", "/?a=b#c", "\\@b", "#@b", "\r\nx: y", "%00")),
        st.text(max_size=8),
    )

    def problem(url: str) -> str:
        try:
            policy.check_url(url, "webhook_url")
        except InvalidInput as error:
            return "" if error.field == "webhook_url" and error.description else f"unclear error: {error.message}"
        host = yarl.URL(url).host or ""
        addresses = []
        with suppress(OSError, UnicodeError):  # a name, which the service resolves and checks when it connects
            addresses = socket.getaddrinfo(host, 443, flags=socket.AI_NUMERICHOST)
        private = [info[4][0] for info in addresses if not policy.allows_address(str(info[4][0]))]
        return f"the URL leads to {private[0]}" if private else ""

    return _run("webhook URL", st.builds(lambda *parts: "".join(parts), before, host, after), problem, count, seed)


def run_settings(count: int, seed: int, folder: Path) -> Outcome:
    """Read settings files. A file is read, or refused with an error that contains no secret."""
    file = folder / "heartwood.toml"
    line = st.one_of(st.sampled_from(SETTINGS), st.sampled_from(SETTINGS), st.sampled_from(TEXTS), st.text(max_size=30))
    lines = st.lists(line, max_size=5).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))
    content = st.one_of(lines, lines, st.builds(lambda data, end: data + end, lines, st.binary(max_size=20)))

    def problem(data: bytes) -> str:
        file.write_bytes(data)
        try:
            settings = Settings()
        except ValueError as error:
            return f"the error contains a secret: {error}" if SECRET in f"{error}{error!r}" else ""
        except Exception as error:  # noqa: BLE001 - every other error is a finding
            return repr(error)
        return "the settings show a secret" if SECRET in f"{settings}{settings!r}" else ""

    with mock.patch.dict(os.environ, {CONFIG_VARIABLE: str(file)}):
        return _run("settings file", content, problem, count, seed)


def _run(
    kind: str, examples: st.SearchStrategy[Example], problem: Callable[[Example], str], count: int, seed: int
) -> Outcome:
    outcome, started = Outcome(), time.monotonic()

    def counted(example: Example) -> str:
        outcome.inputs[kind] += 1
        return problem(example)

    if found := smallest_problem(examples, counted, count, f"{seed} {kind}"):
        example, text = found
        outcome.findings.append(Finding(kind, text, f"{example!r}"))
    outcome.seconds[kind] = time.monotonic() - started  # type: ignore[assignment]
    return outcome
