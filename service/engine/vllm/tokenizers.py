"""Tokenizers and chat templates that only vLLM has: mistral-common's, and those of models with an encoder of vLLM's own."""

from typing import Any

from vllm.tokenizers import get_tokenizer
from vllm.transformers_utils.chat_templates import get_chat_template_fallback_path


def load_tokenizer(folder: str, *, mode: str, trust_remote_code: bool) -> Any:
    """Return the tokenizer as the engine has it. `mode` is vLLM's argument `tokenizer_mode`. Raises what vLLM raises."""
    return get_tokenizer(folder, tokenizer_mode=mode, trust_remote_code=trust_remote_code)


def known_template(model_type: str, name: str) -> str | None:
    """Return the chat template that vLLM has for models of this type which bring none. None if it has none."""
    path = get_chat_template_fallback_path(model_type, name)
    return path.read_text(encoding="utf-8") if path is not None else None
