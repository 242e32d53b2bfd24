"""What Kubernetes and Prometheus ask: /livez, /readyz, /metrics. No key: they cost nothing and tell nothing private."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from service.lifecycle.state import State
from service.telemetry.exposition import CONTENT_TYPE
from service.turn import Services


def probe_router(services: Services) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.api_route("/livez", methods=["GET", "HEAD"])
    async def livez() -> Response:
        """200 while the process can do its work or is on the way to it; 503 once the engine has died."""
        is_alive = services.lifecycle.state is not State.FAILED
        return PlainTextResponse(services.lifecycle.state, status_code=200 if is_alive else 503)

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def readyz() -> Response:
        """200 from when warm-up turns were answered and system prompts computed, until the service drains; else 503."""
        return PlainTextResponse(services.lifecycle.state, status_code=200 if services.lifecycle.is_ready else 503)

    async def metrics() -> Response:
        # On a thread: thousands of series must not hold up a token.
        loop, exposition = asyncio.get_running_loop(), services.exposition
        body = await loop.run_in_executor(exposition.executor, exposition.render)
        return Response(body, headers={"content-type": CONTENT_TYPE})

    if services.settings.metrics_on_main_port:
        router.add_api_route("/metrics", metrics, methods=["GET", "HEAD"])

    return router
