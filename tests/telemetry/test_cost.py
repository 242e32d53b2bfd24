"""The cost of telemetry: the same for a turn of many tokens as for a turn of few tokens."""

import asyncio
import sys
from collections import Counter
from types import FrameType
from typing import Any

import httpx

from service.app import create_app
from service.engine.scripted.engine import ScriptedEngine
from service.settings import Settings
from service.tenants.auth import KeyRing

LIBRARIES = ("prometheus_client", "opentelemetry", "structlog")


def calls_of_libraries(*, turns: int, tokens: int) -> Counter[str]:
    """Count the function calls in each telemetry library, for streamed turns of one batch."""
    engine = ScriptedEngine("m", {"is_batching": True, "step_s": 0.002})
    # Under the profiler the loop is busy, so streams would gather text. Then turns would read this engine's tokens separately.
    app = create_app(Settings(engine="scripted", frame_window_s=0), engine, KeyRing(plain=[("acme", "key")]))
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            calls.update(name for name in LIBRARIES if f"/{name}/" in frame.f_code.co_filename)

    async def run() -> None:
        await app.state.services.lifecycle.start()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://in-process") as client:
            messages = [{"role": "user", "content": "word " * tokens}]
            body = {"model": "m", "stream": True, "messages": messages, "max_tokens": tokens}
            sys.setprofile(count)
            taken = [client.post("/v1/chat/completions", json=body, headers={"x-api-key": "key"}) for _ in range(turns)]
            answers = await asyncio.gather(*taken)
            sys.setprofile(None)
        assert {answer.text.count("word") for answer in answers} == {tokens}

    asyncio.run(run())
    return calls


def test_metrics_traces_and_logs_are_called_per_turn_and_per_step_and_never_per_token() -> None:
    one, short, batch = (calls_of_libraries(turns=turns, tokens=tokens) for turns, tokens in ((1, 200), (1, 5), (9, 200)))
    per_turn, per_step = short["prometheus_client"], (one - short)["prometheus_client"] / 195
    assert 0 < per_step < 10
    assert (batch - one)["prometheus_client"] / 8 < per_turn + 10 * per_step, "a turn's tokens come with the steps of the others"
    assert batch["structlog"] == 9 * short["structlog"] > 0
    assert batch["opentelemetry"] == 0, "off"
