"""Reads a request body within limits of size and time, and notices when the client disconnects."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import Receive

from service.domain import Arrival
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone, UnsupportedMediaType


async def read_body(headers: Headers, receive: Receive, *, limit: int, timeout_s: float) -> bytes:
    """Read the whole body: at most `limit` bytes within `timeout_s`.

    Raises `UnsupportedMediaType`, `BodyTooLarge`, `BodyTooSlow` or `ClientGone`.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise UnsupportedMediaType(media_type)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(limit=limit, given=int(announced))
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > limit:
                    raise BodyTooLarge(limit=limit, given=None)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyTooSlow(timeout_s) from None


@asynccontextmanager
async def until_disconnect(receive: Receive, arrival: Arrival) -> AsyncIterator[None]:
    """Cancel the code in this scope when the client disconnects, and record the time in `arrival`. Raises `ClientGone` then.

    A separate task watches the connection, for streamed and other answers. During prefill nothing is sent, so a failing send
    would show the disconnect too late. It relies on uvicorn's `receive`, which waits for the disconnect once the body has been
    read; a test checks that.
    """
    turn = asyncio.current_task()
    assert turn is not None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        arrival.gone_s = time.monotonic()
        turn.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
        if arrival.gone_s is not None:  # The cancellation is pending; let it happen here, where it is handled.
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        if arrival.gone_s is None or turn.uncancel() > 0:
            raise  # Another cancellation: the server is stopping.
        raise ClientGone from None
    finally:
        watcher.cancel()
