"""Template and tokenizer. vLLM goes to a thread for each of them, with tasks of its own around both, and each way costs two
wake-ups: the thread's and the event loop's. Here it is one visit; and none for a small prompt.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any


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
