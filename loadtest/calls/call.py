"""One simulated call: the caller speaks, hears, thinks, speaks again; and interrupts, or hangs up, where the plan says so."""

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
    """One turn of a call. Times are monotonic seconds."""

    plan: CallPlan
    position: int
    """0: the call's first."""
    due_at: float
    """When it was to be sent."""
    answer: Answer = field(default_factory=Answer)

    def is_on_time(self, ttft_budget_s: float) -> bool:
        """Answered, or interrupted by its own caller, and its first word within the budget."""
        answer = self.answer
        has_word = answer.outcome in HEARD and answer.first_word_at is not None
        return has_word and (answer.first_word_at or 0.0) - answer.sent_at <= ttft_budget_s


@dataclass(frozen=True)
class Manners:
    """What is the same for all calls of a run."""

    ttft_budget_s: float = 1.0
    turn_timeout_s: float = 60.0
    pause_scale: float = 1.0
    """How long callers listen, think and speak is multiplied by this."""
    ignore_eos: bool = False
    """vLLM's field: every answer is as long as it may be."""


def hold_call(plan: CallPlan, due_at: float, line: Line, manners: Manners, on_turn: Callable[[Turn], None]) -> CallOutcome:
    """The whole call, from its first turn, due then. `on_turn` gets each turn as it ends, the one too that is cut when the
    greenlet is killed, or in which the load test itself is at fault; that fault is raised.
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
    """The agent's voice begins with the first sentence, and is heard out unless the caller barges in; then the caller speaks."""
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
