"""Log probabilities of an answer's content: of the tokens that are spoken, and of no thought, call or stop string."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.domain import TokenLogprob

TokenText = Callable[[int], tuple[str, bytes]]
"""Token ID -> text and bytes."""
# vLLM's server shows the same floor: JSON has no -inf.
_LEAST_LOGPROB = -9999.0


def token_logprob(token_id: int, at_place: Mapping[int, Any], top: int, token_text: TokenText) -> TokenLogprob:
    """Return a sampled token's log probability, with the `top` most likely tokens at its place."""
    likeliest = sorted(at_place.items(), key=lambda item: item[1].rank)[:top]
    beside = tuple(_one(each_id, each, token_text) for each_id, each in likeliest)
    return _one(token_id, at_place.get(token_id), token_text, beside)


def _one(token_id: int, logprob: Any, token_text: TokenText, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    text, exact = token_text(token_id)
    value = _LEAST_LOGPROB if logprob is None else max(logprob.logprob, _LEAST_LOGPROB)
    return TokenLogprob(token=text, logprob=value, token_bytes=exact, top=top)


class LogprobQueue:
    """Keeps the log probabilities of tokens until their text is given: it can be held back, or turn out to be no content."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self._read = self._given = 0

    def add(self, logprob: TokenLogprob, chars: int) -> None:
        """A token of content with so many characters. Half a character has none: it is given with the other half."""
        self._waiting.append((self._read, logprob))
        self._read += chars

    def given(self, chars: int) -> Sequence[TokenLogprob]:
        """So many characters of content were given. Returns the log probabilities of their tokens."""
        self._given += chars
        return self._until(self._given)

    def drop(self) -> None:
        """What waits was no content."""
        self._waiting.clear()
        self._given = self._read

    def rest(self) -> Sequence[TokenLogprob]:
        """At the end, return what is left: tokens without text of their own."""
        return self._until(self._read + 1)

    def _until(self, place: int) -> Sequence[TokenLogprob]:
        released = []
        while self._waiting and self._waiting[0][0] < place:
            released.append(self._waiting.popleft()[1])
        return released
