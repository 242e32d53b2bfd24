"""Tokens gathered by vLLM itself. It makes an output of each step for each turn, wakes the turn's reader, or merges the output
into one that was not taken; for a reader that wants nothing yet all of that is in vain. Of one request vLLM can make an output
for every so many tokens (`stream_interval`); here that number follows what the reader wants.
"""

import sys
from collections.abc import Callable
from typing import Any

_NONE = sys.maxsize
_ALL_SO_FAR = 2
"""With any token held back already, the next makes an output of all."""
_EACH = 1


def holding(output_processor: Any, turn_id: str) -> Callable[[bool], None] | None:
    """For `Generated.hold`, of a turn in vLLM's `OutputProcessor`. None where it has ended, has several choices, or gathers by an
    engine argument.
    """
    requests = output_processor.external_req_ids.get(turn_id, ())
    state = output_processor.request_states.get(requests[0]) if len(requests) == 1 else None
    if state is None or state.detokenizer is None or state.parent_req is not None or state.stream_interval != _EACH:
        return None

    def hold(is_held: bool) -> None:
        if is_held:
            if state.stream_interval == _EACH:  # Then vLLM does not note how far it has given out: all that there is.
                state.sent_tokens_offset = state.detokenizer.num_output_tokens()
            state.stream_interval = _NONE
        elif state.stream_interval == _NONE:
            some_held = state.detokenizer.num_output_tokens() > state.sent_tokens_offset
            state.stream_interval = _ALL_SO_FAR if some_held else _EACH

    return hold
