"""Combined writes: they keep their order, there is one for each connection, and nothing is lost at the end of a connection."""

import asyncio
from collections.abc import Callable

from service.server.write_coalescing import CoalescingTransport, WriteCoalescer


class Wire:
    """A transport that records its calls in a list, which it shares with other transports."""

    def __init__(self, said: list[str], name: str, *, is_broken: bool = False) -> None:
        self._said, self._name, self._is_broken = said, name, is_broken

    def write(self, data: bytes) -> None:
        if self._is_broken:
            raise RuntimeError("the handler is closed")
        self._said.append(f"{self._name}:{data.decode()}")

    def write_eof(self) -> None:
        self._said.append(f"{self._name} eof")

    def close(self) -> None:
        self._said.append(f"{self._name} closed")

    def is_closing(self) -> bool:
        return self._is_broken


def recorded(do: Callable[[Callable[..., CoalescingTransport]], None]) -> list[str]:
    """Return the calls that the transports got, with `-` for the end of `do` itself."""
    said: list[str] = []
    coalescer = WriteCoalescer()

    def wire(name: str, *, is_broken: bool = False) -> CoalescingTransport:
        return CoalescingTransport(Wire(said, name, is_broken=is_broken), coalescer)  # type: ignore[arg-type]

    async def run() -> None:
        do(wire)
        said.append("-")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(run())
    return said


def test_writes_wait_for_what_else_is_ready_and_leave_as_one() -> None:
    def do(wire: Callable[..., CoalescingTransport]) -> None:
        one, other = wire("a"), wire("b")
        for piece in (b"1", b"2", b"3"):
            one.write(piece)
        other.write(b"4")

    assert recorded(do) == ["-", "a:123", "b:4"]


def test_an_end_waits_for_nothing_and_loses_nothing() -> None:
    def do(wire: Callable[..., CoalescingTransport]) -> None:
        half, whole = wire("a"), wire("b")
        half.write(b"1")
        half.write_eof()
        whole.write(b"2")
        whole.close()

    assert recorded(do) == ["a:1", "a eof", "b:2", "b closed", "-"]


def test_a_broken_connection_shows_itself_at_its_next_write_and_harms_no_other() -> None:
    shown: list[str] = []

    def do(wire: Callable[..., CoalescingTransport]) -> None:
        broken, good = wire("a", is_broken=True), wire("b")
        broken.write(b"1")
        good.write(b"2")

        def again() -> None:
            try:
                broken.write(b"3")
            except RuntimeError as error:
                shown.append(str(error))

        asyncio.get_running_loop().call_soon(again)
        assert broken.is_closing()

    assert recorded(do) == ["-", "b:2"]
    assert shown == ["the handler is closed"]
