"""Runs the chat template and the tokenizer: both in one visit to a thread, or on the event loop for a small prompt.

vLLM itself visits a thread for each of the two, with additional tasks. Each visit costs two wake-ups: the thread's and the
event loop's.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

from service.domain import ChatJob
from service.engine.models.json_object import JsonObject

_AT_ONCE_CHARS, _CHARS_A_MESSAGE, _CHARS_A_VALUE = 2000, 50, 4
"""Sizes in characters: the largest prompt to render on the event loop, and what each message and each JSON value adds to it."""


def is_small(job: ChatJob, tools: list[dict[str, Any]] | None) -> bool:
    """Return whether rendering takes less time than a visit to a thread. `tools` have the form that templates show."""
    chars = job.prompt_chars + _CHARS_A_MESSAGE * len(job.messages)
    left: list[Any] = [tools] if tools else []
    while left and chars <= _AT_ONCE_CHARS:  # A schema can be very large, so stop as early as possible.
        value = left.pop()
        if isinstance(value, dict):
            left += value.keys()
            left += value.values()
        elif isinstance(value, list):
            left += value
        chars += _CHARS_A_VALUE + (len(value) if isinstance(value, str) else 0)
    return chars <= _AT_ONCE_CHARS


class OneThreadRenderer:
    """vLLM's renderer with four changes.

    - A chat needs one visit to a thread.
    - A prompt is counted to its end: vLLM's own check stops one token above the limit, so it cannot report the prompt's length.
    - A Jinja template gets the arguments of calls in the form that it wants, an object or JSON text. vLLM gives it only objects,
      and some templates (DeepSeek V3) add them to a string. vLLM's other encoders get the JSON text that they expect.
    - A template that does not show tools does not get them, because normalization has described them in the messages. The
      request keeps them for the parser of the output.
    """

    def __init__(self, renderer: Any, executor: Executor | None, *, shows_tools: bool = True) -> None:
        """`executor` may have at most one thread per tokenizer (`renderer_num_workers`). None renders on the event loop.

        `shows_tools` is `TemplateTraits.takes_tools`.
        """
        self._renderer = renderer
        self._executor = executor
        self._shows_tools = shows_tools
        # By name, because importing vLLM takes seconds. Classes of vLLM's for single models can inherit from this one.
        self._is_jinja = any(base.__name__ == "HfRenderer" for base in type(renderer).__mro__)

    async def render_chat_async(self, conversations: Sequence[Any], chat_params: Any, tok_params: Any, **kwargs: Any) -> Any:
        unbounded = replace(tok_params, max_total_tokens=None)
        if self._is_jinja:
            conversations = [list(map(with_argument_objects, messages)) for messages in conversations]
        if not self._shows_tools:
            chat_params = replace(chat_params, chat_template_kwargs={**chat_params.chat_template_kwargs, "tools": None})
        render = partial(self._renderer.render_chat, conversations, chat_params, unbounded, **kwargs)
        if self._executor is None:
            return render()
        return await asyncio.get_running_loop().run_in_executor(self._executor, render)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._renderer, name)


def with_argument_objects(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message in which the arguments of calls are `JsonObject`s. Normalization made them JSON objects."""
    calls = message.get("tool_calls")
    if not calls:
        return message
    return {**message, "tool_calls": [{**call, "function": _with_object(call["function"])} for call in calls]}


def _with_object(function: Mapping[str, Any]) -> dict[str, Any]:
    return {**function, "arguments": JsonObject(json.loads(function["arguments"]))}
