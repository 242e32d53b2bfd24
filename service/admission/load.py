"""What is in the engine now."""

import math
from collections import Counter
from dataclasses import dataclass, field

from service.admission.room import Waiter


@dataclass(slots=True)
class Load:
    turns: int = 0
    """Choices being generated, or whose prompt is being computed."""
    prompt_tokens: int = 0
    """To be computed, of turns without a first token yet."""
    prompts_given: int = 0
    """Ever, to the engine."""
    prompts_done: int = 0
    """Of those: computed, or no longer wanted."""
    by_tenant: Counter[str] = field(default_factory=Counter)
    """The turns of each tenant that has any."""
    _next: set[Waiter] = field(default_factory=set)

    @property
    def next_tokens(self) -> int:
        """Of the prompt tokens, those for the next step: of turns that came in since the last one ended. The others are being
        computed.
        """
        return sum(waiter.cost.uncached_tokens for waiter in self._next)

    @property
    def next_due_s(self) -> float:
        """When the first word of those is due that is due first."""
        return min((waiter.due_s for waiter in self._next), default=math.inf)

    def stepped(self) -> None:
        """A step has ended; the next has begun, with all that is in the engine."""
        self._next.clear()

    def add(self, waiter: Waiter) -> None:
        self.turns += waiter.slots
        self.prompt_tokens += waiter.cost.uncached_tokens
        self._next.add(waiter)
        self.prompts_given += 1
        self.by_tenant[waiter.tenant] += waiter.slots

    def begun(self, waiter: Waiter) -> None:
        """Its prompt has been computed."""
        self.prompt_tokens -= waiter.cost.uncached_tokens
        self.prompts_done += 1
        self._next.discard(waiter)

    def remove(self, waiter: Waiter, *, has_begun: bool) -> None:
        if not has_begun:
            self.begun(waiter)
        self.turns -= waiter.slots
        self.by_tenant[waiter.tenant] -= waiter.slots
        if not self.by_tenant[waiter.tenant]:
            del self.by_tenant[waiter.tenant]
