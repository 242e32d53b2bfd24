"""The context length of a model: what its configuration allows, and what the engine arguments ask for."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from service.engine.models.config_fields import CONTEXT, Config, integer, language_model

_DIGITS = {"k": 10**3, "m": 10**6, "K": 2**10, "M": 2**20}
# Scalings whose configured length is that of the scaled model. For others, as `linear`, vLLM multiplies it by the factor.
_SCALED_ALREADY = ("default", "su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling")


def asked_context(engine_args: Mapping[str, Any]) -> int:
    """Return `max_model_len` in tokens. vLLM also accepts `16k`. 0 means it is not set, and vLLM uses the model's context."""
    given = str(engine_args.get("max_model_len") or 0)
    scale = _DIGITS.get(given[-1], 1)
    try:
        return max(0, int(float(given.rstrip("kmKM")) * scale))
    except ValueError:
        return 0


def model_context(config: Config, tokenizer_limit: float = math.inf) -> int:
    """Return the tokens that vLLM takes from config.json or params.json where `max_model_len` is not set. 0 means unknown.

    `tokenizer_limit` is `model_max_length` of tokenizer_config.json. Raises `TypeError` or `ValueError` if a field is malformed.
    """
    text = language_model(config)
    tokens = min(float(integer(text, *CONTEXT, default=0)), tokenizer_limit)
    for rope in _ropes(text):
        kind = rope.get("rope_type") or rope.get("type")
        if kind == "longrope":  # By default vLLM takes the short length, where the model answers best.
            return integer(text, "original_max_position_embeddings", default=int(tokens))
        if kind not in _SCALED_ALREADY and "gemma3" not in str(config.get("model_type")):
            return int(tokens * float(rope.get("factor") or 1))
    return int(tokens)


def _ropes(text: Config) -> Iterator[Config]:
    """Yield the parameters of position embeddings: one for the model, or one for each kind of layer."""
    given = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if "rope_type" in given or "type" in given:
        yield given
    else:
        yield from (each for each in given.values() if isinstance(each, Mapping))
