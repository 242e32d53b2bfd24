"""What vLLM is told beyond what the user says: our defaults, the parsers of a model family, and a name for the whole."""

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import __version__
from service.errors import StartError

AUTO, NONE = "auto", "none"
# Which node is which must not be said in two places.
_OF_NODES = {
    "nnodes": "FIRSTWORD_NODES",
    "node_rank": "FIRSTWORD_NODE_RANK",
    "master_addr": "FIRSTWORD_MASTER_ADDRESS",
    "master_port": "FIRSTWORD_MASTER_PORT",
}


@dataclass(frozen=True, slots=True)
class Node:
    """This process among the nodes of a replica that spans several; rank 0 is the leader."""

    count: int
    rank: int
    master_address: str
    master_port: int


def default_args(model: str, *, is_cpu: bool) -> dict[str, Any]:
    """Our engine arguments, where vLLM's own defaults do not suit an endpoint. Sets environment variables that go with them."""
    defaults: dict[str, Any] = {
        # A file beside the weights must not change what temperature a caller gets who asked for none.
        "generation_config": "vllm",
        # A weak model, asked for JSON, can fill its tokens with white space; no JSON needs any.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }
    if Path(model).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # Nothing to look up.
    if is_cpu:
        # Without a size, vLLM wants 92 % of the machine's memory free; eager skips two minutes of compilation. Only whole blocks
        # are found in the prefix cache: of vLLM's 128 tokens, a turn computes half of one again on average, which is a quarter of
        # a second here. 32 is the least that its attention takes on a CPU.
        defaults |= {"kv_cache_memory_bytes": 2**30, "enforce_eager": True, "block_size": 32}
        openmp = Path(sys.prefix, "lib", "libiomp5.so")
        if openmp.exists() and "LD_PRELOAD" not in os.environ:
            os.environ["LD_PRELOAD"] = str(openmp)  # For the engine's process, which is spawned later.
    return defaults


def adapter_args(max_adapters: int) -> dict[str, Any]:
    """Our engine arguments for so many LoRA adapters; none for 0."""
    if not max_adapters:
        return {}
    # With vLLM's 1 of each, a turn with another adapter would wait for the first's, and load from disk inside a step.
    # Rank 64 holds nearly every adapter there is; each place costs memory by this rank, whatever the adapter's own.
    return {"enable_lora": True, "max_loras": max_adapters, "max_cpu_loras": max_adapters, "max_lora_rank": 64}


def node_args(node: Node | None, engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """Our engine arguments for this node of several; none for one alone. Raises `StartError` for the user's that say it too."""
    for name in engine_args.keys() & _OF_NODES:
        raise StartError(f"FIRSTWORD_ENGINE_ARGS: {name} is set by {_OF_NODES[name]}.")
    if node is None:
        return {}
    for name in engine_args:
        if name.startswith("data_parallel"):
            raise StartError(f"FIRSTWORD_ENGINE_ARGS: {name} and FIRSTWORD_NODES do not go together: use replicas.")
    return {
        "nnodes": node.count,
        "node_rank": node.rank,
        "master_addr": node.master_address,
        "master_port": node.master_port,
        # Where Ray is installed too, vLLM would have to be told which of the two is meant.
        "distributed_executor_backend": "mp",
    }


def pick_parser(variable: str, setting: str, of_family: str | None, known: Iterable[str]) -> str | None:
    """The parser to use: the setting's, or the family's for `auto`. Raises `StartError` naming the known ones."""
    if setting in (AUTO, NONE):
        return of_family if setting == AUTO else None
    if setting not in known:
        raise StartError(f"{variable}: there is no {setting!r}; it takes auto, none, {', '.join(sorted(known))}.")
    return setting


def fingerprint(vllm_version: str, model: str, revision: str | None, engine_args: Mapping[str, Any]) -> str:
    """OpenAI's `system_fingerprint`: changes with whatever could change an answer."""
    told = repr((__version__, vllm_version, model, revision, sorted(engine_args.items(), key=str)))
    return f"fp_{hashlib.sha256(told.encode()).hexdigest()[:10]}"
