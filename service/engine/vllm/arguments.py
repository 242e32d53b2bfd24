"""vLLM arguments beyond the user's: our defaults. Also a fingerprint of all of them."""

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import __version__
from service.errors import StartError

# These settings describe the nodes, so engine arguments must not describe them again.
_OF_NODES = {
    "nnodes": "FIRSTWORD_NODES",
    "node_rank": "FIRSTWORD_NODE_RANK",
    "master_addr": "FIRSTWORD_MASTER_ADDRESS",
    "master_port": "FIRSTWORD_MASTER_PORT",
}


@dataclass(frozen=True, slots=True)
class Node:
    """This process's node in a replica that spans several nodes. Rank 0 is the leader."""

    count: int
    rank: int
    master_address: str
    master_port: int


def default_args(model: str, *, is_cpu: bool, model_sampling: bool) -> dict[str, Any]:
    """Return our engine arguments, where vLLM's defaults do not suit an endpoint. Also sets environment variables."""
    defaults: dict[str, Any] = {
        # `auto` reads the sampling that the model's authors recommend from generation_config.json, and `vllm` does not.
        "generation_config": "auto" if model_sampling else "vllm",
        # A weak model that is asked for JSON can fill its tokens with white space. JSON needs none.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }
    if Path(model).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # A local folder needs no look-up at the hub.
    if is_cpu:
        # Without a size, vLLM wants 92 % of the machine's memory free. Eager mode skips two minutes of compilation.
        # The prefix cache keeps only whole blocks. With vLLM's blocks of 128 tokens, a turn computes half a block again on
        # average, which takes a quarter of a second here. 32 is the smallest size that vLLM's attention supports on a CPU.
        defaults |= {"kv_cache_memory_bytes": 2**30, "enforce_eager": True, "block_size": 32}
        openmp = Path(sys.prefix, "lib", "libiomp5.so")
        if openmp.exists() and "LD_PRELOAD" not in os.environ:
            os.environ["LD_PRELOAD"] = str(openmp)  # For the engine's process, which is spawned later.
    return defaults


def adapter_args(max_adapters: int) -> dict[str, Any]:
    """Return the engine arguments for this number of LoRA adapters. Empty for 0."""
    if not max_adapters:
        return {}
    # vLLM's default is 1 for both. A turn would wait for turns with another adapter, and its own would load inside a step.
    # Rank 64 is enough for nearly every adapter. Each place costs memory for this rank, whatever the adapter's own rank is.
    return {"enable_lora": True, "max_loras": max_adapters, "max_cpu_loras": max_adapters, "max_lora_rank": 64}


def node_args(node: Node | None, engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the engine arguments for this node of a replica on several nodes. Empty for a single node.

    Raises `StartError` if the user's engine arguments set the same.
    """
    for name in engine_args.keys() & _OF_NODES:
        raise StartError(f"FIRSTWORD_ENGINE_ARGS must not have {name}: it is set by {_OF_NODES[name]}.")
    if node is None:
        return {}
    for name in engine_args:
        if name.startswith("data_parallel"):
            raise StartError(f"FIRSTWORD_ENGINE_ARGS: {name} cannot be combined with FIRSTWORD_NODES; use replicas instead.")
    return {
        "nnodes": node.count,
        "node_rank": node.rank,
        "master_addr": node.master_address,
        "master_port": node.master_port,
        # Without this, vLLM could not choose between multiprocessing and an installed Ray.
        "distributed_executor_backend": "mp",
    }


def fingerprint(
    vllm_version: str, model: str, revision: str | None, engine_args: Mapping[str, Any], sampling: Mapping[str, Any]
) -> str:
    """Return OpenAI's `system_fingerprint`. It changes with everything that could change an answer."""
    arguments = sorted(engine_args.items(), key=str), sorted(sampling.items())
    identity = repr((__version__, vllm_version, model, revision, *arguments))
    return f"fp_{hashlib.sha256(identity.encode()).hexdigest()[:10]}"
