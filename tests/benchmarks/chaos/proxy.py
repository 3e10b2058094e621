"""A TCP proxy on loopback that can cut its clients off from the server behind it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 1 << 16
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing the socket sends RST."""


class Proxy:
    """Forwards connections to ``server``, until it is stalled or refuses them.

    Args:
        server: the path of a Unix socket, or host:port.
    """

    def __init__(self, server: Path | str) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, sock=self._listener), self._loop).result()

    def stall(self) -> None:
        """Forward nothing more. The connections stay open, as behind a switch that drops all packets."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def refuse(self) -> None:
        """Reset all connections, and each new one."""
        self._loop.call_soon_threadsafe(self._reset)

    def restore(self) -> None:
        """Forward again. What was sent during a stall arrives late."""
        self._loop.call_soon_threadsafe(self._restore)

    def close(self) -> None:
        """Reset all connections, and stop listening."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()

    def _restore(self) -> None:
        self._refuses = False
        self._flows.set()

    def _reset(self) -> None:
        self._refuses = True
        for writer in self._writers:
            _abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _abort(writer)
            return
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            _abort(writer)
            return
        writers = {writer, server_writer}
        self._writers |= writers
        try:
            await asyncio.gather(self._forward(reader, server_writer), self._forward(server_reader, writer))
        finally:
            self._writers -= writers
            for each in writers:
                each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._server, Path):
            return await asyncio.open_unix_connection(str(self._server))
        host, _, port = self._server.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one direction of a connection until it ends, and end it on the other side, too."""
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
