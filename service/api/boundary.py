"""The outermost room: whatever is raised below becomes OpenAI's error shape, once, here. Pure ASGI: it costs a token nothing."""

import traceback

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.wire import ClientGone
from service.encode import JSON
from service.errors import EngineFailed, TurnError

_log = structlog.get_logger("firstword.api")


class ErrorBoundary:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        has_started = False

        async def watch(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientGone:
            return None
        except TurnError as error:
            _log_cause(error)
            if not has_started:
                await send_error(send, error)
        except Exception as error:
            _log_cause(error)
            if not has_started:
                await send_error(send, EngineFailed())


async def send_error(send: Send, error: TurnError) -> None:
    """Answer with the error's status, headers and OpenAI body."""
    body = orjson.dumps(error.as_openai())
    headers = {"Content-Type": JSON, "Content-Length": str(len(body)), **error.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _log_cause(error: BaseException) -> None:
    """What broke and where, for errors that are ours. Never the words of an exception: they can quote a conversation."""
    if isinstance(error, TurnError) and error.status != 500:
        return
    cause = error.__cause__ or error
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)]
    _log.error("failed", error=type(error).__name__, cause=type(cause).__name__, at=frames[-6:])
