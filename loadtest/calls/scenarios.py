"""The scenarios: arrival rate over the run, as multiples of `-r`, and the mix of calls."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.calls.agents import AGENTS, Agent

QUIET, NOISY = "quiet", "noisy"
"""The tenants. All calls belong to the quiet tenant, unless the scenario has a noisy tenant too."""


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    run_s: float
    """Duration in seconds if `-t` is not given."""
    profile: Sequence[float] = (1.0,)
    """Arrival rates as multiples of `-r`. Each holds for an equal part of the run."""
    noisy_profile: Sequence[float] = ()
    """The same for a second tenant. Empty: there is none."""
    barge_in_share: float = 0.1
    """Share of turns in which the caller barges in."""
    hang_up_share: float = 0.05
    """Share of calls in which the caller hangs up during the last answer."""
    agents: Sequence[Agent] = AGENTS
    turns: tuple[int, int] | None = None
    """Range of the number of turns of a call. None: the agent's own range."""

    @property
    def tenants(self) -> tuple[str, ...]:
        return (QUIET, NOISY) if self.noisy_profile else (QUIET,)


_ALL = (
    Scenario("smoke", "short calls to one agent: does it work at all?", 30, agents=AGENTS[:1], turns=(2, 2), hang_up_share=0.0),
    Scenario("steady", "constant rate", 300),
    Scenario("ramp", "ten steps up to `-r`: where is the knee?", 600, profile=[step / 10 for step in range(1, 11)]),
    Scenario("spike", "five times `-r` for a tenth of the run: does it recover?", 300, profile=[1, 1, 1, 1, 5, 1, 1, 1, 1, 1]),
    Scenario("soak", "constant rate for an hour: does it get slower or leak?", 3600),
    Scenario("barge-in", "callers interrupt half of the answers", 300, barge_in_share=0.5, hang_up_share=0.15),
    Scenario(
        "noisy-tenant",
        "a second tenant calls at ten times `-r` in the middle third: is the first tenant affected?",
        300,
        noisy_profile=[0, 10, 0],
    ),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
