"""The prompt of a sample turn with tools, made as the service makes prompts: normalized, then rendered by the chat template."""

import json
from typing import Any

from service.engine.models.model_profile import ModelProfile, ModelSource
from service.engine.vllm.rendering import with_argument_objects
from service.engine.vllm.request_mapping import message_fields, tool_list
from service.model_report.report import Prompt
from service.normalize.messages import normalize_messages
from service.normalize.tools import tool_use_of
from service.schema.request import parse_request

_SAMPLE: dict[str, Any] = {
    "model": "sample",
    "messages": [
        {"role": "system", "content": "You answer the phone of the restaurant Sole. Be brief."},
        {"role": "user", "content": "Hello, is a table for four free tonight at half past seven?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_sample_1",
                    "type": "function",
                    "function": {"name": "find_table", "arguments": '{"guests": 4, "time": "19:30"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_sample_1", "content": '{"free": true, "table": 12}'},
        {"role": "assistant", "content": "Yes, table twelve is free. Shall I book it?"},
        {"role": "user", "content": "Yes, please. The name is Müller."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "find_table",
                "description": "Find a free table for tonight.",
                "parameters": {
                    "type": "object",
                    "properties": {"guests": {"type": "integer"}, "time": {"type": "string", "description": "HH:MM"}},
                    "required": ["guests", "time"],
                },
            },
        },
        {
            "type": "function",
            "function": {
                "name": "book_table",
                "description": "Book a table.",
                "parameters": {
                    "type": "object",
                    "properties": {"table": {"type": "integer"}, "name": {"type": "string"}},
                    "required": ["table", "name"],
                },
            },
        },
    ],
}


def sample_prompt(source: ModelSource, profile: ModelProfile) -> Prompt:
    """Return the prompt, or why the template cannot render it."""
    request = parse_request(json.dumps(_SAMPLE).encode(), max_messages=len(_SAMPLE["messages"]))
    tool_use = tool_use_of(request)
    messages, rules = normalize_messages(request.messages, profile.traits, tool_use)
    fields = [message_fields(message) for message in messages]
    if source.template:  # Encoders want the arguments of calls as JSON text.
        fields = [dict(with_argument_objects(message)) for message in fields]
    tools = tool_list(tool_use) if tool_use is not None and profile.traits.takes_tools else None
    try:
        text = source.render(fields, tools, profile.variables)
        tokens = _count(source, text, fields, tools)
    except Exception as error:  # A template fails in any way it likes.
        return Prompt(text="", tokens=0, rules=list(rules), error=f"{type(error).__name__}: {error}")
    return Prompt(text=text, tokens=tokens, rules=list(rules), error=None)


def _count(source: ModelSource, text: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> int:
    if source.is_mistral_tokenizer:  # mistral-common makes no special tokens from a text.
        return len(source.tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True))
    return len(source.tokenizer.encode(text, add_special_tokens=False))
