"""TLS credentials of the gRPC server, which are read again when their files change."""

from __future__ import annotations

from pathlib import Path

import grpc
import structlog

from orchestrator.settings import Settings

log = structlog.get_logger()


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Return the credentials that the settings name, or None without a certificate.

    The files are checked at each new connection. If they cannot be read any more, the last ones stay in use.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    files = _Files(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), files.read_if_changed, require_client_authentication=settings.tls_client_ca is not None
    )


class _Files:
    """The files of the certificate, its key and the authority of the clients."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._stamps = self._current_stamps()

    def read(self) -> grpc.ServerCertificateConfiguration:
        client_ca = self._client_ca.read_bytes() if self._client_ca else None
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca)

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the files if one of them has changed, otherwise None. gRPC calls this at each handshake."""
        try:
            stamps = self._current_stamps()
            if stamps == self._stamps:
                return None
            configuration = self.read()
        except OSError as error:
            log.error("tls_reload_failed", error=error.strerror)
            return None
        self._stamps = stamps
        log.info("tls_reloaded")
        return configuration

    def _current_stamps(self) -> list[tuple[int, int]]:
        files = [file for file in (self._certificate, self._key, self._client_ca) if file]
        return [(file.stat().st_mtime_ns, file.stat().st_ino) for file in files]
