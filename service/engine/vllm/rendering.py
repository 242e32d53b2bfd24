"""Runs the chat template and the tokenizer: both in one visit to a thread, or on the event loop for a small prompt.

vLLM itself visits a thread for each of the two, with additional tasks. Each visit costs two wake-ups: the thread's and the
event loop's.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

from service.domain import ChatJob

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
    """vLLM's renderer with two changes.

    A chat needs one visit to a thread. A prompt is counted to its end: vLLM's own check stops one token above the limit, so it
    cannot report the prompt's length.
    """

    def __init__(self, renderer: Any, executor: Executor | None) -> None:
        """`executor` may have at most one thread per tokenizer (`renderer_num_workers`). None renders on the event loop."""
        self._renderer = renderer
        self._executor = executor

    async def render_chat_async(self, conversations: Sequence[Any], chat_params: Any, tok_params: Any, **kwargs: Any) -> Any:
        unbounded = replace(tok_params, max_total_tokens=None)
        render = partial(self._renderer.render_chat, conversations, chat_params, unbounded, **kwargs)
        if self._executor is None:
            return render()
        return await asyncio.get_running_loop().run_in_executor(self._executor, render)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._renderer, name)
