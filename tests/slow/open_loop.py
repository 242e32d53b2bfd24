"""An open-loop load: turns arrive by a Poisson process, whatever becomes of those before them. No retries, nothing dropped."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

STREAMED = 0.8
ANSWERED = "answered"


@dataclass
class Load:
    """What became of each turn: `answered` whole, an error's status and code, or how the connection broke."""

    url: str
    key: str
    body: dict[str, Any]
    rate: float
    """Turns a second."""
    endings: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    is_over: bool = False

    @property
    def failed(self) -> dict[str, int]:
        return {ending: count for ending, count in self.endings.items() if ending != ANSWERED}

    async def offer(self) -> None:
        """Until `is_over`, and then to the last answer."""
        rng = random.Random(1)
        connector, timeout = aiohttp.TCPConnector(limit=0, keepalive_timeout=30), aiohttp.ClientTimeout(total=120)
        async with (
            aiohttp.ClientSession(self.url, headers={"x-api-key": self.key}, connector=connector, timeout=timeout) as session,
            asyncio.TaskGroup() as turns,
        ):
            due = time.monotonic()
            while not self.is_over:
                self.begun += 1
                turns.create_task(self._take_turn(session, is_stream=rng.random() < STREAMED))
                due += rng.expovariate(self.rate)
                await asyncio.sleep(due - time.monotonic())

    async def _take_turn(self, session: aiohttp.ClientSession, *, is_stream: bool) -> None:
        try:
            async with session.post("/v1/chat/completions", json=self.body | {"stream": is_stream}) as response:
                ending = await _ending(response, is_stream=is_stream)
        except (aiohttp.ClientError, TimeoutError) as error:
            ending = f"{type(error).__name__}: {error}"
        self.endings[ending] += 1


async def _ending(response: aiohttp.ClientResponse, *, is_stream: bool) -> str:
    text = await response.text()
    if response.status != 200:
        is_ours = response.content_type == "application/json"
        return f"{response.status} {(await response.json())['error']['code'] if is_ours else 'of the proxy'}"
    is_whole = text.endswith("data: [DONE]\n\n") if is_stream else '"finish_reason":' in text
    return ANSWERED if is_whole else f"not whole: …{text[-100:]}"


@contextmanager
def open_loop(url: str, key: str, body: dict[str, Any], *, rate: float) -> Iterator[Load]:
    """Offered until the scope's end, which waits for the last answer; by a thread of its own."""
    load = Load(url, key, body, rate)
    thread = threading.Thread(target=lambda: asyncio.run(load.offer()))
    thread.start()
    try:
        yield load
    finally:
        load.is_over = True
        thread.join()
