"""The paths a voice platform calls: chat/completions and models, with and without /v1."""

import secrets
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from service.api.wire import read_body, until_disconnect
from service.domain import Caller
from service.encode import JSON
from service.errors import TurnError
from service.schema.request import ChatRequest
from service.schema.response import ChatCompletion, ChatCompletionChunk, ErrorBody, Model, ModelList
from service.turn import Reply, Rooms, take_turn


class TurnResponse(Response):
    """Runs a turn for its whole life, so that one scope holds everything it uses, until the last byte or the hang-up."""

    def __init__(self, rooms: Rooms, caller: Caller, body: bytes, *, arrived_s: float) -> None:
        self._rooms = rooms
        self._caller = caller
        self._body = body
        self._arrived_s = arrived_s
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turn_id = secrets.token_hex(12)
        turn = take_turn(self._rooms, self._caller, turn_id, self._body, arrived_s=self._arrived_s)
        async with until_disconnect(receive), turn as reply:
            # HTTP/1.0 knows no chunks: such a client gets the same bytes in one piece.
            is_whole = reply.media_type == JSON or scope["http_version"] == "1.0"
            await (_send_whole if is_whole else _send_stream)(send, reply)


async def _send_whole(send: Send, reply: Reply) -> None:
    body = b"".join([chunk async for chunk in reply.chunks])
    await send(_start(reply, (b"content-length", str(len(body)).encode())))
    await send({"type": "http.response.body", "body": body})


async def _send_stream(send: Send, reply: Reply) -> None:
    first = await anext(reply.chunks)  # Before the headers: until a first word exists, an error still gets its status.
    # A proxy that collects a stream takes the first word's earliness away.
    await send(_start(reply, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")))
    await send({"type": "http.response.body", "body": first, "more_body": True})
    try:
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except TurnError:
        await send({"type": "http.response.body", "body": b""})  # The error event is out; end the stream properly.
        raise
    await send({"type": "http.response.body", "body": b""})


def _start(reply: Reply, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", reply.media_type.encode()), *headers],
    }


def chat_router(rooms: Rooms) -> APIRouter:
    router = APIRouter()
    limits = rooms.settings

    async def chat_completions(request: Request) -> Response:
        """Answer one turn of a conversation, whole or as a stream of server-sent events."""
        arrived_s = time.monotonic()
        caller = rooms.keys.identify(request.headers.raw)
        body = await read_body(request.headers, request.receive, limit=limits.max_body_bytes, timeout_s=limits.body_timeout_s)
        return TurnResponse(rooms, caller, body, arrived_s=arrived_s)

    async def list_models(request: Request) -> ModelList:
        """The models that `model` may name."""
        rooms.keys.identify(request.headers.raw)
        card = rooms.engine.model
        return ModelList(data=[Model(id=card.name, created=card.created, max_model_len=card.max_model_len)])

    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody} for status in (400, 401, 404, 405, 408, 413, 415, 500, 503)
    }
    for prefix in ("/v1", ""):
        name = prefix.strip("/") or "bare"
        router.add_api_route(
            f"{prefix}/chat/completions",
            chat_completions,
            methods=["POST"],
            operation_id=f"chat_completions_{name}",
            responses={200: _CHAT_200, **errors},
            openapi_extra=_CHAT_REQUEST,
        )
        router.add_api_route(
            f"{prefix}/models", list_models, methods=["GET"], operation_id=f"models_{name}", responses={401: errors[401]}
        )
    return router


_CHAT_REQUEST = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/ChatRequest"}}}},
    "security": [{"bearer": []}, {"x-api-key": []}],
}
_CHAT_200 = {
    "description": "The answer; with `stream: true`, chunks as server-sent events, ended by `data: [DONE]`.",
    "content": {
        JSON: {"schema": {"$ref": "#/components/schemas/ChatCompletion"}},
        "text/event-stream": {"schema": {"$ref": "#/components/schemas/ChatCompletionChunk"}},
    },
}
# Read and written by hand, so FastAPI does not see them: `app` puts them into the OpenAPI document.
OPENAPI_MODELS = (ChatRequest, ChatCompletion, ChatCompletionChunk)
