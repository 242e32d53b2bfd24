"""Every error a caller can see, and the one place that knows its HTTP status and OpenAI error code.

    FirstwordError
    ├── ClientGone                    nobody to answer any more
    ├── StartError                    the service cannot start: wrong setting, model or engine argument
    ├── AdapterRefused                a LoRA adapter that is not served; the service goes on without it
    └── TurnError                     an answer in OpenAI's error shape
        ├── InvalidRequest            400
        │   └── PromptTooLong         400 context_length_exceeded
        ├── NotAuthenticated          401 invalid_api_key
        ├── ModelNotFound             404 model_not_found
        ├── UnknownPath               404 unknown_url
        ├── MethodNotAllowed          405 method_not_allowed
        ├── BodyTooSlow               408 request_timeout
        ├── BodyTooLarge              413 request_too_large
        ├── UnsupportedMediaType      415 unsupported_media_type
        ├── RateLimited               429 rate_limit_exceeded
        ├── EngineFailed              500 engine_error
        ├── Overloaded                503 overloaded
        ├── NotReady                  503 not_ready
        └── CutOff                    503 cut_off

A message names the field, the limit and the value given. It never holds a key or what a message says.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar, Literal


class FirstwordError(Exception):
    """The root of ours."""


class StartError(FirstwordError):
    """The service cannot start; the message says what to change."""


class AdapterRefused(FirstwordError):
    """This adapter is not served; the reason names the tensor or file, what was expected and what was found."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The adapter {name!r} is refused: {reason}.")


class ClientGone(FirstwordError):
    """The client closed the connection: there is nobody to answer."""


class TurnError(FirstwordError):
    """A turn that cannot be answered: an HTTP status and the fields of OpenAI's error object."""

    status: ClassVar[int] = 500
    type: str = "invalid_request_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers: dict[str, str] = {}

    def as_openai(self) -> dict[str, dict[str, str | None]]:
        """The body: `{"error": {message, type, param, code}}`, as in OpenAI's API reference."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(TurnError):
    status = 400

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class PromptTooLong(InvalidRequest):
    """`given` and `limit` in tokens; `is_lower_bound` where only the least possible length is known."""

    def __init__(self, *, limit: int, given: int, is_lower_bound: bool = False) -> None:
        given_text = f"at least {given}" if is_lower_bound else str(given)
        super().__init__(
            f"This model's context holds {limit} tokens, prompt and answer together; your messages come to "
            f"{given_text} tokens. Shorten the messages.",
            param="messages",
            code="context_length_exceeded",
        )


class NotAuthenticated(TurnError):
    status = 401
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers["WWW-Authenticate"] = "Bearer"


class ModelNotFound(TurnError):
    status = 404
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model {_short(model)!r} does not exist here; GET /v1/models lists what does.", param="model")


class UnknownPath(TurnError):
    status = 404
    code = "unknown_url"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Unknown request URL: {method} {_short(path)}. Firstword serves POST /v1/chat/completions.")


class MethodNotAllowed(TurnError):
    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{_short(path)} does not take {method}; it takes {allowed}.")
        self.headers["Allow"] = allowed


class BodyTooSlow(TurnError):
    status = 408
    code = "request_timeout"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"The request body did not arrive within {limit_s:g} s.")
        self.headers["Connection"] = "close"


class BodyTooLarge(TurnError):
    """`given` in bytes; None where the body was cut off while it still came."""

    status = 413
    code = "request_too_large"

    def __init__(self, *, limit: int, given: int | None) -> None:
        given_text = f"{given} bytes" if given is not None else "more"
        super().__init__(f"The request body may have {limit} bytes; this one has {given_text}.")


class UnsupportedMediaType(TurnError):
    status = 415
    code = "unsupported_media_type"

    def __init__(self, given: str) -> None:
        shown = repr(_short(given)) if given else "none"
        super().__init__(f"Content-Type must be application/json; given: {shown}.")


class RateLimited(TurnError):
    """One of the tenant's own limits; `reason` is which. `retry_after_s` None: never as it is."""

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, reason: Literal["turns", "requests", "tokens"], retry_after_s: int | None) -> None:
        super().__init__(message)
        self.reason = reason
        self.type = "tokens" if reason == "tokens" else "requests"  # What it counts, in OpenAI's words.
        # Without advice to the contrary an SDK would send what can never fit again and again.
        self.headers |= {"x-should-retry": "false"} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


class EngineFailed(TurnError):
    """The engine broke. The caller learns no more than that; the log has the class of the cause."""

    status = 500
    type = "server_error"
    code = "engine_error"

    def __init__(self) -> None:
        super().__init__("The model engine failed while answering this turn.")


class Overloaded(TurnError):
    """No room for one more turn. Cheap to say, safe to try elsewhere: nothing was generated. `reason`: a word of the metrics'."""

    status = 503
    type = "server_error"
    code = "overloaded"

    def __init__(self, words: str, *, reason: str = "engine", retry_after_s: int = 1) -> None:
        super().__init__(f"No room: {words}. Try another replica, or again later.")
        self.reason = reason
        self.headers |= {"Retry-After": str(retry_after_s), "x-should-retry": "false", "x-firstword-refused": "capacity"}


class NotReady(TurnError):
    """The engine is still starting, or the service is draining."""

    status = 503
    type = "server_error"
    code = "not_ready"
    reason = "not_ready"

    def __init__(self, state: str) -> None:
        super().__init__(f"The service is {state}; try another replica, or again later.")
        self.headers |= {"Retry-After": "5", "x-should-retry": "false"}


class CutOff(TurnError):
    """The service stops, and this turn did not finish in the time that running turns are given for it."""

    status = 503
    type = "server_error"
    code = "cut_off"

    def __init__(self, *, limit_s: float) -> None:
        super().__init__(f"The service is stopping, and this turn was not finished within {limit_s:g} s. Try another replica.")
        self.headers |= {"Retry-After": "5", "x-should-retry": "false"}


def _short(text: str) -> str:
    """A caller's own words inside an error, kept to one short printable piece."""
    printable = "".join(char if char.isprintable() else "?" for char in text[:80])
    return printable + ("…" if len(text) > 80 else "")


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """`; did you mean X?` with the nearest known name, or a full stop where none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else "."
