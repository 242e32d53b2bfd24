"""One request and everything that was seen of its answer: nothing is raised, whatever the server does, and no more is read than
a check could want.
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

# At the beginning of a line: an answer may say these words, too, but no raw line break before them.
_DONE = re.compile(rb"[\r\n]data: ?\[DONE\]")

_MOST_BYTES = 2 * 2**20
"""Of a body. An answer of 512 tokens has a tenth of it; only a long list of models comes near."""
_MOST_PIECES = 50_000
"""Of a body: each costs memory beside its bytes."""

End = Literal["whole", "timeout", "left open", "broken off", "unreachable", "hung up", "given up"]
"""How an answer ended. `left open`: `[DONE]` was here, but not the end of the body; `hung up`: by us, as meant; `given up`:
by us, since nobody would read it all.
"""


@dataclass
class Exchange:
    """Filled in as the answer comes. Times are of the monotonic clock, in seconds."""

    sent_at: float = 0.0
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """What was read at once, and when."""
    ended_at: float = 0.0
    end: End = "whole"
    why: str = ""
    """Of an end that nobody wanted: in our words or the network library's."""
    connection: Any = None
    """Our side's address: the same for two requests on one connection."""

    length: int = 0
    """Of all pieces, in bytes."""

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
            self.end, self.why = "given up", f"in more than {_MOST_PIECES} pieces"

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

    def told(self) -> str:
        """What came, in a few words and none of the body's."""
        if self.end == "timeout":
            return f"no whole answer within {self.took_s:.1f} s"
        if self.end in ("broken off", "unreachable"):
            return f"{'the connection broke off' if self.end == 'broken off' else 'no connection'} ({self.why})"
        if self.end == "given up":
            return f"status {self.status}, given up: {self.why}"
        redirect = ", a redirect: give the URL that it leads to" if self.status and 300 <= self.status < 400 else ""
        return f"status {self.status}{redirect}"


class Client:
    """Connections that are kept, a limit for each whole answer, and the memory of which took longest.

    Raises `CannotCheck` where the environment's proxy or certificates cannot be used.
    """

    def __init__(self, *, timeout_s: float, done_grace_s: float) -> None:
        self.timeout_s = timeout_s
        self._done_grace_s = done_grace_s
        # Not compressed, or a proxy's compression would pass for buffering.
        headers = {"user-agent": f"firstword-check/{__version__}", "accept-encoding": "identity"}
        try:
            self._http = httpx.AsyncClient(timeout=timeout_s, headers=headers, follow_redirects=False)
        except (httpx.InvalidURL, ValueError, ImportError, OSError):  # Its words quote what may be a proxy's password.
            raise CannotCheck(
                "The environment's proxy or certificates cannot be used: look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY "
                "(http:// or https:// URLs), SSL_CERT_FILE and SSL_CERT_DIR."
            ) from None
        # A session that a gateway begins for a good key would let a wrong one in.
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
            # The stream itself was over: the silence after it is a fault of its own, and of one check.
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
                    # Of it a few KB may be as many GB.
                    seen.end, seen.why = "given up", "compressed several times over, and nobody asked for it"
                    return
                is_done = False
                async for piece in response.aiter_bytes():
                    seen.take(piece)
                    if hang_up_when and hang_up_when(seen):
                        seen.end = "hung up"
                    if seen.end != "whole":
                        return
                    # Once: a server that says it again and again gets no more time for it.
                    if not is_done and _DONE.search(b"".join(piece for _, piece in seen.pieces[-2:])):
                        is_done = True
                        limit.reschedule(asyncio.get_running_loop().time() + self._done_grace_s)
            finally:
                await response.aclose()  # Of an answer that is not whole this closes the connection.


def _reason(error: BaseException) -> str:
    """What the system said, which the libraries wrap: `Connection refused` instead of `All connection attempts failed`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError) and cause.errno:
            return os.strerror(cause.errno)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        # Of a name with several addresses: each failed.
        cause = cause.exceptions[-1] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
