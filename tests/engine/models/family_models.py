"""A family's model without weights: its template, and the embedded model's vocabulary with the family's tokens."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from tokenizers import AddedToken
from transformers import AutoTokenizer

from service.domain import PromptSettings
from service.engine.models.embedded import ensure_embedded_model
from service.engine.models.model_profile import ModelProfile, ModelSource, ParserSettings, make_profile
from tests.engine.models.families import Family

# Named after its maker: a folder's name must not decide anything. xLAM's format has no other sign.
NAMES: Mapping[str, str] = {"xlam": "acme-xlam-8b"}


@cache
def tokenizer_of(family: Family) -> Any:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(ensure_embedded_model(print)))
    special, added = family.facts["special_tokens"], family.facts["added_tokens"]
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special], special_tokens=True)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    if family.facts.get("bos_token"):
        tokenizer.bos_token = family.facts["bos_token"]
    tokenizer.eos_token = family.facts["eos_token"]
    tokenizer.chat_template = family.template
    return tokenizer


def source_of(family: Family) -> ModelSource:
    tokenizer: Any = tokenizer_of(family)

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, variables: Mapping[str, Any]) -> str:
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True, **variables))

    name = NAMES.get(family.name, "acme-voice-decoder-4b")
    return ModelSource(tokenizer, family.template, render, family.facts["model_type"], name)


@cache
def profile_of(family: Family, prompts: PromptSettings | None = None) -> ModelProfile:
    return make_profile(source_of(family), ParserSettings(), [prompts or PromptSettings(thinking="off")])
