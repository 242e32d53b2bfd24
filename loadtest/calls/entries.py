"""Turns and calls as Locust's own entries, so that its web page, CSV files and percentiles have them.

A refusal is an entry of its own: no failure, and no sample of any latency.
"""

from typing import Any, Protocol

from loadtest.calls.call import CallOutcome, Turn
from loadtest.calls.plans import CallPlan
from loadtest.calls.rows import tpot_s


class TurnFailed(Exception):
    """What Locust shows beside a failure: the kind, nothing of the conversation."""


class Fire(Protocol):
    """`environment.events.request.fire`."""

    def __call__(self, **fields: Any) -> None: ...


def tell_turn(fire: Fire, turn: Turn, ttft_budget_s: float) -> None:
    """TTFT, first sentence, ITL, TPOT, turn and `on time` of what was heard; a refusal or a failure as such."""
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
    """Good, spoiled, lost, cut or not placed."""
    _tell(fire, "call", outcome, duration_s)


def _tell(fire: Fire, kind: str, name: str, seconds: float | None, error: TurnFailed | None = None, *, tokens: int = 0) -> None:
    if seconds is not None:
        fire(request_type=kind, name=name, response_time=seconds * 1000, response_length=tokens, exception=error, context={})


def _since(turn: Turn, at: float | None) -> float | None:
    return None if at is None else at - turn.answer.sent_at
