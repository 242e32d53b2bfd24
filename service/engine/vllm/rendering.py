"""Template and tokenizer. vLLM goes to a thread for each of them, with tasks of its own around both, and each way costs two
wake-ups: the thread's and the event loop's. Here it is one visit; and none for a small prompt.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

from vllm.renderers.online_renderer import OnlineRenderer

from service.domain import ChatJob
from service.engine.vllm.configuration import Configuration

_AT_ONCE_CHARS, _CHARS_A_MESSAGE, _CHARS_A_VALUE = 2000, 50, 4
"""Of what is rendered on the event loop; and what a message, or a value in a tool's JSON, counts for beside its text."""


def is_small(job: ChatJob, tools: list[dict[str, Any]] | None) -> bool:
    """Whether rendering takes less time than the way to a thread and back. `tools`: as templates show them."""
    chars = job.prompt_chars + _CHARS_A_MESSAGE * len(job.messages)
    left: list[Any] = [tools] if tools else []
    while left and chars <= _AT_ONCE_CHARS:  # A schema can be monstrous: no further than needed.
        value = left.pop()
        if isinstance(value, dict):
            left += value.keys()
            left += value.values()
        elif isinstance(value, list):
            left += value
        chars += _CHARS_A_VALUE + (len(value) if isinstance(value, str) else 0)
    return chars <= _AT_ONCE_CHARS


class OneVisit:
    """vLLM's renderer, for which a chat is one call; and which counts a prompt to its end: vLLM's own check stops one token past
    the limit and can't say how long it is.
    """

    def __init__(self, renderer: Any, executor: Executor | None) -> None:
        """`executor` may have as many threads as the renderer has tokenizers: `renderer_num_workers`. None: on the event loop."""
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


def make_renderer(configured: Configuration, renderer: Any) -> OnlineRenderer:
    """vLLM's front end of a renderer: a chat request in, the engine's input out."""
    config = configured.vllm.model_config
    # For a model of text alone vLLM finds no template but the tokenizer's, after loading the tokenizer once more.
    template = getattr(configured.tokenizer, "chat_template", None)
    return OnlineRenderer(
        config,
        renderer,
        request_logger=None,
        chat_template=template if not config.is_multimodal_model and isinstance(template, str) else None,
        chat_template_content_format="auto",
        enable_auto_tools=True,
        tool_parser=configured.parsers.tool,
        reasoning_parser=configured.parsers.reasoning,
    )
