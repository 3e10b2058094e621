"""Webhooks are signed, reach only permitted receivers, and are not delayed by the receivers of other tenants."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.domain.jobs import JobState
from orchestrator.domain.webhooks import Delivery, DeliveryState, WebhookPolicy, check_syntax
from orchestrator.errors import InvalidInput
from orchestrator.jobs import webhooks
from orchestrator.jobs.webhooks import CheckedResolver, Refused, Webhooks
from orchestrator.protocol.heartwood.v1 import job_pb2, webhook_pb2
from orchestrator.store.records import Records
from orchestrator.store.webhook_records import WebhookRecords
from tests.support.cli import run_in_process
from tests.support.pictures import jpeg, wood_photo
from tests.support.postgresql import new_database
from tests.support.records import job_record
from tests.support.running_service import RunningService, wait_for

LOOPBACK = WebhookPolicy(("127.0.0.0/8",))


class Receiver(BaseHTTPRequestHandler):
    """Records requests. The path selects the reply: /500, /302, /hang (none), or 204."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        if self.path == "/hang":
            self.server.released.wait(60)
        status = int(self.path[1:]) if self.path[1:].isdigit() else 204
        self.send_response(status)
        self.send_header("Set-Cookie", "shared=1; Path=/")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Suppress the log of requests."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    server.received, server.released = [], threading.Event()
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    with serving() as server:
        yield server


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records.open("", tmp_path / "records.sqlite")
    yield records
    records.close()


def finish_job(records: Records, url: str, tenant: str = "shop") -> str:
    job = job_record(tenant, webhook_url=url)
    records.add_job(job, max_active=10_000)
    records.change_job(job.id, (JobState.QUEUED,), state=JobState.SUCCEEDED)
    return job.id


@contextmanager
def delivering(
    records: Records, policy: WebhookPolicy = LOOPBACK, trust: ssl.SSLContext | None = None
) -> Iterator[Callable[[str], Delivery]]:
    """Deliver the webhooks of all finished jobs. Yield a function that returns the delivery of a job."""
    deliverer = Webhooks(records, policy, trust)
    deliverer.announce_finished_jobs()
    deliverer.start()

    def delivery_of(job_id: str) -> Delivery:
        tenant = records.job(None, job_id).tenant
        (delivery,) = WebhookRecords(records.engine).page(tenant, job_id, (), None, 10)
        return delivery

    yield delivery_of
    deliverer.stop()


def url_of(server: ThreadingHTTPServer, path: str = "/done", scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.server_port}{path}"


def test_two_replicas_can_announce_a_job_at_the_same_time(postgresql: str) -> None:
    records = Records.open(new_database(postgresql), Path())
    job = records.job(None, finish_job(records, "https://shop.example/done"))
    webhooks, inside = WebhookRecords(records.engine), []

    def announce_in_between(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("INSERT INTO webhook_deliveries") and not inside:
            inside.append(statement)
            webhooks.announce(job)

    sa.event.listen(records.engine, "before_cursor_execute", announce_in_between)
    webhooks.announce(job)
    assert inside
    assert len(webhooks.page("shop", job.id, (), None, 10)) == 1
    assert records.jobs_to_announce() == []
    records.close()


def test_a_finished_job_is_announced_once_with_a_signature_over_id_time_and_body(
    tmp_path: Path, triton_url: str, receiver: ThreadingHTTPServer
) -> None:
    service = RunningService(tmp_path, triton_url, webhook_allow='["127.0.0.0/8"]')
    with service.client() as client:
        upload = client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
        job = client.stain(upload, stain="walnut", webhook_url=url_of(receiver), labels={"order": "7"})
        client.wait(job.id)
        wait_for(lambda: receiver.received, 20)
        (delivery,) = client.webhooks.deliveries(job.id)
        _, headers, body = receiver.received[0]
        event = Webhook(client.webhooks.secret()).verify(body, headers)
        assert event["type"] == "job.succeeded"
        assert (event["data"]["job_id"], event["data"]["labels"]) == (job.id, {"order": "7"})
        assert headers["webhook-id"] == delivery.id
        for change in ({"webhook-id": "msg_other"}, {"webhook-timestamp": str(int(time.time()) - 60)}):
            with pytest.raises(WebhookVerificationError):
                Webhook(client.webhooks.secret()).verify(body, {**headers, **change})
        with pytest.raises(WebhookVerificationError):
            Webhook(client.webhooks.secret()).verify(body.replace("walnut", "oak") + " ", headers)
        wait_for(
            lambda: next(client.webhooks.deliveries(job.id)).state == webhook_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED, 10
        )
        assert len(receiver.received) == 1
        again_through_the_command_line(service, client, delivery.id)
        wait_for(lambda: len(receiver.received) == 2, 10)
        assert receiver.received[1][1]["webhook-id"] == delivery.id
    with service.client("rival") as rival:
        assert not list(rival.webhooks.deliveries())
        with pytest.raises(ApiError, match="not found"):
            rival.webhooks.redeliver(delivery.id)
    assert service.stop() == 0


def again_through_the_command_line(service: RunningService, client: Heartwood, delivery_id: str) -> None:
    access = ("--server", service.address, "--token", service.token("shop"))
    listed = run_in_process("webhooks", "list", *access).stdout
    assert delivery_id in listed
    assert "DELIVERED" in listed
    assert run_in_process("webhooks", "secret", *access).stdout.strip() == client.webhooks.secret()
    assert run_in_process("webhooks", "redeliver", delivery_id, *access).exit_code == 0


def test_after_a_rotation_webhooks_are_signed_with_both_secrets(
    records: Records, receiver: ThreadingHTTPServer
) -> None:
    secrets = WebhookRecords(records.engine)
    old = secrets.secrets("shop")[0]
    new = secrets.rotate_secret("shop", timedelta(hours=1))
    finish_job(records, url_of(receiver))
    with delivering(records):
        wait_for(lambda: receiver.received, 10)
    _, headers, body = receiver.received[0]
    for secret in (old, new):
        Webhook(secret).verify(body, headers)
    assert secrets.secrets("rival")[0] not in (old, new)
    secrets.rotate_secret("shop", timedelta(0))
    assert len(secrets.secrets("shop")) == 1


def test_dead_and_slow_receivers_of_one_tenant_do_not_delay_another(
    records: Records, receiver: ThreadingHTTPServer
) -> None:
    slow = [finish_job(records, url_of(receiver, "/hang"), "slow") for _ in range(40)]
    for _ in range(40):
        finish_job(records, "http://127.0.0.1:9/", "dead")
    quick = finish_job(records, url_of(receiver), "quick")
    started = time.monotonic()
    with delivering(records) as delivery_of:
        wait_for(lambda: delivery_of(quick).state is DeliveryState.DELIVERED, 10)
        assert time.monotonic() - started < 5
        hanging = sum(path == "/hang" for path, _, _ in receiver.received)
        assert hanging <= webhooks.PER_TENANT
        wait_for(lambda: delivery_of(slow[0]).error, webhooks.ATTEMPT_S + 5)
        assert delivery_of(slow[0]).error == "the receiver did not reply within 10 s"


def test_a_delivery_that_is_started_again_waits_for_its_running_attempt(
    records: Records, receiver: ThreadingHTTPServer
) -> None:
    job = finish_job(records, url_of(receiver, "/hang"))
    deliveries = WebhookRecords(records.engine)
    with delivering(records) as delivery_of:
        wait_for(lambda: receiver.received, 10)
        for _ in range(20):
            deliveries.redeliver("shop", delivery_of(job).id)
            time.sleep(0.1)
        assert len(receiver.received) == 1
        receiver.released.set()
        wait_for(lambda: delivery_of(job).state is DeliveryState.DELIVERED, 10)
    assert len(receiver.received) == 2


def test_name_servers_of_one_tenant_that_do_not_answer_do_not_delay_another(
    records: Records, receiver: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, lookups, look_up = threading.Event(), [], socket.getaddrinfo

    def look_up_slowly(host: str, *arguments: object) -> list[object]:
        if host.endswith(".slow.example"):
            lookups.append(host)
            answered.wait(60)
            raise socket.gaierror
        return look_up(host, *arguments)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    monkeypatch.setattr(webhooks, "CONNECT_S", 0.2)
    for number in range(60):
        finish_job(records, f"https://{number}.slow.example/", "slow")
    with delivering(records, WebhookPolicy(("localhost",))) as delivery_of:
        time.sleep(6)  # for twelve claims
        started = time.monotonic()
        quick = records.job(None, finish_job(records, f"http://localhost:{receiver.server_port}/done", "quick"))
        WebhookRecords(records.engine).announce(quick)
        wait_for(lambda: delivery_of(quick.id).state is DeliveryState.DELIVERED, 10)
        assert time.monotonic() - started < 5
        assert len(lookups) <= webhooks.PER_TENANT
        answered.set()
        wait_for(lambda: len(lookups) > webhooks.PER_TENANT, 10)


def test_failed_attempts_are_repeated_later_and_recorded(records: Records, receiver: ThreadingHTTPServer) -> None:
    failing, moved = finish_job(records, url_of(receiver, "/500")), finish_job(records, url_of(receiver, "/302"))
    with delivering(records) as delivery_of:
        wait_for(lambda: delivery_of(failing).attempts == 2, 15)
        wait_for(lambda: delivery_of(moved).error, 5)
    delivery = delivery_of(failing)
    assert (delivery.state, delivery.status_code) == (DeliveryState.PENDING, 500)
    assert delivery.due_time is not None
    assert delivery_of(moved).error == "the receiver replied with HTTP 302"
    assert not any(path == "/elsewhere" for path, _, _ in receiver.received)


def test_a_receiver_cannot_set_cookies_for_the_webhooks_of_others(
    records: Records, receiver: ThreadingHTTPServer
) -> None:
    url = f"http://localhost:{receiver.server_port}/done"  # clients keep no cookies of IP addresses
    first = finish_job(records, url, "hostile")
    with delivering(records, WebhookPolicy(("localhost",))) as delivery_of:
        wait_for(lambda: delivery_of(first).state is DeliveryState.DELIVERED, 10)
        second = records.job(None, finish_job(records, url, "shop"))
        WebhookRecords(records.engine).announce(second)
        wait_for(lambda: len(receiver.received) == 2, 10)
    assert all("cookie" not in headers for _, headers, _ in receiver.received)


def test_two_replicas_deliver_each_webhook_once(records: Records, receiver: ThreadingHTTPServer) -> None:
    ids = [finish_job(records, url_of(receiver)) for _ in range(40)]
    with delivering(records), delivering(records) as delivery_of:
        wait_for(lambda: all(delivery_of(id).state is DeliveryState.DELIVERED for id in ids), 30)
    assert len(receiver.received) == len(ids)


def test_tls_certificates_are_verified(records: Records) -> None:
    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trust, distrust = ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(trust)
    other.configure_trust(distrust)
    with serving(context) as server:
        refused = finish_job(records, url_of(server, scheme="https"))
        with delivering(records, trust=distrust) as delivery_of:
            wait_for(lambda: delivery_of(refused).error, 10)
            assert "no connection" in delivery_of(refused).error
        assert server.received == []
        accepted = finish_job(records, url_of(server, scheme="https"))
        with delivering(records, trust=trust) as delivery_of:
            wait_for(lambda: delivery_of(accepted).state is DeliveryState.DELIVERED, 10)
        assert json.loads(server.received[0][2])["data"]["job_id"] == accepted


def test_a_receiver_that_the_policy_forbids_meanwhile_gets_nothing(
    records: Records, receiver: ThreadingHTTPServer
) -> None:
    job = finish_job(records, url_of(receiver))
    with delivering(records, WebhookPolicy()) as delivery_of:
        wait_for(lambda: delivery_of(job).error, 10)
    assert receiver.received == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "017700000001"])
def test_no_spelling_of_a_private_address_reaches_a_receiver(records: Records, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        job = finish_job(records, f"https://{host}:{receiver.getsockname()[1]}/")
        with delivering(records, WebhookPolicy()) as delivery_of:
            wait_for(lambda: delivery_of(job).error, 15)
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.accept()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.8"])
def test_a_name_with_a_private_address_is_refused_when_connecting(host: str) -> None:
    with pytest.raises(Refused, match="not on a public address"):
        asyncio.run(CheckedResolver(WebhookPolicy()).resolve(host, 443))
    assert asyncio.run(CheckedResolver(WebhookPolicy((host,))).resolve(host, 443))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fec0::1",
        "5f00::1",
        "3fff::1",
        "192.0.0.8",
        "192.88.99.1",
    ],
)
def test_private_addresses_and_those_that_embed_ipv4_are_refused(address: str) -> None:
    assert not WebhookPolicy().allows_address(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert WebhookPolicy().allows_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "ftp://hooks.example/",
        "https://",
        "https://user:pass@hooks.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://127.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://0x7f.0.0.1/",
        "https://127.0.0.1./",
        "https://[fe80::1%25eth0]/",
        "https://[v1.::1]/",
        "https://%31%32%37.1/",
        "https://localhost/",
        "https://localhost./",
        "https://db.internal/",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://hooks.example/a b",
        "https://hooks.example/\r\nx: y",
        "https://hooks.example/" + "a" * 2048,
    ],
)
def test_an_invalid_webhook_url_is_refused_before_the_job_is_created(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        WebhookPolicy().check_url(url, "webhook_url")
    assert caught.value.field == "webhook_url"


def test_permitted_urls_are_accepted() -> None:
    WebhookPolicy().check_url("https://hooks.example:8443/heartwood?shop=1", "webhook_url")
    WebhookPolicy().check_url("https://93.184.216.34/", "webhook_url")
    policy = WebhookPolicy(("hooks.internal", "10.0.0.0/8"))
    for url in ("https://hooks.internal/", "http://hooks.internal/", "http://10.1.2.3:8080/x"):
        policy.check_url(url, "webhook_url")
    with pytest.raises(InvalidInput, match="HEARTWOOD_WEBHOOK_ALLOW"):
        policy.check_url("https://192.168.0.1/", "webhook_url")
    assert check_syntax("https://hooks.example/", "webhook_url").hostname == "hooks.example"


def test_a_job_with_a_private_webhook_is_refused(triton_url: str, tmp_path: Path) -> None:
    service = RunningService(tmp_path, triton_url)
    with service.client() as client:
        upload = client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
        with pytest.raises(ApiError) as refused:
            client.stain(upload, stain="walnut", webhook_url="https://169.254.169.254/latest")
        assert refused.value.field == "spec.webhook_url"
        assert list(client.jobs(states=[job_pb2.JOB_STATE_QUEUED])) == []
    assert service.stop() == 0
