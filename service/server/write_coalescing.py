"""Combines the writes of one event loop iteration: one system call for each connection, close together.

uvloop writes at once. With 64 streams, an engine step then takes 64 system calls with Python code between them, and a reader on
this machine (a proxy, for example) sleeps and wakes up for each. Here each connection's data is kept until all ready callbacks
have run, and is then written.
"""

import asyncio
from typing import Any


class WriteCoalescer:
    """The connections of one event loop that have data to write."""

    def __init__(self) -> None:
        self._waiting: list[CoalescingTransport] = []

    def add(self, transport: "CoalescingTransport") -> None:
        """Flush this transport after the callbacks that are ready now."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._waiting.append(transport)

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            transport.flush()


class CoalescingTransport:
    """A transport that delays its writes until the coalescer flushes them. It keeps their order and changes nothing else."""

    def __init__(self, transport: asyncio.Transport, coalescer: WriteCoalescer) -> None:
        self._transport = transport
        self._coalescer = coalescer
        self._pieces: list[bytes] = []
        self._broken: Exception | None = None

    def write(self, data: bytes) -> None:
        """Queue the data. Raises the error of an earlier write, so a closed connection shows one write later."""
        if self._broken is not None:
            raise self._broken
        if not self._pieces:
            self._coalescer.add(self)
        self._pieces.append(data)

    def flush(self) -> None:
        """Write the queued data in one call."""
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
