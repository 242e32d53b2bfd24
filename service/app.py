"""`create_app(settings, engine, keys)` builds every object and connects them. It uses no globals and reads no environment."""

from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from service import __version__
from service.admission import AdmissionController
from service.api.access_log import AccessLog
from service.api.error_middleware import ErrorMiddleware
from service.api.probes import probe_router
from service.api.routes import OPENAPI_MODELS, ChatFastPath, chat_router
from service.engine.model_registry import ModelRegistry
from service.engine.protocol import Engine
from service.errors import InvalidRequest, MethodNotAllowed, UnknownPath
from service.lifecycle.adapters import Adapters
from service.lifecycle.prefix_warmup import PrefixWarmup
from service.lifecycle.state import Lifecycle, State
from service.settings import Settings
from service.streaming.frames import Frames
from service.telemetry.exposition import Exposition
from service.telemetry.step_times import StepTimes
from service.telemetry.telemetry import Telemetry
from service.telemetry.traces import Traces
from service.tenants.auth import KeyRing
from service.tenants.rate_limits import RateLimits
from service.turn import Services


def create_app(settings: Settings, engine: Engine, keys: KeyRing, traces: Traces | None = None) -> FastAPI:
    """Build the ASGI application around an engine that has not started yet.

    `app.state.services` holds the objects that it is made of. `serve` starts the engine.
    """
    model_registry = ModelRegistry(engine.model, settings.model_aliases)
    telemetry = Telemetry(
        model=engine.model.name,
        ttft_budget_s=settings.ttft_budget_s,
        max_tenants=settings.metrics_max_tenants,
        traces=traces,
    )
    engine.watch_steps(StepTimes(telemetry.metrics.engine_step).on_step)
    admission = AdmissionController(max_turns=settings.max_turns, model=engine.model, tpot_bound_s=settings.tpot_bound_s)
    engine.watch_steps(admission.observe)
    adapters = Adapters(engine, model_registry, telemetry, settings.adapters)
    prefix_warmup = PrefixWarmup(engine, admission, model_registry, telemetry, settings.system_prompts, keys.callers)
    engine.watch_steps(prefix_warmup.on_step)
    frames = Frames(longest_s=settings.frame_window_s)
    engine.watch_steps(frames.on_step)
    lifecycle = Lifecycle(
        engine,
        admission,
        adapters,
        prefix_warmup,
        warmup_prompts=settings.warmup_prompts,
        lameduck_s=settings.lameduck_s,
        drain_timeout_s=settings.drain_timeout_s,
    )
    for tenant in keys.tenants:
        telemetry.add_tenant(tenant)
    services = Services(
        settings=settings,
        keys=keys,
        lifecycle=lifecycle,
        model_registry=model_registry,
        adapters=adapters,
        limits=RateLimits(),
        admission=admission,
        prefix_warmup=prefix_warmup,
        frames=frames,
        engine=engine,
        telemetry=telemetry,
        exposition=Exposition(telemetry.metrics.registry),
    )
    _connect_gauges(services)

    # The /docs pages are off: they load scripts from other sites. The OpenAPI document needs no key.
    app = FastAPI(title="Firstword", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    turns = chat_router(services)
    app.include_router(turns)
    app.include_router(probe_router(services))
    app.add_middleware(ChatFastPath, router=turns)
    app.add_middleware(ErrorMiddleware, is_ready=lambda: lifecycle.is_ready, clients_may_retry=settings.clients_may_retry)
    app.add_middleware(AccessLog, telemetry=telemetry)
    app.add_exception_handler(HTTPException, _as_turn_error)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app


def _connect_gauges(services: Services) -> None:
    """Connect the gauges to the values that they show. A scrape reads the values, on the scraper's thread."""
    metrics, admission, lifecycle, card = (
        services.telemetry.metrics,
        services.admission,
        services.lifecycle,
        services.engine.model,
    )
    metrics.turns_running.set_function(lambda: admission.running)
    metrics.turns_waiting.set_function(lambda: admission.waiting)
    metrics.turns_limit.set_function(lambda: admission.forecast.most_turns)
    metrics.tpot_bound.set(services.settings.tpot_bound_s)
    metrics.engine_silent.set_function(admission.engine_silent_s)
    metrics.ready.set_function(lambda: lifecycle.is_ready)
    for state in State:
        metrics.state.labels(state).set_function(partial(_is_state, lifecycle, state))
    metrics.drain_deadline.set_function(lambda: lifecycle.drain_deadline_timestamp_s)
    metrics.adapters.set_function(lambda: len(services.model_registry.adapters))
    metrics.unproven_format.set(bool(card.unproven))
    metrics.describe_build(
        version=__version__, engine=card.engine, model=card.name, revision=card.revision, fingerprint=card.fingerprint
    )


def _is_state(lifecycle: Lifecycle, state: State) -> bool:
    return lifecycle.state is state


async def _as_turn_error(request: Request, error: Exception) -> Any:
    """Raise the router's own 404 and 405 as a `TurnError`, which `ErrorMiddleware` answers in OpenAI's error shape."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        raise UnknownPath(request.method, path)
    if error.status_code == 405:
        raise MethodNotAllowed(request.method, path, (error.headers or {}).get("Allow", ""))
    raise InvalidRequest("The request cannot be read. Send a valid HTTP request.")


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, models = models_json_schema(
            [(model, "validation") for model in OPENAPI_MODELS], ref_template="#/components/schemas/{model}"
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(models["$defs"])
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        app.openapi_schema = document
    return app.openapi_schema
