"""Which beginnings of conversations have been computed lately, and so should be in the engine's prefix cache.

Kept as hashes of the messages up to each one, under Python's per-process secret; with the tenant and the model in them, as
neither shares a cache with another for certain.
"""

from collections import OrderedDict

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


class Prefixes:
    """The least recently used are forgotten, as in the engine."""

    def __init__(self) -> None:
        self._computed: OrderedDict[int, None] = OrderedDict()

    def computed(self, keys: list[int]) -> None:
        """A prompt has been computed, with all its beginnings."""
        for key in keys:
            self._computed[key] = None
            self._computed.move_to_end(key)
        while len(self._computed) > _REMEMBERED:
            self._computed.popitem(last=False)

    def known_bytes(self, job: ChatJob, keys: list[int]) -> int:
        """The bytes of the prompt's longest computed beginning."""
        known = next((place for place in range(len(keys), 0, -1) if keys[place - 1] in self._computed), 0)
        if 0 < known < len(keys) and job.messages[known].role == "assistant":
            known += 1  # What was answered to that beginning was computed token by token.
        return sum(message.size_bytes for message in job.messages[:known])
