"""The scenarios: a rate of arrivals over the run, as multiples of `-r`, and what its calls are like."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.calls.agents import AGENTS, Agent

QUIET, NOISY = "quiet", "noisy"
"""Tenants. All calls are the quiet one's, but where a scenario has a noisy one."""


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    run_s: float
    """How long it runs where `-t` does not say."""
    profile: Sequence[float] = (1.0,)
    """Multiples of `-r`, each held for an equal part of the run."""
    noisy_profile: Sequence[float] = ()
    """The same for a second tenant."""
    barge_in_share: float = 0.1
    """Of turns."""
    hang_up_share: float = 0.05
    """Of calls: the caller hangs up in the middle of an answer."""
    agents: Sequence[Agent] = AGENTS
    turns: tuple[int, int] | None = None
    """Turns of a call, where not as its agent has them."""

    @property
    def tenants(self) -> tuple[str, ...]:
        return (QUIET, NOISY) if self.noisy_profile else (QUIET,)


_ALL = (
    Scenario("smoke", "short calls to one agent: does it work at all?", 30, agents=AGENTS[:1], turns=(2, 2), hang_up_share=0.0),
    Scenario("steady", "one rate all the time", 300),
    Scenario("ramp", "ten steps up to `-r`: where is the knee?", 600, profile=[step / 10 for step in range(1, 11)]),
    Scenario("spike", "five times `-r` for a tenth of the run: does it come back?", 300, profile=[1, 1, 1, 1, 5, 1, 1, 1, 1, 1]),
    Scenario("soak", "one rate for an hour: does anything creep?", 3600),
    Scenario("barge-in", "callers interrupt every other answer", 300, barge_in_share=0.5, hang_up_share=0.15),
    Scenario(
        "noisy-tenant",
        "in the middle third a second tenant calls at ten times `-r`: does the first one notice?",
        300,
        noisy_profile=[0, 10, 0],
    ),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
