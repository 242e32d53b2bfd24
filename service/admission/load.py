"""What is in the engine now."""

from dataclasses import dataclass, field

from service.admission.room import Waiter


@dataclass(slots=True)
class Running:
    """One tenant's part."""

    turns: int
    weight: float


@dataclass(slots=True)
class Load:
    turns: int = 0
    """Choices being generated, or whose prompt is being computed."""
    prompt_tokens: int = 0
    """To be computed, of turns without a first token yet."""
    by_tenant: dict[str, Running] = field(default_factory=dict)

    def add(self, waiter: Waiter) -> None:
        self.turns += waiter.slots
        self.prompt_tokens += waiter.cost.uncached_tokens
        running = self.by_tenant.setdefault(waiter.tenant, Running(0, waiter.policy.weight))
        running.turns += waiter.slots
        running.weight = waiter.policy.weight

    def begun(self, waiter: Waiter) -> None:
        """Its prompt has been computed."""
        self.prompt_tokens -= waiter.cost.uncached_tokens

    def remove(self, waiter: Waiter, *, has_begun: bool) -> None:
        if not has_begun:
            self.begun(waiter)
        self.turns -= waiter.slots
        running = self.by_tenant[waiter.tenant]
        running.turns -= waiter.slots
        if not running.turns:
            del self.by_tenant[waiter.tenant]
