"""Which beginnings of conversations have been computed lately, and so should be in the engine's prefix cache.

Kept as hashes of the messages up to each one, under Python's per-process secret; with the tenant and the model in them, as
neither shares a cache with another for certain.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from service.domain import ChatJob

_REMEMBERED = 65_536


def prefix_keys(job: ChatJob) -> list[int]:
    """A key for the messages up to each one: the first alone, the first two, and so on to all."""
    keys: list[int] = []
    current = hash((job.tenant, job.model))
    for message in job.messages:
        current = hash((current, message.role, message.content, message.tool_call_id, message.tool_calls))
        keys.append(current)
    return keys


@dataclass(slots=True)
class _Beginning:
    """Messages that were computed, in tokens."""

    counted: int = 0
    """Of the prompt that they were; 0: not known."""
    answered: int | None = None
    """Of the answer to it, those that were computed; None: not known."""
    found: int = 0
    """Of prompts that only begin with them: the most that was found in the cache."""


@dataclass(frozen=True, slots=True)
class Known:
    """Of a prompt, the longest beginning that was computed: its messages, and then the answer to them where that follows."""

    messages: int = 0
    messages_bytes: int = 0
    messages_tokens: int = 0
    """0: not known."""
    is_counted: bool = False
    """Or so many of its messages' were found at least."""
    answer_bytes: int = 0
    answer_tokens: int | None = None
    """None: not known."""


class Prefixes:
    """The least recently used are forgotten, as in the engine."""

    def __init__(self) -> None:
        self._computed: OrderedDict[int, _Beginning] = OrderedDict()

    def computed(self, keys: list[int], tokens: int) -> None:
        """A prompt of so many tokens has been computed, with all its beginnings."""
        for key in keys:
            self._computed[key] = self._computed.get(key) or _Beginning()
            self._computed.move_to_end(key)
        last = self._computed[keys[-1]]
        last.counted, last.answered = tokens, None
        while len(self._computed) > _REMEMBERED:
            self._computed.popitem(last=False)

    def answered(self, keys: list[int], known: Known, *, cached_tokens: int, answer_tokens: int | None) -> None:
        """What was found in the cache of a prompt of which so much was known, and the tokens of its answer that were computed
        right behind it (None: not known).
        """
        if last := self._computed.get(keys[-1]):
            last.answered = answer_tokens
        # All but its last message: else what was found is not of these, or not all that the next one will find.
        if known.messages == len(keys) - 1 > 0 and (before := self._computed.get(keys[-2])):
            before.found = max(before.found, cached_tokens)

    def known(self, job: ChatJob, keys: list[int]) -> Known:
        """What is known of the prompt's longest computed beginning."""
        place = next((place for place in range(len(keys), 0, -1) if keys[place - 1] in self._computed), 0)
        if not place:
            return Known()
        beginning, size = self._computed[keys[place - 1]], sum(message.size_bytes for message in job.messages[:place])
        known = Known(place, size, beginning.counted or beginning.found, bool(beginning.counted))
        if place == len(keys) or job.messages[place].role != "assistant":
            return known
        # What was answered to that beginning was computed token by token.
        return replace(known, answer_bytes=job.messages[place].size_bytes, answer_tokens=beginning.answered)
