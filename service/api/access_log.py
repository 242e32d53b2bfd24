"""Logs a line for each request that is neither a turn nor a probe. Turns log their own line; probes are too frequent."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.routes import IS_TURN
from service.telemetry.telemetry import Telemetry

_log = structlog.get_logger("firstword.access")
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})


class AccessLog:
    """ASGI middleware around everything else. It logs only the route of a request, as a path can contain private data."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.monotonic()
        status = 0

        async def pass_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, pass_on)
        route = getattr(scope.get("route"), "path", "unknown")
        if status and IS_TURN not in scope and route not in _PROBES:
            duration_s = round(time.monotonic() - began_s, 4)
            self._telemetry.rejected(status)
            _log.info("request", method=_method(scope), route=route, status=status, duration_s=duration_s)


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
