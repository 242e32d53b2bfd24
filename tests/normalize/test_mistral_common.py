"""Conversations with the tokenizers of mistral-common, which check roles, ids and ends of a conversation themselves."""

import random
import shutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from service.domain import TemplateTraits, ToolUse
from service.engine.models.control_marks import added_and_special_tokens, control_marks
from service.engine.models.template_traits import Render, probe_traits
from service.engine.vllm.request_mapping import message_fields
from service.normalize.messages import normalize_messages
from tests.normalize.conversations import CONVERSATIONS, TOOLS, as_arrived, words_of
from tests.normalize.families import as_offered
from tests.normalize.test_families import a_conversation

# torch and transformers warn of their own deprecated functions when they are imported.
pytestmark = [pytest.mark.needs_vllm, pytest.mark.filterwarnings("ignore")]

# Name of the vocabulary in mistral-common, and the name that a model's folder gives it.
VOCABULARIES = {
    "v3": ("mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model.v3"),
    "v7": ("mistral_instruct_tokenizer_241114.model.v7", "tokenizer.model.v7"),
    "tekken": ("tekken_240911.json", "tekken.json"),
}
RANDOM_CONVERSATIONS = 100
Loaded = Callable[[str], tuple[Any, TemplateTraits]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    shipped = Path(str(import_module("mistral_common").__file__)).parent / "data"
    tokenizers = import_module("vllm.tokenizers.mistral")

    @cache
    def load(version: str) -> tuple[Any, TemplateTraits]:
        source, name = VOCABULARIES[version]
        folder = tmp_path_factory.mktemp(version)
        shutil.copy(shipped / source, folder / name)
        tokenizer = tokenizers.MistralTokenizer.from_pretrained(str(folder))
        marks = control_marks(*added_and_special_tokens(tokenizer), None)
        return tokenizer, probe_traits(render(tokenizer), control_marks=marks)

    return load


def render(tokenizer: Any) -> Render:
    def rendered(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        ids = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True)
        return str(tokenizer.decode(ids)).replace("▁", " ")

    return rendered


@pytest.mark.parametrize("version", VOCABULARIES)
def test_a_system_message_is_taken_and_an_assistant_at_the_end_is_not(version: str, loaded: Loaded) -> None:
    _, traits = loaded(version)
    assert (traits.takes_system, traits.takes_assistant_last, traits.takes_tools, traits.takes_calls) == (True, False, True, True)
    assert not traits.takes_reasoning
    assert {"[INST]", "[/INST]", "</s>"} < traits.control_marks


@pytest.mark.parametrize("tool_use", [None, TOOLS], ids=["no tools", "tools"])
@pytest.mark.parametrize("version", VOCABULARIES)
def test_every_conversation_is_rendered_whole(version: str, tool_use: ToolUse | None, loaded: Loaded) -> None:
    tokenizer, traits = loaded(version)
    tools = [as_offered(tool) for tool in tool_use.tools] if tool_use else None
    chance = random.Random(version)
    for conversation in (*CONVERSATIONS.values(), *(a_conversation(chance) for _ in range(RANDOM_CONVERSATIONS))):
        messages, _ = normalize_messages(as_arrived(conversation), traits, tool_use)
        prompt = render(tokenizer)(list(map(message_fields, messages)), tools)
        assert set(words_of(prompt)) >= set(words_of(conversation)), conversation
        assert prompt.count("Finds a free table.") == len(tools or ()), conversation
