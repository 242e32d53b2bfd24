"""Send one request and record its answer.

Nothing is raised, whatever the server does. Reading stops at a limit beyond what any check needs.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Literal, Self

import httpx

from service import __version__
from service.check.probe.target import CannotCheck

# Only at the beginning of a line. An answer's text may hold these words too, but never a raw line break before them.
_DONE = re.compile(rb"[\r\n]data: ?\[DONE\]")

_MOST_BYTES = 2 * 2**20
"""Most bytes to read of one body. An answer of 512 tokens has a tenth of it. Only a long list of models comes near."""
_MOST_PIECES = 50_000
"""Most pieces to read of one body. Each piece costs memory beside its bytes."""

End = Literal["whole", "timeout", "left open", "broken off", "unreachable", "hung up", "given up"]
"""How an answer ended.

- `left open`: `[DONE]` came, but the body did not end.
- `hung up`: we closed the connection on purpose.
- `given up`: we stopped reading at a limit.
"""


@dataclass
class Exchange:
    """One request and its answer, recorded as the answer arrives. Times are in seconds of the monotonic clock."""

    sent_at: float = 0.0
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """Each piece of the body, with the time at which it was read."""
    ended_at: float = 0.0
    end: End = "whole"
    why: str = ""
    """Reason of an unwanted end, in our words or in those of the network library."""
    connection: Any = None
    """Our local address. Two requests on one connection have the same one."""

    length: int = 0
    """Total length of all pieces, in bytes."""

    def begin(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, response.headers
        if stream := response.extensions.get("network_stream"):
            self.connection = stream.get_extra_info("client_addr")

    def take(self, piece: bytes) -> None:
        self.length += len(piece)
        self.pieces.append((time.monotonic(), piece))
        if self.length > _MOST_BYTES:
            self.end, self.why = "given up", f"longer than {_MOST_BYTES // 2**20} MiB"
        elif len(self.pieces) > _MOST_PIECES:
            self.end, self.why = "given up", f"more than {_MOST_PIECES} pieces"

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    @property
    def is_ok(self) -> bool:
        return self.status == 200 and self.end in ("whole", "left open", "hung up")

    @property
    def took_s(self) -> float:
        return self.ended_at - self.sent_at

    @property
    def media_type(self) -> str:
        value: str = self.headers.get("content-type", "")
        return value.split(";", maxsplit=1)[0].strip().lower()

    def summary(self) -> str:
        """The answer in a few words, without any of the body."""
        if self.end == "timeout":
            return f"no complete answer within {self.took_s:.1f} s"
        if self.end in ("broken off", "unreachable"):
            return f"{'the connection broke off' if self.end == 'broken off' else 'no connection'} ({self.why})"
        if self.end == "given up":
            return f"status {self.status}, stopped reading: {self.why}"
        redirect = ", a redirect: use the URL that it points to" if self.status and 300 <= self.status < 400 else ""
        return f"status {self.status}{redirect}"


class Client:
    """An HTTP client that keeps its connections, limits the time of each whole answer, and records the slowest one.

    Raises `CannotCheck` if the environment's proxy or certificates cannot be used.
    """

    def __init__(self, *, timeout_s: float, done_grace_s: float) -> None:
        self.timeout_s = timeout_s
        self._done_grace_s = done_grace_s
        # Ask for no compression: compression in a proxy would look like buffering.
        headers = {"user-agent": f"firstword-check/{__version__}", "accept-encoding": "identity"}
        try:
            self._http = httpx.AsyncClient(timeout=timeout_s, headers=headers, follow_redirects=False)
        except (httpx.InvalidURL, ValueError, ImportError, OSError):  # Its text may quote a proxy's password.
            raise CannotCheck(
                "The environment's proxy or certificates cannot be used. Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY "
                "(http:// or https:// URLs), SSL_CERT_FILE and SSL_CERT_DIR."
            ) from None
        # Keep no cookies. A gateway may start a session for a good key, and that session would let a wrong key in.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.slowest_s = 0.0
        self.timeouts = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        *,
        hang_up_when: Callable[[Exchange], bool] | None = None,
    ) -> Exchange:
        seen = Exchange(sent_at=time.monotonic())
        try:
            await self._read(seen, self._http.build_request(method, url, headers=headers, content=content), hang_up_when)
        except (TimeoutError, httpx.TimeoutException):
            # After `[DONE]` the stream itself is complete. An open body is a separate fault, and one check reports it.
            seen.end = "left open" if _DONE.search(seen.body) else "timeout"
        except httpx.ConnectError as error:
            seen.end, seen.why = "unreachable", _reason(error)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            seen.end, seen.why = "broken off", _reason(error)
        seen.ended_at = time.monotonic()
        self.slowest_s = max(self.slowest_s, seen.took_s)
        self.timeouts += seen.end == "timeout"
        return seen

    async def _read(self, seen: Exchange, request: httpx.Request, hang_up_when: Callable[[Exchange], bool] | None) -> None:
        async with asyncio.timeout(self.timeout_s) as limit:
            response = await self._http.send(request, stream=True)
            try:
                seen.begin(response)
                if "," in seen.headers.get("content-encoding", ""):
                    # A few KB may unpack to as many GB.
                    seen.end, seen.why = "given up", "compressed several times, although we asked for no compression"
                    return
                is_done = False
                async for piece in response.aiter_bytes():
                    seen.take(piece)
                    if hang_up_when and hang_up_when(seen):
                        seen.end = "hung up"
                    if seen.end != "whole":
                        return
                    # Only once: a server that repeats [DONE] gets no more time.
                    if not is_done and _DONE.search(b"".join(piece for _, piece in seen.pieces[-2:])):
                        is_done = True
                        limit.reschedule(asyncio.get_running_loop().time() + self._done_grace_s)
            finally:
                await response.aclose()  # If the answer is not complete, this closes the connection.


def _reason(error: BaseException) -> str:
    """The system's own error: `Connection refused` instead of the library's `All connection attempts failed`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError) and cause.errno:
            return os.strerror(cause.errno)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        # A host name with several addresses: every one failed.
        cause = cause.exceptions[-1] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
