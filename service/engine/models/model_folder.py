"""A model's folder: its configuration and its tokenizer, without weights and without vLLM."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from service.engine.models.config_fields import CONTEXT, Config

HUGGING_FACE, MISTRAL = "hf", "mistral"
"""Kinds of tokenizers, by the names of vLLM's argument `tokenizer_mode`."""
# Models whose prompts vLLM writes itself, with an encoder of its own instead of a chat template.
_ENCODERS = {
    "DeepseekV32ForCausalLM": "deepseek_v32",
    "DeepseekV4ForCausalLM": "deepseek_v4",
    "DeepseekV4ForConditionalGeneration": "deepseek_v4",
    "DeepseekV41ForCausalLM": "deepseek_v41",
    "KimiK3ForConditionalGeneration": "kimi_k3",
    "InklingForCausalLM": "inkling",
    "InklingForConditionalGeneration": "inkling",
}
_MISTRAL_VOCABULARIES = ("tekken.json", "tokenizer.model.v*")
_MISTRAL_CONTEXT = 128_000
"""Tokens that vLLM takes for a params.json that does not name them."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with everything of a model but perhaps its weights."""

    path: Path
    name: str
    """The model's own name, without its organisation or the folders above it."""
    files: Mapping[str, int]
    """Names and bytes of the files of the model, also of those that are not here."""
    config: Config
    """config.json, or Mistral's params.json. Empty if there is none."""

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type") or ("transformer" if self._has("params.json") else ""))

    @property
    def tokenizer_mode(self) -> str:
        """The kind of tokenizer that vLLM takes if its argument says `auto`."""
        for architecture in self.config.get("architectures") or ():
            if architecture in _ENCODERS:
                return _ENCODERS[architecture]
        is_native = self._has("consolidated*.safetensors") or (self._has("params.json") and not self._has("model*.safetensors"))
        return MISTRAL if is_native and self._has(*_MISTRAL_VOCABULARIES) else HUGGING_FACE

    def _has(self, *patterns: str) -> bool:
        return any(fnmatch(name, pattern) for name in self.files for pattern in patterns)

    def document(self, name: str) -> Mapping[str, Any]:
        """Return a JSON object that stands in a file of the folder. Empty if there is none."""
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def processor_template(self) -> str | None:
        """The chat template that a multimodal model keeps with its processor instead of its tokenizer."""
        for name in ("chat_template.json", "processor_config.json"):
            if isinstance(template := self.document(name).get("chat_template"), str):
                return template
        return None


def read_folder(path: Path, name: str, files: Mapping[str, int] | None = None) -> ModelFolder:
    """Return the folder with its configuration. `files` are those of the whole model, if not all of them are in the folder."""
    here = {file.name: file.stat().st_size for file in path.iterdir() if file.is_file()} if files is None else files
    folder = ModelFolder(path, name, here, {})
    config = dict(folder.document("config.json") or folder.document("params.json"))
    if config and not folder.document("config.json") and not config.keys() & set(CONTEXT):
        config["max_position_embeddings"] = _MISTRAL_CONTEXT
    return ModelFolder(path, name, here, config)


def hugging_face_tokenizer(folder: ModelFolder, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer of a folder. Nothing is downloaded. Raises what transformers raises.

    Code from the folder runs only with `trust_remote_code`.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # It warns that PyTorch is missing, which is not needed here.
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and is not installed everywhere

    return AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=trust_remote_code)
