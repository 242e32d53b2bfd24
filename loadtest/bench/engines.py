"""Runs each server with the same engine."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from loadtest.bench.results import OURS, RUST
from loadtest.servers import Endpoint, firstword_serve, vllm_serve
from service.console.progress import say
from service.engine.models.embedded import MODEL_NAME, ensure_embedded_model

TINY, LONG, REAL = "tiny", "long", "real"

_SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 64,
}
_LONGEST = 32768
ENGINE_ARGS: dict[str, dict[str, Any]] = {
    # A tiny model with the embedded model's tokenizer, so that the front end dominates the measurement.
    TINY: {"load_format": "dummy", "hf_overrides": _SHAPE},
    # Takes prompts of 100,000 characters in small steps, so that only the front end can hold streams up.
    LONG: {
        "load_format": "dummy",
        "hf_overrides": _SHAPE | {"max_position_embeddings": _LONGEST},
        "max_model_len": _LONGEST,
        "max_num_batched_tokens": 256,
    },
    REAL: {},
}
_TEMPLATE = "chat_template.jinja"
# vLLM's own server refuses nothing. Ours must not refuse either, so that both do the same work.
_NO_REFUSALS = {"ttft_budget_s": "60", "tpot_bound_s": "10"}


@contextmanager
def serving(server: str, engine: str, logs: Path, rust_frontend: Path | None = None) -> Iterator[Endpoint]:
    """Run one of the servers on one of the engines. Raises `RuntimeError` if it does not become ready."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{server}-{engine}.log"
    args = ENGINE_ARGS[engine]
    model = {"model": str(_showing_tools(logs))} if engine == TINY else {}
    if server == OURS:
        key = secrets.token_urlsafe(16)
        settings = {"api_keys": f"bench={key}", "tool_parser": "hermes", "engine_args": json.dumps(args), **_NO_REFUSALS}
        settings |= model and model | {"served_model_name": MODEL_NAME}
        with firstword_serve(log, **settings) as endpoint:
            yield replace(endpoint, key=key)
    else:
        with vllm_serve(log, *as_flags(model | args), rust_frontend=rust_frontend if server == RUST else None) as endpoint:
            yield endpoint


def as_flags(args: dict[str, Any]) -> Iterator[str]:
    """Engine arguments as `vllm serve` takes them."""
    for name, value in args.items():
        yield f"--{name.replace('_', '-')}"
        yield value if isinstance(value, str) else json.dumps(value)


def _showing_tools(beside: Path) -> Path:
    """The embedded model with a chat template that shows tools, as models with tool calling have.

    With the model's own template, our service would describe the tools and vLLM's server would not: the work would differ.
    """
    folder = (beside / "model").absolute()
    folder.mkdir(exist_ok=True)
    for file in ensure_embedded_model(say).iterdir():
        link = folder / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(Path(__file__).with_name(_TEMPLATE) if file.name == _TEMPLATE else file)
    return folder
