"""Turns and calls as Locust's own entries, so that its web page, CSV files and percentiles include them.

A refusal is an entry of its own. It does not count as a failure, and it adds no latency sample.
"""

from typing import Any, Protocol

from loadtest.calls.call import CallOutcome, Turn
from loadtest.calls.plans import CallPlan
from loadtest.calls.rows import tpot_s


class TurnFailed(Exception):
    """The failure that Locust shows. It names the kind and contains nothing of the conversation."""


class Fire(Protocol):
    """Type of `environment.events.request.fire`."""

    def __call__(self, **fields: Any) -> None: ...


def tell_turn(fire: Fire, turn: Turn, ttft_budget_s: float) -> None:
    """Fire the entries of one turn: TTFT, first sentence, ITL, TPOT, turn, `on time`; or its refusal or failure."""
    answer, name = turn.answer, turn.plan.agent.name
    if answer.outcome == "refused":
        _tell(fire, "refused", answer.reason, _since(turn, answer.ended_at))
        return
    _tell(fire, "TTFT", name, _since(turn, answer.first_word_at))
    _tell(fire, "first sentence", name, _since(turn, answer.first_sentence_at))
    for gap_s in answer.gaps:
        _tell(fire, "ITL", name, gap_s)
    if answer.outcome == "failed":
        _tell(fire, "failed", name, _since(turn, answer.ended_at), TurnFailed(answer.reason))
    if answer.outcome in ("barged-in", "hung-up"):
        _tell(fire, answer.outcome, name, _since(turn, answer.ended_at))
    if answer.outcome == "answered":
        _tell(fire, "TPOT", name, tpot_s(turn))
        _tell(fire, "turn", name, _since(turn, answer.ended_at), tokens=answer.completion_tokens)
    if turn.is_on_time(ttft_budget_s):
        _tell(fire, "on time", name, _since(turn, answer.first_word_at))


def tell_call(fire: Fire, plan: CallPlan, outcome: CallOutcome, duration_s: float) -> None:
    """Fire the entry of one call, named by its outcome: good, spoiled, lost, cut or not placed."""
    _tell(fire, "call", outcome, duration_s)


def _tell(fire: Fire, kind: str, name: str, seconds: float | None, error: TurnFailed | None = None, *, tokens: int = 0) -> None:
    if seconds is not None:
        fire(request_type=kind, name=name, response_time=seconds * 1000, response_length=tokens, exception=error, context={})


def _since(turn: Turn, at: float | None) -> float | None:
    return None if at is None else at - turn.answer.sent_at
