"""Writes that leave together. uvloop writes at once, so with 64 streams an engine's step is 64 system calls with Python between
them, and whoever reads them on this machine (a proxy beside us) goes to sleep and is woken for each. Here what a connection
writes is kept until all that was ready has run, and then written in one go: one system call for each connection, close together.
"""

import asyncio
from typing import Any


class WriteCoalescer:
    """The connections of one event loop that have something to write."""

    def __init__(self) -> None:
        self._waiting: list[CoalescingTransport] = []

    def add(self, transport: "CoalescingTransport") -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._waiting.append(transport)

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            transport.flush()


class CoalescingTransport:
    """A transport whose writes wait for the outbox; of the rest it changes nothing, and keeps the order."""

    def __init__(self, transport: asyncio.Transport, coalescer: WriteCoalescer) -> None:
        self._transport = transport
        self._coalescer = coalescer
        self._pieces: list[bytes] = []
        self._broken: Exception | None = None

    def write(self, data: bytes) -> None:
        """Raises what an earlier write met: a closed connection shows itself one write later."""
        if self._broken is not None:
            raise self._broken
        if not self._pieces:
            self._coalescer.add(self)
        self._pieces.append(data)

    def flush(self) -> None:
        """Write what is gathered."""
        if not self._pieces:
            return
        pieces, self._pieces = self._pieces, []
        try:
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        except (RuntimeError, OSError) as error:
            self._broken = error

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
