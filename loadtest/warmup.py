"""`python -m loadtest.warmup` (`make bench-warmup`): TTFT of first turns, with and without prefix warm-up."""

import asyncio
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markdown import Markdown

from loadtest.machine import processor
from loadtest.overload.client import Answer, ask
from loadtest.overload.texts import Texts, texts_of
from loadtest.pages import table, write_measured
from loadtest.servers import Endpoint, firstword_serve
from service.engine.models.embedded import ensure_embedded_model

console = Console(highlight=False)
SYSTEM_TOKENS = 1000
KEYS = {"acme": "bench-key-1", "other": "bench-key-2"}


@dataclass(frozen=True)
class FirstTurn:
    """The first turn of the first call to an agent."""

    tenant: str
    is_warmed: bool
    ttft_s: float


def main(
    agents: Annotated[
        int, typer.Option(help="Number of configured system prompts. The same number is not configured.", min=2)
    ] = 8,
    docs: Annotated[Path | None, typer.Option("--write-docs", help="Page into which the table is written.")] = None,
) -> None:
    """Measure TTFT of first turns, with and without prefix warm-up of the system prompt.

    Each tenant calls each agent once. Warmed and cold agents alternate, so that changes of the machine affect both equally.
    """
    texts = texts_of(ensure_embedded_model(console.print))
    chance = random.Random(1)
    warmed, cold = ([texts.of(SYSTEM_TOKENS, chance) for _ in range(agents)] for _ in range(2))
    parts = []
    for tenants in (["acme"], ["acme", "other"]):
        console.print(f"{len(tenants)} tenant(s): starting the service, {agents} system prompts each …")
        turns = _measure(tenants, warmed, cold, texts)
        parts.append(_rows(len(tenants), turns))
    heads = ("tenants", "tenant", "system prompt", "first turns", "TTFT p50, s", "TTFT max, s", "cold / warmed, p50")
    reported = table(heads, [row for part in parts for row in part])
    console.print(Markdown(reported))
    if docs:
        about = f"{time.strftime('%Y-%m-%d')}, {processor()}, system prompts of {SYSTEM_TOKENS} tokens, one call at a time."
        write_measured(docs, f"{reported}\n\n{about}")


def _measure(tenants: list[str], warmed: list[str], cold: list[str], texts: Texts) -> list[FirstTurn]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "firstword.yaml")
        config.write_bytes(orjson.dumps({"system_prompts": [{"system": system} for system in warmed]}))  # JSON is YAML.
        keys = ",".join(f"{tenant}={KEYS[tenant]}" for tenant in tenants)
        with firstword_serve(Path(folder, "log"), api_keys=keys, config=str(config)) as endpoint:
            return asyncio.run(_call_each_once(endpoint, tenants, list(zip(warmed, cold, strict=True)), texts))


async def _call_each_once(endpoint: Endpoint, tenants: list[str], agents: list[tuple[str, str]], texts: Texts) -> list[FirstTurn]:
    chance = random.Random(2)
    turns = []
    for pair in agents:
        for tenant in tenants:
            for system, is_warmed in zip(pair, (True, False), strict=True):
                messages = [{"role": "system", "content": system}, {"role": "user", "content": texts.of(20, chance)}]
                body = {"model": endpoint.model, "messages": messages, "max_tokens": 4, "stream": True}
                answer = Answer()
                await ask(replace(endpoint, key=KEYS[tenant]), body, answer)
                if answer.outcome != "finished" or answer.first_at is None:
                    raise RuntimeError(f"A first turn got no answer: {answer.outcome}, {answer.failure}")
                turns.append(FirstTurn(tenant, is_warmed, answer.first_at - answer.sent_at))
    return turns


def _rows(tenants: int, turns: list[FirstTurn]) -> list[list[str]]:
    rows = []
    for tenant in sorted({turn.tenant for turn in turns}):
        own = [turn for turn in turns if turn.tenant == tenant]
        warmed, cold = ([turn.ttft_s for turn in own if turn.is_warmed is kind] for kind in (True, False))
        ratio = statistics.median(cold) / statistics.median(warmed)
        for name, ttft_s, reported in (("configured", warmed, f"{ratio:.1f}×"), ("not configured", cold, "")):
            figures = f"{statistics.median(ttft_s):.3f}", f"{max(ttft_s):.3f}"
            rows.append([str(tenants), tenant, name, str(len(ttft_s)), *figures, reported])
    return rows


if __name__ == "__main__":
    typer.run(main)
