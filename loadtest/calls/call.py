"""One simulated call. The caller speaks, listens, thinks and speaks again. The plan sets barge-ins and hang-ups."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

import gevent  # type: ignore[import-untyped]

from loadtest.calls.plans import CallPlan, TurnPlan
from loadtest.calls.stream import HEARD, Answer, ask
from loadtest.calls.target import Line

CallOutcome = Literal["good", "spoiled", "lost", "cut", "not placed"]


@dataclass(slots=True)
class Turn:
    """One turn of a call. Times are in seconds on the monotonic clock."""

    plan: CallPlan
    position: int
    """Index within the call. 0 is the first turn."""
    due_at: float
    """Planned send time."""
    answer: Answer = field(default_factory=Answer)

    def is_on_time(self, ttft_budget_s: float) -> bool:
        """Whether the turn was answered, or ended by its caller, and got its first token within the budget."""
        answer = self.answer
        has_word = answer.outcome in HEARD and answer.first_word_at is not None
        return has_word and (answer.first_word_at or 0.0) - answer.sent_at <= ttft_budget_s


@dataclass(frozen=True)
class Manners:
    """Settings that all calls of a run share."""

    ttft_budget_s: float = 1.0
    turn_timeout_s: float = 60.0
    pause_scale: float = 1.0
    """Factor on the time that callers listen, think and speak."""
    ignore_eos: bool = False
    """vLLM's request field. True makes every answer as long as `max_tokens` allows."""


def hold_call(plan: CallPlan, due_at: float, line: Line, manners: Manners, on_turn: Callable[[Turn], None]) -> CallOutcome:
    """Run the whole call. Its first turn is due at `due_at`.

    `on_turn` receives each turn when it ends. This includes a turn that is cut because the greenlet is killed, and a turn in
    which the load test itself fails. Raises that failure.
    """
    messages = [_said("system", plan.agent.system_prompt)]
    is_good = True
    with closing(line):
        for position, planned in enumerate(plan.turns):
            gevent.sleep(max(0.0, due_at - time.monotonic()))
            messages.append(_said("user", planned.text))
            turn = Turn(plan, position, due_at)
            try:
                _take(turn, planned, messages, line, manners)
            finally:
                on_turn(turn)
            answer = turn.answer
            if answer.outcome == "refused" and position == 0:
                return "lost"
            if answer.outcome not in HEARD:
                return "spoiled"
            is_good = is_good and turn.is_on_time(manners.ttft_budget_s)
            if answer.outcome == "hung-up" or position + 1 == len(plan.turns):
                break
            messages.append(_said("assistant", "".join(answer.pieces)))
            due_at = _next_due(answer, planned, plan.turns[position + 1], plan.agent.language.chars_per_s, manners.pause_scale)
    return "good" if is_good else "spoiled"


def _take(turn: Turn, planned: TurnPlan, messages: list[dict[str, str]], line: Line, manners: Manners) -> None:
    body: dict[str, Any] = {
        "model": line.target.model,
        "messages": messages,
        "max_tokens": planned.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if manners.ignore_eos:
        body["ignore_eos"] = True
    drop_after_s = planned.hang_up_s if planned.hang_up_s is not None else planned.barge_in_s
    ask(line, body, turn.answer, drop_after_s=drop_after_s, timeout_s=manners.turn_timeout_s)
    if planned.hang_up_s is not None and turn.answer.outcome in HEARD:
        turn.answer.outcome = "hung-up"


def _next_due(answer: Answer, planned: TurnPlan, following: TurnPlan, chars_per_s: float, scale: float) -> float:
    """Planned send time of the next turn. The agent's voice starts at the first sentence and plays to the end or to a barge-in.

    Then the caller speaks, after time to think unless this was a barge-in.
    """
    now = time.monotonic()
    begins_at = answer.first_sentence_at or answer.first_word_at or now
    if planned.barge_in_s is not None:
        heard_until = (answer.first_word_at or now) + planned.barge_in_s
        pause_s = following.speak_s
    else:
        heard_until = begins_at + len("".join(answer.pieces)) / chars_per_s * scale
        pause_s = following.think_s + following.speak_s
    return max(now, heard_until) + pause_s * scale


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}
