"""Folders of models without weights: the embedded model's vocabulary with a family's tokens, chat template and type."""

import json
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from service.engine.models.embedded import ensure_embedded_model
from tests.engine.models.families import family

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "max_position_embeddings": 131072,
}
"""Sizes of Llama 3.1 8B, whose KV cache takes 128 KiB a token."""
PARAMS = {
    "dim": 4096,
    "n_layers": 40,
    "n_heads": 32,
    "n_kv_heads": 8,
    "head_dim": 128,
    "vocab_size": 131072,
    "max_seq_len": 32768,
}
"""The fields of Mistral's params.json that tell its sizes."""
_V15_TOKENS = (
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]", "[MODEL_SETTINGS]",
    "[/MODEL_SETTINGS]",
)  # fmt: skip


def family_folder(folder: Path, name: str, config: Mapping[str, Any] = LLAMA_8B, *, has_template: bool = True) -> Path:
    """Make a folder as the family's models have it."""
    about, embedded = family(name), ensure_embedded_model(print)
    made = folder / name
    made.mkdir(parents=True)
    tokenizers = import_module("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(embedded / "tokenizer.json"))
    for tokens, is_special in (about.facts["special_tokens"], True), (about.facts["added_tokens"], False):
        added = [tokenizers.AddedToken(token, special=is_special, normalized=False) for token in tokens]
        (tokenizer.add_special_tokens if is_special else tokenizer.add_tokens)(added)
    tokenizer.save(str(made / "tokenizer.json"))
    ends = {key: about.facts[key] for key in ("bos_token", "eos_token") if about.facts.get(key)}
    _write(made / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **ends})
    _write(made / "config.json", {"model_type": about.facts["model_type"], **config})
    if has_template:
        (made / "chat_template.jinja").write_text(about.template, encoding="utf-8")
    return made


def mistral_folder(folder: Path, vocabulary: str = "tekken_240911.json", name: str = "tekken.json") -> Path:
    """Make a folder in Mistral's own form, with a vocabulary that mistral-common ships."""
    made = folder / "Mistral-Nemo"
    made.mkdir(parents=True)
    shipped = Path(str(import_module("mistral_common").__file__)).parent / "data"
    shutil.copy(shipped / vocabulary, made / name)
    _write(made / "params.json", PARAMS)
    return made


def mistral_reasoner_folder(folder: Path) -> Path:
    """Make a folder in Mistral's own form, whose vocabulary has marks of thoughts and whose prompts have a switch (v15)."""
    made = mistral_folder(folder)
    tekken = json.loads((made / "tekken.json").read_text(encoding="utf-8"))
    special = import_module("mistral_common.tokens.tokenizers.tekken").Tekkenizer.DEPRECATED_SPECIAL_TOKENS
    texts = [token["token_str"].value for token in special]
    texts += [text for text in _V15_TOKENS if text not in texts]
    tekken["config"]["version"] = "v15"
    tekken["special_tokens"] = [{"rank": rank, "token_str": text, "is_control": True} for rank, text in enumerate(texts)]
    effort = {"type": "enum", "accepts_none": True, "default": "none", "values": ["none", "high"]}
    tekken["model_settings_builder"] = {"reasoning_effort": effort}
    _write(made / "tekken.json", tekken)
    return made


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")
