"""Loads the tokenizer and the chat template of a model's folder as the engine would have them."""

from collections.abc import Mapping
from typing import Any

from service.engine.models.model_folder import HUGGING_FACE, MISTRAL, ModelFolder, hugging_face_tokenizer
from service.engine.models.model_profile import ModelSource
from service.engine.models.tokenizer_source import source_of
from service.errors import StartError

_LONGEST_REASON = 300


def tokenizer_mode(folder: ModelFolder, engine_args: Mapping[str, Any]) -> str:
    """Return the kind of tokenizer, by the names of vLLM's argument of this name."""
    asked = str(engine_args.get("tokenizer_mode") or "auto").lower()
    return folder.tokenizer_mode if asked == "auto" else asked


def load_source(folder: ModelFolder, engine_args: Mapping[str, Any], own_template: str | None) -> ModelSource:
    """Return what a profile is made from. Raises `StartError` if there is no usable tokenizer.

    `own_template` is the source of the operator's chat template. Code of the model runs only if `engine_args` have
    `trust_remote_code`.
    """
    if not folder.config:
        raise StartError(f"{folder.path} is no model: it has neither config.json nor params.json.")
    mode = tokenizer_mode(folder, engine_args)
    tokenizer = _tokenizer(folder, mode, trust_remote_code=bool(engine_args.get("trust_remote_code")))
    return source_of(
        tokenizer,
        own_template or (None if mode == MISTRAL else _template(folder, mode, tokenizer)),
        model_type=folder.model_type,
        name=folder.name,
        is_mistral_tokenizer=mode == MISTRAL,
        is_own_template=own_template is not None,
    )


def _tokenizer(folder: ModelFolder, mode: str, *, trust_remote_code: bool) -> Any:
    why: Exception | None = None
    if mode == HUGGING_FACE:
        try:
            return hugging_face_tokenizer(folder, trust_remote_code=trust_remote_code)
        except Exception as error:  # vLLM can load some that transformers alone cannot.
            why = error
    try:
        from service.engine.vllm.tokenizers import load_tokenizer  # noqa: PLC0415 - takes seconds

        return load_tokenizer(str(folder.path), mode=mode, trust_remote_code=trust_remote_code)
    except ImportError as error:
        if why is None:
            raise StartError(f"The tokenizer of {folder.name} ({mode}) needs vLLM, which is not installed ({error}).") from None
    except Exception as error:
        why = error
    fix = (
        ' FIRSTWORD_ENGINE_ARGS={"trust_remote_code": true} runs the code of the model.'
        if "trust_remote_code" in str(why)
        else ""
    )
    raise StartError(f"The tokenizer of {folder.name} ({mode}) cannot be loaded: {_reason(why)}.{fix}") from None


def _reason(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _template(folder: ModelFolder, mode: str, tokenizer: Any) -> str | Mapping[str, str] | None:
    template: str | Mapping[str, str] | None = getattr(tokenizer, "chat_template", None) or folder.processor_template
    if template is not None or mode != HUGGING_FACE:
        return template
    try:
        from service.engine.vllm.tokenizers import known_template  # noqa: PLC0415 - takes seconds

        return known_template(folder.model_type, folder.name)
    except ImportError:
        return None
