"""Calls every RPC of a running service with generated requests, and checks the replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status
from hypothesis import strategies as st

from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2, model_pb2, webhook_pb2
from tests.benchmarks.fuzzing.examples import smallest_problem
from tests.benchmarks.fuzzing.findings import Finding, Outcome
from tests.benchmarks.fuzzing.messages import requests

OWN_FILES = (asset_pb2, job_pb2, model_pb2, webhook_pb2)
PUBLIC_FILES = (health_pb2, reflection_pb2)
ALLOWED = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)
"""The statuses of replies to authenticated callers."""
UNREADABLE = ("are not a message of the type", "contains a NUL character")
"""Errors about messages that are refused before the caller is authenticated."""
VALID_CALLERS = ("tenant", "admin")
STREAM_S = 0.25
"""Time after which the caller leaves a stream of responses that does not end."""
CALL_S = 20.0
"""Time within which each other call must end."""
MAX_RESPONSES = 3
"""Number of responses that are read from a stream."""
MAX_STREAM_MESSAGES = 4
EXAMPLES_PER_RUN = 250
"""Number of examples after which the service must still serve. A failing example ends a run of Hypothesis."""


Example = tuple[str, str, list[bytes]]
"""The full name of a method, the name of a caller, and the serialized messages."""


@dataclass(frozen=True)
class Reply:
    """The end of a call: its status, its error as ``google.rpc.Status`` and its responses."""

    code: grpc.StatusCode
    details: str
    status: Any
    responses: list[Message]


@dataclass(frozen=True)
class Target:
    """A service to call.

    Attributes:
        address: host:port.
        tokens: bearer tokens by the name of their caller: ``tenant`` may use jobs, ``admin`` may also manage models;
            all others are invalid.
        words: returns ids that the callers know, and further texts for the fields of requests. It calls the service,
            and raises an error unless that answers.
        secrets: texts that no reply may contain.
    """

    address: str
    tokens: dict[str, str]
    words: Callable[[], tuple[str, ...]]
    secrets: tuple[str, ...]


def run_calls(target: Target, count: int, seed: int) -> Outcome:
    """Call the service ``count`` times."""
    outcome, started = Outcome(), time.monotonic()
    methods = {method.full_name: method for method in all_methods()}
    with grpc.insecure_channel(target.address) as channel:

        def problem(example: Example) -> str:
            name, caller, messages = example
            is_refused = caller not in VALID_CALLERS and name.startswith("heartwood.")  # and thus its streams end
            stream_s = CALL_S if is_refused else STREAM_S
            reply = call(channel, methods[name], target.tokens[caller], messages, stream_s)
            outcome.inputs["call"] += 1
            outcome.accepted["call"] += reply.code is grpc.StatusCode.OK
            return reply_problem(reply, methods[name], caller, target.secrets)

        for start in range(0, count, EXAMPLES_PER_RUN):
            examples = _examples(methods, sorted(target.tokens), target.words())
            found = smallest_problem(examples, problem, min(EXAMPLES_PER_RUN, count - start), f"{seed} {start}")
            if found:
                (name, caller, messages), text = found
                source = f"{name} by {caller}: {[message.hex() for message in messages]}"
                outcome.findings.append(Finding("call", text, source, b"".join(messages)))
    outcome.seconds["call"] = time.monotonic() - started  # type: ignore[assignment]
    return outcome


def _examples(
    methods: dict[str, MethodDescriptor], callers: list[str], words: tuple[str, ...]
) -> st.SearchStrategy[Example]:
    names = st.sampled_from(sorted(methods))
    callers += ["admin", *["tenant"] * 4]  # others are refused before their request is read
    return names.flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(callers), _inputs(methods[name], words)))


def all_methods() -> Iterator[MethodDescriptor]:
    for file in (*OWN_FILES, *PUBLIC_FILES):
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def _inputs(method: MethodDescriptor, words: tuple[str, ...]) -> st.SearchStrategy[list[bytes]]:
    message = requests(method.input_type, words)
    if not method.client_streaming:
        return message.map(lambda data: [data])
    return st.lists(message, max_size=MAX_STREAM_MESSAGES)


def call(
    channel: grpc.Channel, method: MethodDescriptor, token: str, messages: list[bytes], stream_s: float = CALL_S
) -> Reply:
    """Call a method with serialized messages. The caller leaves a stream of responses after ``stream_s``."""
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    open_call = kinds[method.client_streaming, method.server_streaming]
    path = f"/{method.containing_service.full_name}/{method.name}"
    invoke = open_call(path, response_deserializer=GetMessageClass(method.output_type).FromString)
    metadata = [("authorization", f"Bearer {token}")] if token else []
    request: Any = iter(messages) if method.client_streaming else messages[0]
    responses: list[Message] = []
    try:
        if not method.server_streaming:
            return Reply(grpc.StatusCode.OK, "", None, [invoke(request, metadata=metadata, timeout=CALL_S)])
        stream = invoke(request, metadata=metadata, timeout=CALL_S if method.client_streaming else stream_s)
        for response in stream:
            responses.append(response)
            if len(responses) == MAX_RESPONSES:
                stream.cancel()
                break
        return Reply(grpc.StatusCode.OK, "", None, responses)
    except grpc.RpcError as error:
        code = error.code()
        is_endless = method.server_streaming and not method.client_streaming
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and is_endless:  # a stream that this caller left
            code = grpc.StatusCode.OK
        status = None
        with suppress(ValueError):
            status = rpc_status.from_call(error)
        return Reply(code, error.details() or "", status, responses)


def reply_problem(reply: Reply, method: MethodDescriptor, caller: str, secrets: tuple[str, ...]) -> str:
    """Describe the rule that a reply breaks; empty if it breaks none."""
    where = f"{method.full_name} → {reply.code.name}: {reply.details[:300]!r}"
    contents = f"{reply.details} {reply.status} {reply.responses}"
    for secret in (*secrets, "Traceback", "site-packages"):
        if secret in contents:
            return f"{where}: the reply contains {secret!r}"
    is_unreadable = reply.code is grpc.StatusCode.INVALID_ARGUMENT and any(text in reply.details for text in UNREADABLE)
    is_public = not method.full_name.startswith("heartwood.")
    if caller not in VALID_CALLERS and not is_public:
        is_refused = reply.code is grpc.StatusCode.UNAUTHENTICATED or is_unreadable
        return "" if is_refused else f"{where}: the caller has no valid token"
    if caller == "tenant" and method.containing_service.name == "ModelService":
        is_refused = reply.code is grpc.StatusCode.PERMISSION_DENIED or is_unreadable
        return "" if is_refused else f"{where}: the caller may not manage models"
    if reply.code not in ALLOWED:
        return f"{where}: the status is not allowed"
    if reply.code is grpc.StatusCode.OK or (is_public and reply.code is grpc.StatusCode.NOT_FOUND):
        return ""
    return _error_problem(reply.status, where)


def _error_problem(status: Any, where: str) -> str:
    if status is None:
        return f"{where}: the error has no details"
    info, bad_request = ErrorInfo(), BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
    if info.domain != "heartwood" or not info.reason or not status.message.strip():
        return f"{where}: the error has no reason or no message"
    if info.reason != "INVALID_INPUT":
        return ""
    for violation in bad_request.field_violations:
        if not violation.field or not violation.description.removeprefix(f"{violation.field}: ").strip():
            return f"{where}: a violation names no field or no rule"
    return "" if bad_request.field_violations else f"{where}: the error names no field"
