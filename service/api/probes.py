"""The endpoints for Kubernetes and Prometheus: /livez, /readyz and /metrics. They need no key and return nothing private."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from service.lifecycle.state import State
from service.telemetry.exposition import CONTENT_TYPE
from service.turn import Services


def probe_router(services: Services) -> APIRouter:
    """Return the routes of the probes, and of /metrics if the main port serves it."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/livez", methods=["GET", "HEAD"])
    async def livez() -> Response:
        """Return 200 while the process is starting, ready or draining, and 503 once the engine has died."""
        is_alive = services.lifecycle.state is not State.FAILED
        return PlainTextResponse(services.lifecycle.state, status_code=200 if is_alive else 503)

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def readyz() -> Response:
        """Return 200 after the warm-up turns and the system prompts, until the service drains; else 503."""
        return PlainTextResponse(services.lifecycle.state, status_code=200 if services.lifecycle.is_ready else 503)

    async def metrics() -> Response:
        # On a thread, as rendering thousands of series would delay tokens.
        loop, exposition = asyncio.get_running_loop(), services.exposition
        body = await loop.run_in_executor(exposition.executor, exposition.render)
        return Response(body, headers={"content-type": CONTENT_TYPE})

    if services.settings.metrics_on_main_port:
        router.add_api_route("/metrics", metrics, methods=["GET", "HEAD"])

    return router
