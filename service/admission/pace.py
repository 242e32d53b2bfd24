"""How fast the engine is, learned from its steps: what a step costs with so many turns in it, and a prompt token on top.

A step of continuous batching moves every running turn on by one token; prompts are computed in the same steps. So the
time of a step is a curve over the number of turns, plus so much a prompt token; and the time per output token (TPOT) that
`n` running turns see is the step's, plus the prompts that come between: in the long run, each generated token brings
`prompt tokens per generated token` of them.
"""

import math
from dataclasses import dataclass

from service.domain import EngineStep

# Of a new measurement: quick enough to follow a load that changes, slow enough for a machine that jitters.
_NEW_SHARE = 0.1
_MOST_RISE = 3.0
"""One slow step (a pause of the machine) counts as no more than this many usual ones."""
_STALE_S = 30.0
_LEAST_PROMPT_TOKENS = 500
_LEAST_STEPS = 10
"""Before so many were measured, nobody is kept out for them: an engine's first steps are slow, too."""
_MEMORY_TOKENS = 4000.0
"""Prompt tokens over which their cost is remembered."""
_MIX_MEMORY_S = 15.0
"""For how long the mix of prompt and generated tokens is remembered. A time, and no number of tokens: long prompts with short
answers let few turns run, and few turns would take the longest to forget them.
"""
_TO_COME_TOKENS = 100.0
"""Taken as generated beside what is remembered: the prompts of turns that run are counted, their answers only begun."""


@dataclass(slots=True)
class _Point:
    """Steps with about so many turns."""

    turns: float
    step_s: float
    at_s: float
    """When one was last seen."""
    seen: int = 1


class Pace:
    """Learns from `observe`, which is told of each step; all times in seconds. Unknown is None, or 0 where that adds nothing."""

    def __init__(self) -> None:
        self._points: dict[int, _Point] = {}
        self._curve: list[_Point] = []
        """The points, by their number of turns."""
        self._prompt_s = self._prompt_tokens = 0.0
        self._mixed_prompt = self._mixed_generated = self._mixed_at_s = 0.0
        self._steps = 0
        self._in_engine = 0
        self._last_at_s: float | None = None
        self._carried_s = 0.0
        self.last_step: EngineStep | None = None
        self._most_turns: dict[tuple[float, int], int] = {}
        """Asked several times for each turn, and the same until the next step."""

    @property
    def prompt_token_s(self) -> float:
        """What one prompt token adds to a step; 0 before enough were measured: an engine's first prompts are slow."""
        return self._prompt_s / self._prompt_tokens if self._prompt_tokens >= _LEAST_PROMPT_TOKENS else 0.0

    @property
    def prompt_per_generated(self) -> float:
        """Prompt tokens computed for each token generated, lately."""
        return self._mixed_prompt / (self._mixed_generated + _TO_COME_TOKENS)

    @property
    def is_known(self) -> bool:
        return bool(self._points)

    def step_s(self, turns: float) -> float:
        """A step with so many turns and no prompt: between the measured points, and beyond the last on the same slope."""
        points = self._curve
        if not points:
            return 0.0
        below = points[0]
        if turns <= below.turns or len(points) == 1:
            return below.step_s
        for above in points[1:]:
            if turns <= above.turns:
                return _on_line(below, above, turns)
            below = above
        return max(below.step_s, _on_line(points[0], below, turns))

    def tpot_s(self, turns: int) -> float:
        """The time per output token that so many running turns see, prompts that come between included."""
        return self.step_s(turns) + turns * self.prompt_per_generated * self.prompt_token_s

    def most_turns(self, tpot_s: float, *, limit: int) -> int:
        """How many running turns keep to a time per output token: at least 1, at most `limit`."""
        if self._steps < _LEAST_STEPS:
            return limit
        asked = (tpot_s, limit)
        if asked not in self._most_turns:
            self._most_turns[asked] = self._find_most_turns(tpot_s, limit)
        return self._most_turns[asked]

    def _find_most_turns(self, tpot_s: float, limit: int) -> int:
        few, many = 1, limit
        while few < many:
            middle = (few + many + 1) // 2
            if self.tpot_s(middle) <= tpot_s:
                few = middle
            else:
                many = middle - 1
        return few

    def doubt_beyond(self, turns: int, now_s: float) -> None:
        """Turns are held back since more than so many are thought to be too slow: what was measured of more, and not lately,
        may be so no longer (a machine that was busy). Forgotten, it is measured anew.
        """
        stale = [place for place, point in self._points.items() if point.turns > turns and point.at_s < now_s - _STALE_S]
        if stale and len(stale) < len(self._points):
            self._most_turns.clear()
            for place in stale:
                del self._points[place]
            self._draw_curve()

    def under_way_s(self, now_s: float) -> float:
        """For how long the engine has been at what it is computing now: a step, or a long prompt's several."""
        return now_s - self._last_at_s + self._carried_s if self._in_engine and self._last_at_s is not None else 0.0

    def enter(self, now_s: float) -> None:
        """A turn goes into the engine: time counts from here where it was idle."""
        if self._in_engine == 0:
            self._last_at_s, self._carried_s = now_s, 0.0
        self._in_engine += 1

    def leave(self) -> None:
        """A turn has left the engine, however it ended."""
        self._in_engine -= 1

    def observe(self, step: EngineStep) -> None:
        """Learn from one step. O(1): it is called for each."""
        self.last_step = step
        self._most_turns.clear()
        if not self._in_engine:  # What is not told to `enter` (warm-up turns, which also compile) is nobody's usual step.
            return
        since_s, self._last_at_s = self._last_at_s, step.at_s
        if since_s is None or step.generated_tokens == 0:
            # A piece of a long prompt: its tokens are told when the last piece is done, so its time goes with them.
            self._carried_s += 0.0 if since_s is None else step.at_s - since_s
            return
        took_s = step.at_s - since_s + self._carried_s
        carried_s, self._carried_s = self._carried_s, 0.0
        turns = step.generated_tokens
        if step.prefilled_tokens:
            self._learn_prompt(max(0.0, took_s - self.step_s(turns)), step.prefilled_tokens)
        elif step.running <= turns:
            self._learn_step(turns, took_s, step.at_s)
        else:  # Some of the batch is in the midst of a long prompt.
            self._carried_s = carried_s + max(0.0, took_s - carried_s - self.step_s(turns))
        kept = math.exp((self._mixed_at_s - step.at_s) / _MIX_MEMORY_S)
        self._mixed_at_s = step.at_s
        self._mixed_generated = self._mixed_generated * kept + step.generated_tokens
        self._mixed_prompt = self._mixed_prompt * kept + step.prefilled_tokens

    def _learn_step(self, turns: int, took_s: float, at_s: float) -> None:
        self._steps += 1
        # Two points for each power of two: ever farther apart, as the curve flattens out.
        place = 2 * turns.bit_length() + (turns >= 3 << max(0, turns.bit_length() - 2))
        point = self._points.get(place)
        if point is None:
            self._points[place] = _Point(turns, min(took_s, _MOST_RISE * self.step_s(turns)) if self._curve else took_s, at_s)
            self._draw_curve()
            return
        point.at_s = at_s
        point.seen += 1
        share = max(_NEW_SHARE, 1 / point.seen)
        point.turns += share * (turns - point.turns)
        point.step_s += share * (min(took_s, _MOST_RISE * point.step_s) - point.step_s)

    def _draw_curve(self) -> None:
        self._curve = [self._points[place] for place in sorted(self._points)]

    def _learn_prompt(self, took_s: float, tokens: int) -> None:
        if self.prompt_token_s:
            took_s = min(took_s, _MOST_RISE * self.prompt_token_s * tokens + self.step_s(1))
        kept = max(0.0, 1 - tokens / _MEMORY_TOKENS) if tokens < _MEMORY_TOKENS else 0.0
        self._prompt_s = self._prompt_s * kept + took_s
        self._prompt_tokens = self._prompt_tokens * kept + tokens


def _on_line(one: _Point, other: _Point, turns: float) -> float:
    if other.turns == one.turns:
        return other.step_s
    slope = (other.step_s - one.step_s) / (other.turns - one.turns)
    return one.step_s + slope * (turns - one.turns)
