"""The session that all checks share: it sends requests with the path, header and model that discovery found."""

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from service.check.outcome import Skipped
from service.check.probe.client import Client, Exchange
from service.check.probe.stream import Stream
from service.check.probe.target import Credential, PathName, Target

Header = Literal["x-api-key", "bearer"]
HEADERS: tuple[Header, ...] = ("x-api-key", "bearer")

# Has characters of two to four bytes, which a careless server cuts in two.
SAY = "Please say this again: Grüße aus Köln, heute fahren 42 Züge, and “see you soon” 🙂 はい"
COUNT = (
    "Count on from one to sixty in words, without stopping: one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
)

_MOST_RESENDS = 3
"""Most times that one request is sent again."""
_LONGEST_WAIT_S = 10
"""Longest Retry-After that is waited for, in seconds."""
_LONGEST_WAITS_S = 60
"""Longest total wait of a whole run, in seconds. It bounds a run against an endpoint that is always too busy."""
_SHORT_WAIT = re.compile(r"[0-9]{1,3}", re.ASCII)
"""A Retry-After in whole seconds. Any other value (a date, a fraction, a long number) is not waited for."""


@dataclass(frozen=True)
class Options:
    timeout_s: float = 30.0
    """Seconds that one whole answer may take."""
    ttft_budget_s: float = 1.0
    """Seconds to the first content. A later one is a warning."""
    done_grace_s: float = 1.0
    """Seconds from `[DONE]` to the end of the body."""


@dataclass(frozen=True)
class Ttft:
    """Seconds to the first content, measured over calls one after another."""

    calls: tuple[float, ...]
    median_s: float
    worst_s: float


@dataclass
class Session:
    client: Client
    target: Target
    credential: Credential
    model: str
    options: Options
    probes: dict[tuple[PathName, Header], Exchange] = field(default_factory=dict)
    """The answers to one request, sent to both paths with both headers."""
    resent: int = 0
    """Number of requests that were refused for load and sent again after their Retry-After."""
    waited_s: float = 0.0
    """Total seconds waited before those requests."""
    ttft: Ttft | None = None
    _stream: Exchange | None = None

    @property
    def path(self) -> PathName | None:
        """The path to hand over to the platform. None if no path answers."""
        return next((path for path in self.target.paths if self.answering_headers(path)), None)

    @property
    def headers_that_work(self) -> list[Header]:
        return self.answering_headers(self.path) if self.path else []

    def answering_headers(self, path: PathName) -> list[Header]:
        return [header for header in HEADERS if (probe := self.probes.get((path, header))) and probe.is_ok]

    @property
    def answering_paths(self) -> list[PathName]:
        return [path for path in self.target.paths if self.answering_headers(path)]

    @property
    def whole(self) -> Exchange:
        """The plain answer, which was not streamed."""
        assert self.path, "run only if a path answers"
        return self.probes[self.path, self.headers_that_work[0]]

    async def stream_exchange(self) -> Exchange:
        """The same question, streamed. It is sent once for all checks that look at it."""
        if self._stream is None:
            self._stream = await self.ask(self.body(stream=True))
        return self._stream

    async def stream(self) -> Stream:
        """The streamed answer, read. Raises `Skipped` if it has no events."""
        stream = Stream(await self.stream_exchange())
        if stream.exchange.status != 200 or not stream.events:
            raise Skipped("no events came: see stream.content-type and stream.framing")
        return stream

    def body(self, text: str = SAY, **fields: Any) -> dict[str, Any]:
        """A request body with greedy decoding, so that two answers can be compared."""
        messages = [{"role": "user", "content": text}]
        return {"model": self.model, "messages": messages, "max_tokens": 32, "temperature": 0, "seed": 7, **fields}

    async def ask(
        self,
        body: dict[str, Any] | bytes,
        *,
        path: PathName | None = None,
        header: Header | None = None,
        key: str | None = None,
        is_keyless: bool = False,
        may_resend: bool = True,
        hang_up_when: Callable[[Exchange], bool] | None = None,
        client: Client | None = None,
    ) -> Exchange:
        """POST the body. Without arguments, use the path, header and key that work.

        Sends the request again after a short Retry-After, unless `may_resend` is false.
        """
        headers = {"content-type": "application/json"}
        if not is_keyless:
            headers |= auth_header(header or self.headers_that_work[0], key or self.credential.key)
        url = self.target.chat(path or self.path or self.target.paths[0])
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        asking = client or self.client
        seen = await asking.ask("POST", url, headers, content, hang_up_when=hang_up_when)
        for _ in range(_MOST_RESENDS if may_resend else 0):
            wait_s = _retry_after_s(seen)
            if wait_s is None or self.waited_s + wait_s > _LONGEST_WAITS_S:
                break
            self.resent += 1
            self.waited_s += wait_s
            await asyncio.sleep(wait_s)
            seen = await asking.ask("POST", url, headers, content, hang_up_when=hang_up_when)
        return seen

    def new_client(self) -> Client:
        """A client with its own connections."""
        return Client(timeout_s=self.options.timeout_s, done_grace_s=self.options.done_grace_s)

    def redacted(self, text: str) -> str:
        return self.credential.redacted(text)


def auth_header(header: Header, key: str) -> dict[str, str]:
    return {"x-api-key": key} if header == "x-api-key" else {"authorization": f"Bearer {key}"}


def wrong_key() -> str:
    return f"fw_wrong_{secrets.token_hex(12)}"


def _retry_after_s(seen: Exchange) -> float | None:
    """Seconds to wait after a refusal for load. None for any other answer, or if the wait is too long."""
    text = seen.headers.get("retry-after", "").strip()
    if seen.status not in (429, 503) or not _SHORT_WAIT.fullmatch(text):
        return None
    return float(text) if int(text) <= _LONGEST_WAIT_S else None
