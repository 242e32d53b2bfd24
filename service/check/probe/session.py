"""How all checks ask, by the way in that was found."""

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

# With signs of two to four bytes, which a careless server cuts.
SAY = "Please say this again: Grüße aus Köln, heute fahren 42 Züge, and “see you soon” 🙂 はい"
COUNT = (
    "Count on from one to sixty in words, without stopping: one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
)

_MOST_RESENDS = 3
"""Of one request."""
_LONGEST_WAIT_S = 10
_LONGEST_WAITS_S = 60
"""Of a whole run: an endpoint that is always too busy is soon told so."""
_SHORT_WAIT = re.compile(r"[0-9]{1,3}", re.ASCII)
"""In seconds. A date, a fraction, a number that is none or too long to read: a refusal like any other."""


@dataclass(frozen=True)
class Options:
    timeout_s: float = 30.0
    """For each whole answer."""
    ttft_budget_s: float = 1.0
    done_grace_s: float = 1.0
    """From `[DONE]` to the end of the body."""


@dataclass(frozen=True)
class Ttft:
    """Seconds to the first content, of calls one after another."""

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
    """The same request, to both paths with both headers."""
    resent: int = 0
    """Requests that were refused for load, and asked again after the time that the refusal named."""
    waited_s: float = 0.0
    """For those, all together."""
    ttft: Ttft | None = None
    _stream: Exchange | None = None

    @property
    def path(self) -> PathName | None:
        """The one to hand over; None where none answers."""
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
        """An answer that was not streamed."""
        assert self.path, "run only where a path answers"
        return self.probes[self.path, self.headers_that_work[0]]

    async def stream_exchange(self) -> Exchange:
        """The same question streamed, asked once for all checks that look at it."""
        if self._stream is None:
            self._stream = await self.ask(self.body(stream=True))
        return self._stream

    async def stream(self) -> Stream:
        """The same, read. Raises `Skipped` where there is nothing to read."""
        stream = Stream(await self.stream_exchange())
        if stream.exchange.status != 200 or not stream.events:
            raise Skipped("no events came: see stream.content-type and stream.framing")
        return stream

    def body(self, text: str = SAY, **fields: Any) -> dict[str, Any]:
        """Greedy, so that two answers can be compared."""
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
        """POST it, in the way that works unless told otherwise."""
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
        """With connections of its own."""
        return Client(timeout_s=self.options.timeout_s, done_grace_s=self.options.done_grace_s)

    def told(self, text: str) -> str:
        return self.credential.shown(text)


def auth_header(header: Header, key: str) -> dict[str, str]:
    return {"x-api-key": key} if header == "x-api-key" else {"authorization": f"Bearer {key}"}


def wrong_key() -> str:
    return f"fw_wrong_{secrets.token_hex(12)}"


def _retry_after_s(seen: Exchange) -> float | None:
    """How long a refusal for load asks to wait, where that is short."""
    text = seen.headers.get("retry-after", "").strip()
    if seen.status not in (429, 503) or not _SHORT_WAIT.fullmatch(text):
        return None
    return float(text) if int(text) <= _LONGEST_WAIT_S else None
