"""Every error that a caller can see. Only this module knows their HTTP statuses and OpenAI error codes.

    FirstwordError
    ├── ClientGone                    the client closed the connection, so no answer is sent
    ├── StartError                    a command cannot run: wrong setting, model, file or engine argument
    ├── AdapterRefused                a LoRA adapter cannot be served; the service runs without it
    └── TurnError                     a turn fails with an answer in OpenAI's error shape
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
        ├── NothingSaid               500 model_said_nothing
        ├── Overloaded                503 overloaded
        ├── NotReady                  503 not_ready
        └── CutOff                    503 cut_off

A message names the field, the limit and the value given. It never contains an API key or the content of a conversation.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar, Literal


class FirstwordError(Exception):
    """The base class of the project's errors."""


class StartError(FirstwordError):
    """A command cannot run. The message says what to change."""


class AdapterRefused(FirstwordError):
    """A LoRA adapter cannot be served. The reason names the tensor or file, the expected value and the value found."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The adapter {name!r} is refused: {reason}.")


class ClientGone(FirstwordError):
    """The client closed the connection, so no answer is sent."""


class TurnError(FirstwordError):
    """A turn failed. Holds an HTTP status and the fields of OpenAI's error object."""

    status: ClassVar[int] = 500
    type: str = "invalid_request_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers: dict[str, str] = {}

    def as_openai(self) -> dict[str, dict[str, str | None]]:
        """Return the response body `{"error": {message, type, param, code}}`, as in OpenAI's API reference."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(TurnError):
    status = 400

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class PromptTooLong(InvalidRequest):
    """The prompt has `given` tokens; the context length is `limit` tokens. `is_lower_bound` means that `given` is a minimum."""

    def __init__(self, *, limit: int, given: int, is_lower_bound: bool = False) -> None:
        given_text = f"at least {given}" if is_lower_bound else str(given)
        super().__init__(
            f"The context length of this model is {limit} tokens, for prompt and answer together; your messages have "
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
        super().__init__(f"The model {_short(model)!r} does not exist. GET /v1/models lists the models.", param="model")


class UnknownPath(TurnError):
    status = 404
    code = "unknown_url"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Unknown request URL: {method} {_short(path)}. Firstword serves POST /v1/chat/completions.")


class MethodNotAllowed(TurnError):
    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{_short(path)} does not accept the method {method}. Use {allowed}.")
        self.headers["Allow"] = allowed


class BodyTooSlow(TurnError):
    status = 408
    code = "request_timeout"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"The request body did not arrive within {limit_s:g} s. Send the request again.")
        self.headers["Connection"] = "close"


class BodyTooLarge(TurnError):
    """The body has more than `limit` bytes. `given` is its size, or None if reading stopped at the limit."""

    status = 413
    code = "request_too_large"

    def __init__(self, *, limit: int, given: int | None) -> None:
        given_text = f"{given} bytes" if given is not None else "more"
        super().__init__(f"The request body may have at most {limit} bytes; this one has {given_text}. Shorten the messages.")


class UnsupportedMediaType(TurnError):
    status = 415
    code = "unsupported_media_type"

    def __init__(self, given: str) -> None:
        shown = repr(_short(given)) if given else "none"
        super().__init__(f"Content-Type must be application/json; given: {shown}.")


class RateLimited(TurnError):
    """The turn is over one of the tenant's own limits, which `reason` names.

    `retry_after_s` is when the turn will fit, in seconds. None means that it can never fit.
    """

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, reason: Literal["turns", "requests", "tokens"], retry_after_s: int | None) -> None:
        super().__init__(message)
        self.reason = reason
        self.type = "tokens" if reason == "tokens" else "requests"  # OpenAI names the unit that the limit counts.
        # Without this header an SDK would retry a turn that can never fit.
        self.headers |= {"x-should-retry": "false"} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


class EngineFailed(TurnError):
    """The engine failed. The caller gets no details; the log has the class of the cause."""

    status = 500
    type = "server_error"
    code = "engine_error"

    def __init__(self) -> None:
        super().__init__("The model engine failed while it answered this turn. Send the request again.")


class NothingSaid(TurnError):
    """The model ended its answer with nothing to pass on: only a thought, or only tool calls that had to be dropped."""

    status = 500
    type = "server_error"
    code = "model_said_nothing"

    def __init__(self) -> None:
        super().__init__(
            "The model's answer has neither text nor a tool call that can be used: it was only a thought, or only calls that are "
            "malformed or name no function of tools. Send the request again."
        )


class Overloaded(TurnError):
    """The service has no capacity for this turn. Nothing was generated, so the caller can safely try another replica.

    `reason` is a value of the label `reason` of `firstword_refusals_total`.
    """

    status = 503
    type = "server_error"
    code = "overloaded"

    def __init__(self, words: str, *, reason: str = "engine", retry_after_s: int = 1) -> None:
        super().__init__(f"The service is at capacity: {words}. Try another replica, or try again later.")
        self.reason = reason
        self.headers |= {"Retry-After": str(retry_after_s), "x-should-retry": "false", "x-firstword-refused": "capacity"}


class NotReady(TurnError):
    """The service is starting or draining, or its engine has failed."""

    status = 503
    type = "server_error"
    code = "not_ready"
    reason = "not_ready"

    def __init__(self, state: str) -> None:
        super().__init__(f"The service is {state}. Try another replica, or try again later.")
        self.headers |= {"Retry-After": "5", "x-should-retry": "false"}


class CutOff(TurnError):
    """The service is stopping, and this turn did not finish before the drain timeout."""

    status = 503
    type = "server_error"
    code = "cut_off"

    def __init__(self, *, limit_s: float) -> None:
        super().__init__(f"The service is stopping, and this turn did not finish within {limit_s:g} s. Try another replica.")
        self.headers |= {"Retry-After": "5", "x-should-retry": "false"}


def _short(text: str) -> str:
    """Return a caller's own text in a form that is safe in an error message: printable, at most 80 characters."""
    printable = "".join(char if char.isprintable() else "?" for char in text[:80])
    return printable + ("…" if len(text) > 80 else "")


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return `; did you mean X?` with the most similar known name, or a full stop if no name is similar."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else "."
