"""Measures whether a large request delays running streams."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest.bench.results import Figures, percentile_ms
from loadtest.bench.streams import streaming
from loadtest.overload.client import Answer, ask
from loadtest.servers import Endpoint

BESIDE = 32
PROMPT, SCHEMA, MONSTER = "prompt", "schema", "monstrous schema"
PROMPT_CHARS = 100_000
LARGEST_SCHEMA = 1000
"""Most optional properties that our service accepts in a schema (service/normalize/json_schema.py)."""
MONSTROUS_SCHEMA = 2000
"""Required properties, which cost the engine less than optional ones. With more, it would be busy for minutes."""
TOLD = {
    PROMPT: f"a prompt of {PROMPT_CHARS:,} characters",
    SCHEMA: f"a schema of {LARGEST_SCHEMA:,} optional properties",
    MONSTER: f"a schema of {MONSTROUS_SCHEMA:,} required properties",
}
_WORDS = ("calls", "often", "begin", "with", "words", "that", "nobody", "needs", "and", "then", "the", "answer", "comes", "late")
_SETTLE_S = 1.0
_AFTER_S = 0.1
"""Seconds to wait after the large request: a delayed stream shows its gap only at its next frame."""


def large_body(kind: str, seed: str) -> dict[str, Any]:
    """A turn with a short answer. It begins with the seed, so that no cache contains any of it."""
    content, extra = f"{seed} Say hello.", {}
    if kind == PROMPT:
        content = f"{seed} {' '.join(random.Random(seed).choices(_WORDS, k=PROMPT_CHARS // 3))}"[:PROMPT_CHARS]
    else:
        count = MONSTROUS_SCHEMA if kind == MONSTER else LARGEST_SCHEMA
        names = [f"p{seed}_{number}" for number in range(count)]
        schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        if kind == MONSTER:
            schema |= {"required": names, "additionalProperties": False}
        extra = {"response_format": {"type": "json_schema", "json_schema": {"name": "large", "schema": schema}}}
    options = {"max_tokens": 4, "stream": True, "temperature": 0}
    return {"messages": [{"role": "user", "content": content}], **options, **extra}


async def measure_large(endpoint: Endpoint, body: Mapping[str, Any], large: Sequence[dict[str, Any]], *, streams: int,
                        quiet_s: float, headers: Mapping[str, str]) -> Figures:  # fmt: skip
    """Measure the streams' gaps while nothing else runs, and during each of the large requests."""
    answers: list[Answer] = []
    busy: list[float] = []
    async with streaming(endpoint, body, streams=streams, headers=headers) as heard:
        await asyncio.sleep(_SETTLE_S)
        begun = len(heard.gaps_s)
        await asyncio.sleep(quiet_s)
        quiet = heard.gaps_s[begun:]
        for each in large:
            begun, answer = len(heard.gaps_s), Answer()
            await ask(endpoint, {"model": endpoint.model, **each}, answer)
            await asyncio.sleep(_AFTER_S)
            busy += heard.gaps_s[begun:]
            answers.append(answer)
            await asyncio.sleep(_SETTLE_S)
    lasted = [answer.ended_at - answer.sent_at for answer in answers if answer.ended_at is not None]
    return {
        "status": max(answer.status for answer in answers),
        "answered_s": sorted(lasted)[len(lasted) // 2],
        "failed": heard.failed,
        **dict(_of("quiet", quiet)),
        **dict(_of("busy", busy)),
    }


def _of(name: str, gaps_s: list[float]) -> Iterator[tuple[str, float | None]]:
    for reported, percent in (("p50", 50), ("p99", 99), ("max", 100)):
        yield f"{name}_{reported}_ms", percentile_ms(gaps_s, percent)
