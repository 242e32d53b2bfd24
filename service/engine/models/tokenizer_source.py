"""Makes a `ModelSource` from a loaded tokenizer and its chat template."""

from collections.abc import Mapping
from typing import Any

from service.engine.models.model_profile import ModelSource, Said


def source_of(
    tokenizer: Any,
    template: str | Mapping[str, str] | None,
    *,
    model_type: str,
    name: str,
    is_mistral_tokenizer: bool = False,
    is_own_template: bool = False,
) -> ModelSource:
    """Return what a profile is made from.

    `template` is the source of the chat template. Several templates by name: the tokenizer chooses, by whether there are tools.
    None: the tokenizer renders without one. mistral-common's always does, so its template is not passed.
    """
    passed = {"chat_template": template} if isinstance(template, str) and not is_mistral_tokenizer else {}

    def render(messages: list[Said], tools: list[Said] | None, variables: Mapping[str, Any]) -> str:
        if is_mistral_tokenizer:  # It warns that its text should not be tokenized again, so the tokens are decoded here.
            token_ids = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, **variables)
            text = str(tokenizer.decode(token_ids))
            return text.replace("▁", " ").replace("<0x0A>", "\n") if tokenizer.is_spm else text
        kwargs = {**passed, **variables}
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True, **kwargs))

    return ModelSource(
        tokenizer,
        "\n".join(template.values()) if isinstance(template, Mapping) else template or "",
        render,
        model_type,
        name,
        is_mistral_tokenizer=is_mistral_tokenizer,
        is_own_template=is_own_template,
    )
