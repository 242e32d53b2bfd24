"""A turn as a row of numbers, a call as another: small enough to keep all of a run, enough to draw any report from."""

from collections.abc import Sequence
from typing import Any

from loadtest.calls.call import CallOutcome, Turn
from loadtest.calls.plans import CallPlan

TURN_COLUMNS = {
    "call": "number of the call",
    "tenant": "`quiet`, or `noisy` in the scenario with two",
    "agent": "who was called",
    "position": "0: the call's first turn",
    "due_s": "when it was to be sent, in seconds from the start of the run",
    "late_s": "how much later the client sent it",
    "outcome": "answered, barged-in, hung-up, refused, failed, cut",
    "on_time": "1: answered (or dropped by its own caller), first word within the budget",
    "ttft_s": "sent until the first content or tool call that is not empty",
    "first_chunk_s": "sent until the first chunk with `choices`, even an empty one: the TTFT of `vllm bench serve`",
    "first_sentence_s": "sent until the first sentence was whole",
    "duration_s": "sent until the end of the stream, or of the refusal",
    "tpot_s": "first until last chunk, for each token after the first: the TPOT of `vllm bench serve`",
    "itl_max_s": "the longest gap between two chunks",
    "prompt_tokens": "from `usage`; 0 of a dropped stream",
    "cached_tokens": "from `usage`",
    "completion_tokens": "from `usage`",
    "reason": "of a refusal or a failure: status, code, kind",
}
CALL_COLUMNS = {
    "call": "its number",
    "tenant": "as above",
    "agent": "as above",
    "due_s": "when it was to begin",
    "late_s": "how much later it began",
    "outcome": "good, spoiled, lost, cut, not placed",
    "turns": "turns planned",
}
Row = list[Any]
_PLACES = 5


def turn_row(turn: Turn, began_at: float, ttft_budget_s: float) -> Row:
    answer = turn.answer
    sent_at = answer.sent_at
    return [
        turn.plan.number,
        turn.plan.tenant,
        turn.plan.agent.name,
        turn.position,
        _rounded(turn.due_at - began_at),
        _rounded(sent_at - turn.due_at),
        answer.outcome,
        int(turn.is_on_time(ttft_budget_s)),
        _since(sent_at, answer.first_word_at),
        _since(sent_at, answer.first_chunk_at),
        _since(sent_at, answer.first_sentence_at),
        _since(sent_at, answer.ended_at),
        _rounded(tpot_s(turn)),
        _rounded(max(answer.gaps, default=None)),
        answer.prompt_tokens,
        answer.cached_tokens,
        answer.completion_tokens,
        answer.reason,
    ]


def tpot_s(turn: Turn) -> float | None:
    """As `vllm bench serve`: of turns that ended by themselves and say how many tokens they had, more than one."""
    answer = turn.answer
    if answer.first_chunk_at is None or answer.last_chunk_at is None or answer.completion_tokens < 2:
        return None
    return (answer.last_chunk_at - answer.first_chunk_at) / (answer.completion_tokens - 1)


def call_row(plan: CallPlan, late_s: float, outcome: CallOutcome) -> Row:
    return [plan.number, plan.tenant, plan.agent.name, _rounded(plan.due_s), _rounded(late_s), outcome, len(plan.turns)]


def column(rows: Sequence[Row], name: str, columns: dict[str, str] = TURN_COLUMNS) -> list[Any]:
    position = list(columns).index(name)
    return [row[position] for row in rows]


def _since(began_at: float, at: float | None) -> float | None:
    return None if at is None else _rounded(at - began_at)


def _rounded(value: float | None) -> float | None:
    """To 10 µs: nothing here is known better, and rows stay short."""
    return None if value is None else round(value, _PLACES)
