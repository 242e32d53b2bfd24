"""The error middleware: gives every request an ID and turns every exception into an answer in OpenAI's error shape.

While the service is not ready, each answer closes its connection, so that a proxy sends its next turn to another replica.
An answer that has already begun keeps its connection open: a next request may already be on its way on that connection.
"""

import re
from collections.abc import Callable

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ClientGone, EngineFailed, TurnError
from service.ids import new_id
from service.streaming.encode import JSON
from service.telemetry.stacks import places_of

_log = structlog.get_logger("firstword.api")
# Request IDs that are safe to send back in a header and to write to the log.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class ErrorMiddleware:
    """ASGI middleware. `clients_may_retry` leaves out the header `x-should-retry` of a 503."""

    def __init__(self, app: ASGIApp, *, is_ready: Callable[[], bool], clients_may_retry: bool) -> None:
        self._app = app
        self._is_ready = is_ready
        self._clients_may_retry = clients_may_retry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        structlog.contextvars.bind_contextvars(request_id=request_id)  # Only in this request's task.
        id_header = (b"x-request-id", request_id.encode())
        has_started = False

        async def pass_on(message: Message) -> None:
            nonlocal has_started
            if not has_started:
                has_started = True
                closing = [] if self._is_ready() else [(b"connection", b"close")]
                message["headers"] = [*message["headers"], id_header, *closing]
            await send(message)

        try:
            await self._app(scope, receive, pass_on)
        except ClientGone:
            return None
        except Exception as error:
            _log_cause(error)
            if not has_started:
                answer = error if isinstance(error, TurnError) else EngineFailed()
                if self._clients_may_retry and answer.status == 503:
                    answer.headers.pop("x-should-retry", None)
                await _send_error(pass_on, answer)


def _request_id(given: str | None) -> str:
    """Return the caller's own ID if it is valid, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else f"req_{new_id()}"


async def _send_error(send: Send, error: TurnError) -> None:
    body = orjson.dumps(error.as_openai())
    headers = {"Content-Type": JSON, "Content-Length": str(len(body)), **error.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _log_cause(error: BaseException) -> None:
    """Log the class and the code location of an internal error. It leaves out the message, which can quote a conversation."""
    if isinstance(error, TurnError) and error.status != EngineFailed.status:
        return
    cause = error.__cause__ or error
    _log.error("failed", error=type(error).__name__, cause=type(cause).__name__, at=places_of(cause))
