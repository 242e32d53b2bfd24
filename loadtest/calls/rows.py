"""Turns and calls as rows of values: small enough to keep a whole run, and complete enough for every report."""

from collections.abc import Sequence
from typing import Any

from loadtest.calls.call import CallOutcome, Turn
from loadtest.calls.plans import CallPlan

TURN_COLUMNS = {
    "call": "number of the call",
    "tenant": "`quiet`, or `noisy` in the scenario with two tenants",
    "agent": "agent that was called",
    "position": "index of the turn in its call; 0: first turn",
    "due_s": "planned send time, in seconds from the start of the run",
    "late_s": "delay of the client's send after `due_s`",
    "outcome": "answered, barged-in, hung-up, refused, failed, cut",
    "on_time": "1: answered (or ended by its caller) with the first token within the budget; 0: not",
    "ttft_s": "from send to the first content or tool call that is not empty",
    "first_chunk_s": "from send to the first chunk with `choices`, even an empty one: the TTFT of `vllm bench serve`",
    "first_sentence_s": "from send to the end of the first sentence",
    "duration_s": "from send to the end of the stream or of the refusal",
    "tpot_s": "from the first to the last chunk, per token after the first: the TPOT of `vllm bench serve`",
    "itl_max_s": "longest gap between two chunks",
    "prompt_tokens": "from `usage`; 0 if the stream was dropped",
    "cached_tokens": "from `usage`",
    "completion_tokens": "from `usage`",
    "reason": "reason of a refusal or failure: status, code, kind",
}
CALL_COLUMNS = {
    "call": "number of the call",
    "tenant": "as above",
    "agent": "as above",
    "due_s": "planned start",
    "late_s": "delay of the start after `due_s`",
    "outcome": "good, spoiled, lost, cut, not placed",
    "turns": "planned turns",
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
    """TPOT as `vllm bench serve` computes it. None unless `usage` came and has at least two completion tokens."""
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
    """Round to 10 µs. Nothing here is measured more exactly, and rows stay short."""
    return None if value is None else round(value, _PLACES)
