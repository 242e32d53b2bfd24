"""The API's routes: chat/completions and models, with and without /v1."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission.ttft_budget import BUDGET_HEADER
from service.api.request_body import read_body, until_disconnect
from service.domain import Arrival, Caller, Stage
from service.errors import ClientGone, TurnError
from service.ids import new_id
from service.schema.request import ChatRequest
from service.schema.response import ChatCompletion, ChatCompletionChunk, ErrorBody, Model, ModelList
from service.streaming.encode import JSON
from service.streaming.frames import FRAMES, FRAMES_HEADER
from service.turn import Reply, Services, take_turn

IS_TURN = "firstword.is_turn"
"""Key in the scope of a request that is a turn. A turn has its own log line and metrics."""
TRACE_HEADERS = ("traceparent", "tracestate")


class TurnResponse(Response):
    """Runs a whole turn within one scope, which ends with the last byte of the answer or when the caller hangs up."""

    def __init__(self, services: Services, caller: Caller, arrival: Arrival) -> None:
        self._services = services
        self._caller = caller
        self._arrival = arrival
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[IS_TURN] = True
        turn = take_turn(self._services, self._caller, new_id(), self._arrival)
        async with until_disconnect(receive, self._arrival), turn as reply:
            # HTTP/1.0 has no chunked encoding, so such a client gets the same bytes as one body.
            is_whole = reply.media_type == JSON or scope["http_version"] == "1.0"
            await (_send_whole(send, reply) if is_whole else _send_stream(send, reply))


async def _send_whole(send: Send, reply: Reply) -> None:
    body = b"".join([chunk async for chunk in reply.chunks])
    await _send(send, _start(reply, (b"content-length", str(len(body)).encode())))
    await _send(send, _body(body))


async def _send_stream(send: Send, reply: Reply) -> None:
    first = await anext(reply.chunks)  # Before the headers, so that an error before the first chunk still gets its own status.
    # The headers keep proxies from buffering the stream, which would delay the first token.
    await _send(send, _start(reply, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")))
    await _send(send, _body(first, is_last=False))
    try:
        async for chunk in reply.chunks:
            await _send(send, _body(chunk, is_last=False))
    except TurnError:
        await _send(send, _body(b""))  # The error event has been sent; end the stream properly.
        raise
    await _send(send, _body(b""))


async def _send(send: Send, message: Message) -> None:
    try:
        await send(message)
    except (RuntimeError, OSError) as error:  # Behind a pipelined request, only a write shows that the transport is closed.
        raise ClientGone from error


def _body(body: bytes, *, is_last: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": not is_last}


def _start(reply: Reply, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", reply.media_type.encode()),
            *headers,
            *((name.encode(), value.encode()) for name, value in reply.headers.items()),
        ],
    }


class ChatFastPath:
    """The innermost ASGI middleware. It calls the chat endpoint directly, without FastAPI's and Starlette's routing.

    The endpoint reads the request and makes the response itself, so it needs no path matching, no dependencies and no cleanup.
    """

    def __init__(self, app: ASGIApp, *, router: APIRouter) -> None:
        self._app = app
        self._routes = {route.path: route for route in router.routes if isinstance(route, APIRoute) and "POST" in route.methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            return await self._app(scope, receive, send)
        scope["route"] = route
        response: Response = await route.endpoint(Request(scope, receive))
        return await response(scope, receive, send)


def chat_router(services: Services) -> APIRouter:
    """Return the routes of chat/completions and models."""
    router = APIRouter()
    limits = services.settings

    async def chat_completions(request: Request) -> Response:
        """Answer one turn of a conversation, whole or as a stream of server-sent events."""
        arrived_s = time.monotonic()
        caller = services.keys.identify(request.headers.raw)
        authenticated_s = time.monotonic()
        body = await read_body(request.headers, request.receive, limit=limits.max_body_bytes, timeout_s=limits.body_timeout_s)
        stages = Stage("auth", arrived_s, authenticated_s), Stage("read", authenticated_s, time.monotonic())
        # `tracestate` may be split over several header fields (W3C Trace Context, 3.3.1).
        trace_headers = {name: ",".join(values) for name in TRACE_HEADERS if (values := request.headers.getlist(name))}
        asked = request.headers.get(BUDGET_HEADER), request.headers.get(FRAMES_HEADER)
        return TurnResponse(services, caller, Arrival(body, arrived_s, stages, trace_headers, *asked))

    async def list_models(request: Request) -> ModelList:
        """List the models that `model` may name."""
        services.keys.identify(request.headers.raw)
        card, model_registry = services.model_registry.card, services.model_registry
        named = [(name, None) for name in model_registry.base_names] + [
            (adapter.name, card.name) for adapter in model_registry.adapters
        ]
        return ModelList(
            data=[Model(id=name, parent=parent, created=card.created, max_model_len=card.max_model_len) for name, parent in named]
        )

    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody} for status in (400, 401, 404, 405, 408, 413, 415, 429, 500, 503)
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
            f"{prefix}/models",
            list_models,
            methods=["GET"],
            operation_id=f"models_{name}",
            responses={401: errors[401]},
            openapi_extra=_SECURED,
        )
    return router


_SECURED: dict[str, Any] = {"security": [{"bearer": []}, {"x-api-key": []}]}
_CHAT_REQUEST = {
    "parameters": [
        {
            "in": "header",
            "name": BUDGET_HEADER,
            "description": "TTFT budget of this turn: seconds within which its first token must come.",
            "schema": {"type": "number", "exclusiveMinimum": 0},
        },
        {
            "in": "header",
            "name": FRAMES_HEADER,
            "description": "`token`: a stream has a frame for each token. `adaptive` (the default): fewer frames under load.",
            "schema": {"type": "string", "enum": list(FRAMES)},
        },
    ],
    "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/ChatRequest"}}}},
    **_SECURED,
}
_CHAT_200 = {
    "description": "The answer; with `stream: true`, chunks as server-sent events, ended by `data: [DONE]`.",
    "content": {
        JSON: {"schema": {"$ref": "#/components/schemas/ChatCompletion"}},
        "text/event-stream": {"schema": {"$ref": "#/components/schemas/ChatCompletionChunk"}},
    },
}
# Our own code parses and writes these models, so FastAPI does not know them. `app` adds them to the OpenAPI document.
OPENAPI_MODELS = (ChatRequest, ChatCompletion, ChatCompletionChunk)
