"""The simulated agents. All calls to one agent have the identical system prompt, so that a prefix cache can reuse it."""

from dataclasses import dataclass
from functools import cached_property

from loadtest.calls.languages import ENGLISH, GERMAN, JAPANESE, SPANISH, Language


@dataclass(frozen=True)
class Agent:
    name: str
    role: str
    language: Language
    weight: float
    """Relative share of the calls."""
    prompt_chars: int
    answer_tokens: tuple[int, int]
    """Range from which `max_tokens` of a turn is drawn."""
    turns: tuple[int, int]
    """Range from which the number of turns of a call is drawn."""

    @cached_property
    def system_prompt(self) -> str:
        """The role, the rules, then facts up to `prompt_chars`. It is the same in every run."""
        text, number = self.role + " " + self.language.rules, 1
        while len(text) < self.prompt_chars:
            text += self.language.fact.format(n=number)
            number += 1
        return text


AGENTS = (
    Agent("hotel", "You are the front desk of the Hotel Harbour.", ENGLISH, 4, 3500, (24, 48), (2, 5)),
    Agent("bank", "You are the card service of Northern Bank.", ENGLISH, 3, 6000, (32, 64), (3, 7)),
    Agent("clinic", "Du bist der Empfang der Praxis am Markt.", GERMAN, 2, 3000, (24, 48), (2, 4)),
    Agent("travel", "Eres la recepción de la agencia Viajes del Sur.", SPANISH, 2, 3000, (24, 56), (2, 5)),
    Agent("shop", "あなたは通信販売の受付です。", JAPANESE, 1, 1200, (32, 64), (2, 4)),
)
