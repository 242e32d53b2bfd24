"""Which beginnings of conversations have been computed lately, and so should be in the engine's prefix cache.

Kept as hashes of the messages up to each one, under Python's per-process secret; with the tenant and the model in them, as
neither shares a cache with another for certain.
"""

from collections import OrderedDict
from dataclasses import dataclass

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
    """Messages that were computed; in tokens, 0 where that is not known."""

    counted: int = 0
    """Of the prompt that they were."""
    answered: int = 0
    """Of the answer to it, those that were computed."""
    found: int = 0
    """Of prompts that only begin with them: the most that was found in the cache."""


@dataclass(frozen=True, slots=True)
class Known:
    """Of a prompt, the longest beginning that was computed: its messages, and then the answer to them where that follows."""

    messages_bytes: int = 0
    messages_tokens: int = 0
    """0: not known."""
    answer_bytes: int = 0
    answer_tokens: int = 0
    """0: not known, or no answer follows."""


class Prefixes:
    """The least recently used are forgotten, as in the engine."""

    def __init__(self) -> None:
        self._computed: OrderedDict[int, _Beginning] = OrderedDict()

    def computed(self, keys: list[int], tokens: int) -> None:
        """A prompt of so many tokens has been computed, with all its beginnings."""
        for key in keys:
            self._computed[key] = self._computed.get(key) or _Beginning()
            self._computed.move_to_end(key)
        self._computed[keys[-1]].counted = tokens
        while len(self._computed) > _REMEMBERED:
            self._computed.popitem(last=False)

    def answered(self, keys: list[int], *, cached_tokens: int, answer_tokens: int) -> None:
        """What of it was found in the cache, and the tokens of its answer that were computed."""
        if last := self._computed.get(keys[-1]):
            last.answered = answer_tokens
        if len(keys) > 1 and (before := self._computed.get(keys[-2])):
            before.found = max(before.found, cached_tokens)

    def known(self, job: ChatJob, keys: list[int]) -> Known:
        """What is known of the prompt's longest computed beginning."""
        place = next((place for place in range(len(keys), 0, -1) if keys[place - 1] in self._computed), 0)
        if not place:
            return Known()
        beginning, size = self._computed[keys[place - 1]], sum(message.size_bytes for message in job.messages[:place])
        tokens = beginning.counted or beginning.found
        if place == len(keys) or job.messages[place].role != "assistant":
            return Known(size, tokens)
        # What was answered to that beginning was computed token by token.
        return Known(size, tokens, job.messages[place].size_bytes, beginning.answered)
