"""Which prompts are rendered on the event loop, and what a template gets: arguments as objects, tools only if it shows them."""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest

from service.domain import Message, ToolCall
from service.engine.models.json_object import JsonObject
from service.engine.vllm.rendering import OneThreadRenderer, is_small, with_argument_objects
from service.engine.vllm.request_mapping import message_fields
from tests.normalize.families import family_render
from tests.support.factories import make_job


def tool(**properties: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_balance", "parameters": {"type": "object", "properties": properties}}}


@pytest.mark.parametrize(
    ("messages", "tools", "is_it"),
    [
        ([Message("user", "Hi")], None, True),
        ([Message("user", "Hi")], [tool(account={"type": "string"})], True),
        ([Message("user", "x" * 2500)], None, False),
        ([Message("user", "Hi")] * 60, None, False),  # A template has work for each message.
        ([Message("user", "Hi")], [tool(account={"type": "string", "description": "x" * 2500})], False),
        ([Message("user", "Hi")], [tool(account={"enum": list(range(1000))})], False),
        ([Message("user", "Hi")], [tool(**{f"p{number}": {} for number in range(500)})], False),
    ],
)
def test_small_is_what_takes_no_longer_than_the_way_to_a_thread(
    messages: list[Message], tools: list[dict[str, Any]] | None, is_it: bool
) -> None:
    assert is_small(replace(make_job(), messages=tuple(messages)), tools) is is_it


ARGUMENTS = '{"city": "Zürich", "days": [1, 2]}'
CALLED = [
    Message("user", "How is the weather?"),
    Message(
        "assistant", "", tool_calls=(ToolCall("call00000", "get_weather", ARGUMENTS), ToolCall("call00001", "hang_up", "{}"))
    ),
    Message("tool", "12 °C", tool_call_id="call00000"),
]


@dataclass(frozen=True)
class Params:
    """Has the fields of vLLM's parameters that the renderer changes."""

    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    max_total_tokens: int | None = 5


class Renderer:
    """Stands for vLLM's renderer of one kind of model. Returns what it was given."""

    def render_chat(self, conversations: Sequence[Any], chat_params: Params, tok_params: Params, **kwargs: Any) -> Any:
        return conversations, chat_params, tok_params, kwargs


class MistralRenderer(Renderer):
    pass


class HfRenderer(Renderer):
    pass


class KimiRenderer(HfRenderer):
    pass


def given(renderer: Renderer, *, shows_tools: bool = True) -> tuple[list[dict[str, Any]], Params, Params, dict[str, Any]]:
    """Return what a renderer of vLLM is given for a conversation with calls."""
    sent = [message_fields(message) for message in CALLED]
    params = Params({"tools": [tool()], "enable_thinking": False})
    with ThreadPoolExecutor(1) as executor:
        wrapped = OneThreadRenderer(renderer, executor, shows_tools=shows_tools)
        (messages,), chat, tokens, more = asyncio.run(wrapped.render_chat_async([sent], params, Params(), prompt_extras={}))
    assert sent == [message_fields(message) for message in CALLED]  # The request keeps its own.
    return messages, chat, tokens, more


@pytest.mark.parametrize("kind", [HfRenderer, KimiRenderer])
def test_a_template_gets_arguments_as_objects(kind: type[Renderer]) -> None:
    messages, *_ = given(kind())
    arguments = [call["function"]["arguments"] for call in messages[1]["tool_calls"]]
    assert arguments == [json.loads(ARGUMENTS), {}]
    assert all(isinstance(value, JsonObject) for value in arguments)


def test_an_encoder_that_is_no_template_gets_them_as_json_text() -> None:
    messages, *_ = given(MistralRenderer())
    assert messages == [message_fields(message) for message in CALLED]


@pytest.mark.parametrize(("shows_tools", "tools"), [(True, [tool()]), (False, None)])
def test_a_template_that_shows_no_tools_does_not_get_them(shows_tools: bool, tools: list[dict[str, Any]] | None) -> None:
    _, chat, tokens, more = given(HfRenderer(), shows_tools=shows_tools)
    assert chat.chat_template_kwargs == {"tools": tools, "enable_thinking": False}
    assert (tokens.max_total_tokens, more) == (None, {"prompt_extras": {}})


@dataclass
class TextModel:
    """Has what vLLM reads of a model's configuration to parse messages."""

    is_multimodal_model = False
    multimodal_config = None
    allowed_local_media_path = ""
    allowed_media_domains = None
    enable_prompt_embeds = False
    hf_config: Any = None


@pytest.mark.needs_vllm
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["models/deepseek_v3", "models/qwen3", "models/qwen3_coder", "models/apertus_shipped"])
def test_vllm_keeps_the_objects_and_templates_of_both_kinds_render_them(family: str) -> None:
    utils = import_module("vllm.renderers.chat_utils")
    messages = [with_argument_objects(message_fields(message)) for message in CALLED]
    conversation, *_ = utils.parse_chat_messages(messages, TextModel(), content_format="string")
    prompt = family_render(family)(conversation, None)
    arguments = json.loads(ARGUMENTS)
    assert ARGUMENTS in prompt or all(text in prompt for text in (arguments["city"], json.dumps(arguments["days"])))
    assert "hang_up" in prompt


@pytest.mark.needs_vllm
@pytest.mark.filterwarnings("ignore")
def test_vllm_passes_reasoning_to_a_template_under_both_names() -> None:
    protocol = import_module("vllm.entrypoints.openai.chat_completion.protocol")
    utils = import_module("vllm.renderers.chat_utils")
    sent = [message_fields(replace(message, reasoning="hm" if message.tool_calls else "")) for message in CALLED]
    request = protocol.ChatCompletionRequest(model="m", messages=sent)
    conversation, *_ = utils.parse_chat_messages(request.messages, TextModel(), content_format="string")
    assert (conversation[1]["reasoning"], conversation[1]["reasoning_content"]) == ("hm", "hm")
    assert "<think>\nhm\n</think>" in family_render("models/qwen3")(conversation, None)
