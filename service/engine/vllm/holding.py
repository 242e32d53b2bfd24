"""Tokens gathered by vLLM itself. It makes an output of each step for each turn, wakes the turn's reader, or merges the output
into one that was not taken; for a reader that wants nothing yet all of that is in vain. Of one request vLLM can make an output
for every so many tokens (`stream_interval`); here that number follows what the reader wants. And a turn's tokens that nobody
wants yet need not go through vLLM's output processing one by one: `keep_tokens` keeps them, and gives it several at once.
"""

import sys
from collections.abc import Callable
from typing import Any, Protocol

_NONE = sys.maxsize
_ALL_SO_FAR = 2
"""With any token held back already, the next makes an output of all; after that it is each again."""
_EACH = 1


def holding(output_processor: Any, turn_id: str) -> Callable[[bool], None] | None:
    """For `Generated.hold`, of a turn in vLLM's `OutputProcessor` after `keep_tokens`. None where it has ended, has several
    choices, or gathers by an engine argument.
    """
    requests = output_processor.external_req_ids.get(turn_id, ())
    state = output_processor.request_states.get(requests[0]) if len(requests) == 1 else None
    if state is None or state.detokenizer is None or state.parent_req is not None or state.stream_interval != _EACH:
        return None
    state.kept = None
    released = output_processor.released
    can_keep = not getattr(state.detokenizer, "stop", None)  # A text that ends the answer must be found when it comes.

    def hold(is_held: bool) -> None:
        if is_held:
            if state.stream_interval == _EACH:  # Then vLLM does not note how far it has given out: all that there is.
                state.sent_tokens_offset = state.detokenizer.num_output_tokens()
            if can_keep and state.kept is None:  # Not before: a turn whose every token is wanted pays nothing for this.
                state.kept = []
            state.stream_interval = _NONE
        elif state.stream_interval == _NONE:
            if _holds_some(state):
                state.stream_interval = _ALL_SO_FAR
                released.append(state)
            else:
                _give_each(state)

    return hold


def tokens_made(output_processor: Any, turn_id: str) -> int:
    """Of all choices of a turn that has not ended, those that nobody has taken yet included."""
    states = (
        output_processor.request_states.get(request_id) for request_id in output_processor.external_req_ids.get(turn_id, ())
    )
    return sum(
        state.detokenizer.num_output_tokens() + len(getattr(state, "kept", None) or ())
        for state in states
        if state is not None and state.detokenizer is not None
    )


class _MakesOutput(Protocol):
    """vLLM's `EngineCoreOutput`."""

    def __call__(self, request_id: str, new_token_ids: list[int]) -> Any: ...


def keep_tokens(output_processor: Any, make_output: _MakesOutput) -> None:
    """From now on vLLM's `OutputProcessor` is given the tokens of a turn that is held when they are wanted, all at once. Its
    statistics are told of each when it comes. Anything else (an end, logprobs, an event) it is given when it comes, after them.
    """
    process, states = output_processor.process_outputs, output_processor.request_states
    released = output_processor.released = []
    plain = make_output("", [])  # One for all: to make another to compare each with takes longer than to compare.

    def process_or_keep(outputs: list[Any], at_s: float | None = None, stats: Any = None, **more: Any) -> Any:
        wanted, as_they_came = [], []
        for output in outputs:
            state = states.get(output.request_id)
            if state is None or (kept := getattr(state, "kept", None)) is None:
                as_they_came.append(output)
                continue
            plain.request_id, plain.new_token_ids = output.request_id, output.new_token_ids
            plain.trace_headers = output.trace_headers
            is_plain = output.routed_experts is None and output == plain
            if is_plain:
                kept += output.new_token_ids
                if stats is not None:
                    _count(len(output.new_token_ids), at_s, stats, state.stats)
            else:
                as_they_came.append(output)
            if kept and not (is_plain and state.stream_interval == _NONE):
                wanted.append(make_output(output.request_id, kept))
                state.kept = []
        if wanted:
            process(wanted, at_s, None, **more)
        told = process(as_they_came, at_s, stats, **more)
        if released:
            released[:] = [state for state in released if states.get(state.request_id) is state and not _has_given_all(state)]
        return told

    output_processor.process_outputs = process_or_keep


def _holds_some(state: Any) -> bool:
    return bool(state.kept) or state.detokenizer.num_output_tokens() > state.sent_tokens_offset


def _give_each(state: Any) -> None:
    state.stream_interval, state.kept = _EACH, None


def _has_given_all(state: Any) -> bool:
    """Or it is held again. From the output of what was held on, it gives each token as it comes."""
    if state.stream_interval == _ALL_SO_FAR:
        if _holds_some(state):
            return False
        _give_each(state)
    return True


def _count(tokens: int, at_s: float | None, stats: Any, of_request: Any) -> None:
    """What `IterationStats.update_from_output` does for tokens after the first."""
    stats.num_generation_tokens += tokens
    stats.inter_token_latencies_iter.append(at_s - of_request.last_token_ts)
    of_request.num_generation_tokens += tokens
    of_request.last_token_ts = at_s
