"""TLS of the service, of its clients, and of an external Triton."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import trustme

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService


def write_certificate(authority: trustme.CA, folder: Path) -> dict[str, Path]:
    """Write a certificate for 127.0.0.1 and its key. Return the settings that name them."""
    certificate = authority.issue_cert("127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    return {"tls_certificate": folder / "chain.pem", "tls_key": folder / "key.pem"}


def is_served(service: RunningService, token: str, **credentials: bytes) -> bool:
    with Heartwood(service.address, token, timeout_s=5, **credentials) as client:
        try:
            return bool(client.stains())
        except ApiError as error:
            if error.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            return False


def test_the_server_accepts_only_tls_and_reloads_its_certificate(tmp_path: Path, triton_url: str) -> None:
    first, second = trustme.CA(), trustme.CA()
    service = RunningService(tmp_path / "data", triton_url, **write_certificate(first, tmp_path))
    token = service.token("shop")
    assert not is_served(service, token)
    assert is_served(service, token, root_certificates=first.cert_pem.bytes())
    write_certificate(second, tmp_path)
    assert is_served(service, token, root_certificates=second.cert_pem.bytes())
    assert not is_served(service, token, root_certificates=first.cert_pem.bytes())
    (tmp_path / "key.pem").unlink()  # a key that is being replaced does not end the service
    assert is_served(service, token, root_certificates=second.cert_pem.bytes())
    assert service.stop() == 0


def test_with_an_authority_for_clients_only_their_certificates_are_accepted(tmp_path: Path, triton_url: str) -> None:
    servers, clients = trustme.CA(), trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    keys = write_certificate(servers, tmp_path)
    service = RunningService(tmp_path / "data", triton_url, tls_client_ca=tmp_path / "clients.pem", **keys)
    token, root = service.token("shop"), servers.cert_pem.bytes()

    def with_certificate_of(authority: trustme.CA) -> bool:
        certificate = authority.issue_cert("gateway.shop")
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        credentials = {"client_certificate": chain, "client_key": certificate.private_key_pem.bytes()}
        return is_served(service, token, root_certificates=root, **credentials)

    assert not is_served(service, token, root_certificates=root)
    assert with_certificate_of(clients)
    assert not with_certificate_of(servers)
    assert service.stop() == 0


@contextmanager
def tls_proxy(target: str, authority: trustme.CA) -> Iterator[str]:
    """Terminate TLS in front of ``target`` (host:port). Yield host:port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    loop, address, started = asyncio.new_event_loop(), [""], threading.Event()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.rpartition(":")
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer), return_exceptions=True)

    async def serve() -> None:
        server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
        address[0] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert started.wait(10)
    yield address[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_job_runs_on_a_triton_behind_tls(tmp_path: Path, triton_url: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_proxy(triton_url, authority) as address:
        service = RunningService(tmp_path / "data", address, triton_ca=tmp_path / "ca.pem")
        with service.client() as client:
            upload = client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
            assert client.wait(client.stain(upload, stain="walnut").id).stain.photos
        assert service.stop() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tls_client_ca": "ca.pem"}, "only over TLS"),
        ({"triton_tls": "true"}, "need triton_url"),
        ({"tls_certificate": "missing.pem", "tls_key": "missing.pem"}, "tls_certificate: the file missing.pem"),
    ],
)
def test_contradictory_settings_are_refused(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        RunningService(tmp_path, **settings)
