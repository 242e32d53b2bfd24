"""One turn: its request, its stream, and the arrival time of each piece. Times are in seconds on the monotonic clock."""

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
"""Code of a 503 of ours that is not a refusal: the turn ran, and the service stopped before the turn ended."""


@dataclass(slots=True)
class Answer:
    """The answer to a turn, filled in as the stream arrives. A time of None: the event did not occur."""

    sent_at: float = 0.0
    """Time just before the connection is opened."""
    first_word_at: float | None = None
    """Time of the first content or tool-call piece that is not empty."""
    first_chunk_at: float | None = None
    """Time of the first chunk with `choices`, even an empty one. `vllm bench serve` measures its TTFT here."""
    first_sentence_at: float | None = None
    last_chunk_at: float | None = None
    """Time of the last chunk with `choices`."""
    ended_at: float | None = None
    gaps: list[float] = field(default_factory=list)
    """Seconds from each chunk with `choices` to the next: the ITL of `vllm bench serve`."""
    pieces: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    """Completion tokens from `usage`. 0 if no usage came, for example because the stream was dropped."""
    outcome: Outcome = "cut"
    """Outcome of the turn. `cut`: the run ended before the turn did."""
    reason: str = ""
    """Reason of a refusal or failure: status, code and the server's refusal header. It never contains a message."""


class _Dropped(BaseException):
    """The caller drops the stream. It is a BaseException so that no library catches it."""


class _TooLong(BaseException):
    """The turn took longer than its timeout."""


def ask(line: Line, body: dict[str, Any], answer: Answer, *, drop_after_s: float | None = None, timeout_s: float = 60) -> None:
    """Send a turn and read its answer to the end, or drop the stream `drop_after_s` seconds after its first token.

    Failures are stored in `answer`. Raises faults of the load test itself, after storing them there too.
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
        _fail(answer, f"not finished within {timeout_s:g} s" if answer.first_word_at else f"no token within {timeout_s:g} s")
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
    """Reads server-sent events line by line as they arrive."""

    def __init__(self, answer: Answer, drop_after_s: float | None) -> None:
        self._answer = answer
        self._drop_after_s = drop_after_s
        self._patience: gevent.Timeout | None = None
        # The service's own timer, so that client and server find the same end of the first sentence.
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
        self._speech.observe([Finished(Usage(0, 0, 0))])
        self._answer.first_sentence_at = self._speech.first_sentence_s
        self._conclude(is_done=is_done)

    def close(self) -> None:
        if self._patience:
            self._patience.close()

    def _conclude(self, *, is_done: bool) -> None:
        if not is_done:
            _fail(self._answer, "no [DONE]")
        elif self._answer.first_word_at is None:
            _fail(self._answer, "empty answer")
        else:
            self._answer.outcome = "answered"

    def _take(self, chunk: Chunk, now: float) -> bool:
        """Process a chunk. False: the stream ends with it."""
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
            self._speech.observe([TextDelta(0, chunk.text)] + ([ToolCallDelta(0, 0, "")] if chunk.has_call else []))
            answer.first_sentence_at = self._speech.first_sentence_s

    def _break_off(self, error: Any) -> None:
        """Process an error event. Before the first token it can be a refusal: vLLM refuses some turns after status 200."""
        code = error.get("code") if isinstance(error, dict) else None
        is_refusal = self._answer.first_word_at is None and code in _REFUSED
        self._answer.outcome = "refused" if is_refusal else "failed"
        self._answer.reason = f"{code}" if is_refusal else f"error event {word_of(code)}".strip()
