"""One turn: its request, its stream, and when each piece of it arrived. Times are monotonic seconds."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import gevent  # type: ignore[import-untyped]
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from loadtest.calls.chunks import Chunk, Malformed, chunk_of
from loadtest.calls.target import Line, error_code, word_of
from service.domain import Finished, TextDelta, ToolCallDelta, Usage
from service.telemetry.first_sentence import SpeechTimer

Outcome = Literal["answered", "barged-in", "hung-up", "refused", "failed", "cut"]
HEARD: tuple[Outcome, ...] = ("answered", "barged-in", "hung-up")
_REFUSED = (429, 503)
_LOST_WORK = "cut_off"
"""A 503 of ours that is no refusal: the turn ran, and the service stopped before its end."""


@dataclass(slots=True)
class Answer:
    """What came of a turn, filled in as it comes; None: it did not come."""

    sent_at: float = 0.0
    """Before the connection is opened."""
    first_word_at: float | None = None
    """The first content, or piece of a tool call, that is not empty."""
    first_chunk_at: float | None = None
    """The first chunk with `choices`, even an empty one: where `vllm bench serve` stamps its TTFT."""
    first_sentence_at: float | None = None
    last_chunk_at: float | None = None
    """The last chunk with `choices`."""
    ended_at: float | None = None
    gaps: list[float] = field(default_factory=list)
    """From each chunk with `choices` to the next: the ITL of `vllm bench serve`."""
    pieces: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    """0 where no usage came: of a stream that was dropped."""
    outcome: Outcome = "cut"
    """`cut`: the run ended before the turn did."""
    reason: str = ""
    """Why it was refused or failed: status, code, and what the server says of the refusal; never a message."""


class _Dropped(BaseException):
    """The caller's patience ended, in the middle of a stream. No Exception, so that no library takes it for its own."""


class _TooLong(BaseException):
    """The turn took longer than any may."""


def ask(line: Line, body: dict[str, Any], answer: Answer, *, drop_after_s: float | None = None, timeout_s: float = 60) -> None:
    """Send a turn; hear its answer to the end, or drop it so long after its first word. What goes wrong stands in the answer.

    Raises what is a fault of the load test itself, once that stands there too.
    """
    listener = _Listener(answer, drop_after_s)
    limit = gevent.Timeout.start_new(timeout_s, _TooLong())
    answer.sent_at = time.monotonic()
    try:
        with line.post(body) as response:
            if response.status_code != 200:
                _not_answered(answer, response)
            elif not str(response.get("content-type", "")).startswith("text/event-stream"):
                _fail(answer, "not a stream")
            else:
                listener.listen(response)
    except _Dropped:
        answer.outcome = "barged-in"
    except _TooLong:
        _fail(answer, f"no end within {timeout_s:g} s" if answer.first_word_at else f"no word within {timeout_s:g} s")
    except (OSError, HTTPParseError) as error:
        _fail(answer, f"connection: {type(error).__name__}")
    except Malformed as what:
        _fail(answer, f"malformed chunk: {what}")
    except Exception as fault:
        _fail(answer, f"fault of the load test: {type(fault).__name__}")
        raise
    finally:
        answer.ended_at = time.monotonic()
        limit.close()
        listener.close()


def _fail(answer: Answer, why: str) -> None:
    answer.outcome, answer.reason = "failed", why


def _not_answered(answer: Answer, response: HTTPSocketPoolResponse) -> None:
    code = error_code(response.read())
    hint = word_of(response.get("x-firstword-refused"))
    answer.outcome = "refused" if response.status_code in _REFUSED and code != _LOST_WORK else "failed"
    answer.reason = " ".join(filter(None, (str(response.status_code), code, hint and f"({hint})")))


class _Listener:
    """Reads server-sent events, line by line, as they come."""

    def __init__(self, answer: Answer, drop_after_s: float | None) -> None:
        self._answer = answer
        self._drop_after_s = drop_after_s
        self._patience: gevent.Timeout | None = None
        # The service's own ear, so that both mean the same by a sentence.
        self._speech = SpeechTimer()

    def listen(self, response: HTTPSocketPoolResponse) -> None:
        is_done = False
        while line := response.readline(b"\n"):
            now = time.monotonic()
            if not line.startswith(b"data:"):
                continue
            payload = line[5:].strip()
            if payload == b"[DONE]":
                is_done = True
            elif not self._take(chunk_of(payload), now):
                return
        self._speech.hear([Finished(Usage(0, 0, 0))])
        self._answer.first_sentence_at = self._speech.first_sentence_s
        self._conclude(is_done=is_done)

    def close(self) -> None:
        if self._patience:
            self._patience.close()

    def _conclude(self, *, is_done: bool) -> None:
        if not is_done:
            _fail(self._answer, "no [DONE]")
        elif self._answer.first_word_at is None:
            _fail(self._answer, "no word in the answer")
        else:
            self._answer.outcome = "answered"

    def _take(self, chunk: Chunk, now: float) -> bool:
        """False: nothing that counts comes after it."""
        if chunk.error:
            self._break_off(chunk.error)
            return False
        if chunk.has_choices:
            self._stamp(now)
            self._hear(chunk, now)
        if tokens := chunk.tokens:
            answer = self._answer
            answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens = tokens.prompt, tokens.cached, tokens.completion
        return True

    def _stamp(self, now: float) -> None:
        answer = self._answer
        if answer.last_chunk_at is None:
            answer.first_chunk_at = now
        else:
            answer.gaps.append(now - answer.last_chunk_at)
        answer.last_chunk_at = now

    def _hear(self, chunk: Chunk, now: float) -> None:
        answer = self._answer
        if not chunk.text and not chunk.has_call:
            return
        if answer.first_word_at is None:
            answer.first_word_at = now
            if self._drop_after_s is not None:
                self._patience = gevent.Timeout.start_new(self._drop_after_s, _Dropped())
        if chunk.text:
            answer.pieces.append(chunk.text)
        if answer.first_sentence_at is None:
            self._speech.hear([TextDelta(0, chunk.text)] + ([ToolCallDelta(0, 0, "")] if chunk.has_call else []))
            answer.first_sentence_at = self._speech.first_sentence_s

    def _break_off(self, error: Any) -> None:
        """vLLM refuses some turns after it has answered 200; what comes after a word is a failure."""
        code = error.get("code") if isinstance(error, dict) else None
        is_refusal = self._answer.first_word_at is None and code in _REFUSED
        self._answer.outcome = "refused" if is_refusal else "failed"
        self._answer.reason = f"{code}" if is_refusal else f"error event {word_of(code)}".strip()
