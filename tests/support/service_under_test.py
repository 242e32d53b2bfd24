"""What the contract tests talk to: a service at an address, whichever engine is behind it. And one that runs in a thread."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
import uvloop

from service.app import create_app
from service.engine.scripted.engine import ScriptedEngine
from service.server.process import bind, server_config
from service.settings import Settings
from service.tenants.auth import KeyRing
from service.turn import Services

KEY = "test-key-1"
OTHER_KEY = "test-key-2"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify=`, where only http is spoken: by default each client reads all authorities anew, 30 ms of a processor that the
engine wants too.
"""


@dataclass
class ServiceUnderTest:
    """A running service and how to call it."""

    host: str
    port: int
    model: str
    key: str = KEY

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def body(self, text: str = "Count from one to five.", **fields: Any) -> dict[str, Any]:
        return {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 8, **fields}

    def post(self, body: Any = None, *, path: str = "/v1/chat/completions", timeout: float = 60, **kwargs: Any) -> httpx.Response:
        """POST with a valid key; `content=` and `headers=` go to httpx as they are."""
        if "content" not in kwargs:
            kwargs["json"] = body
        headers = {"x-api-key": self.key, "content-type": "application/json", **kwargs.pop("headers", {})}
        return httpx.post(self.url + path, headers=headers, timeout=timeout, verify=NO_TLS, **kwargs)

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, verify=NO_TLS, **kwargs)

    def raw_request(self, body: dict[str, Any], *, version: str = "1.1", extra: str = "") -> bytes:
        """The bytes of a request, for tests that hold the socket themselves."""
        payload = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/{version}\r\nHost: {self.host}\r\nx-api-key: {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n{extra}\r\n"
        )
        return head.encode() + payload

    def metric(self, name: str) -> float:
        """The sum of a metric's series at /metrics; 0 where it has none."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@dataclass
class ScriptedService(ServiceUnderTest):
    """The same, with the scripted engine at hand."""

    engine: ScriptedEngine = field(default_factory=lambda: ScriptedEngine("scripted"))
    services: Services = field(kw_only=True)
    loop: asyncio.AbstractEventLoop = field(kw_only=True)

    def drain(self) -> Any:
        """Begin to drain, as SIGTERM does; the result says whether all turns finished."""
        return asyncio.run_coroutine_threadsafe(self.services.lifecycle.drain(), self.loop)


@contextmanager
def scripted_service(*, is_started: bool = True, keys: KeyRing | None = None, **settings: Any) -> Iterator[ScriptedService]:
    """A real uvicorn on a real socket, the scripted engine behind it, in a thread of this process."""
    chosen = Settings(**{"port": 0, "engine": "scripted", "lameduck_s": 0, **settings})
    engine = ScriptedEngine("scripted", chosen.engine_args)
    app = create_app(chosen, engine, KeyRing(plain=[("acme", KEY), ("other", OTHER_KEY)]) if keys is None else keys)
    services: Services = app.state.services
    sock = bind(chosen)
    server = uvicorn.Server(server_config(app, chosen))
    loop = uvloop.new_event_loop()
    is_up = threading.Event()

    async def run() -> None:
        if is_started:
            await services.lifecycle.start()
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        is_up.set()
        await serving

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert is_up.wait(10)
    try:
        yield ScriptedService("127.0.0.1", sock.getsockname()[1], "scripted", engine=engine, services=services, loop=loop)
    finally:
        server.should_exit = True
        thread.join(10)
        loop.close()


def sse_events(text: str) -> list[Any]:
    """The data of every server-sent event, JSON decoded; `[DONE]` as the string it is."""
    events = [block.removeprefix("data: ") for block in text.split("\n\n") if block]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


def until(is_true: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Wait for what must come true; fails where it does not."""
    left_s, now_s = within_s, time.monotonic()
    while not is_true():
        assert left_s > 0, "it did not come true"
        time.sleep(0.005)
        before_s, now_s = now_s, time.monotonic()
        left_s -= min(1.0, now_s - before_s)  # More is a pause of the machine, and what we wait for has stood still as well.
