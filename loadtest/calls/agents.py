"""The agents that are called. All calls to one share its system prompt, to the letter: what a prefix cache is for."""

from dataclasses import dataclass
from functools import cached_property

from loadtest.calls.languages import ENGLISH, GERMAN, JAPANESE, SPANISH, Language


@dataclass(frozen=True)
class Agent:
    name: str
    role: str
    language: Language
    weight: float
    """Its share of the calls, beside the others'."""
    prompt_chars: int
    answer_tokens: tuple[int, int]
    """`max_tokens` of a turn is drawn from here."""
    turns: tuple[int, int]
    """Turns of a call."""

    @cached_property
    def system_prompt(self) -> str:
        """The role, the rules, and facts until it is long enough; the same in every run."""
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
