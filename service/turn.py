"""The path of one turn, from an authenticated request to its answer. Streamed and other answers take the same path.

`take_turn` runs these steps in this order:

1. `Lifecycle.turn` checks that the service accepts turns.
2. `parse_request` checks the body against the API's schema and returns a `ChatRequest`.
3. `normalize` finds the model or adapter, adapts the messages to the chat template, and returns a `ChatJob`.
4. `RateLimits.hold` checks the tenant's own limits, charges an estimate and yields a `Charge`.
5. `AdmissionController.enter` refuses a turn that would miss its TTFT budget. It yields the `Slot` of an admitted turn.
6. `Engine.prepare` renders and tokenizes the job, and returns a `PreparedTurn`.
7. `Slot.start` waits until the engine can take the turn.
8. `Engine.generate` yields steps, and an `Encoder` turns them into the bytes of the answer.

Each step returns a type that proves the step succeeded. A step that fails raises a `TurnError`. Each resource is a scope, so an
error, or a caller who hangs up, frees everything that the turn holds.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from service.admission import AdmissionController, Slot
from service.admission.ttft_budget import ttft_budget_s
from service.domain import Arrival, Caller, ChatJob, Finished, Step, Usage
from service.engine.model_registry import ModelRegistry
from service.engine.protocol import Engine
from service.errors import TurnError
from service.lifecycle.adapters import Adapters
from service.lifecycle.prefix_warmup import PrefixWarmup
from service.lifecycle.state import Lifecycle
from service.normalize import normalize
from service.schema.request import parse_request
from service.settings import Settings
from service.streaming.encode import Encoder, encoder_for, error_event
from service.streaming.frames import Frames, wants_each_token
from service.telemetry.exposition import Exposition
from service.telemetry.telemetry import Telemetry
from service.telemetry.turn_record import TurnRecord
from service.tenants.auth import KeyRing
from service.tenants.rate_limits import Charge, RateLimits, estimate_tokens


@dataclass(frozen=True, slots=True)
class Services:
    """The objects of the service, which routes and turns share. `app.create_app` makes them once for each process."""

    settings: Settings
    keys: KeyRing
    lifecycle: Lifecycle
    model_registry: ModelRegistry
    adapters: Adapters
    limits: RateLimits
    admission: AdmissionController
    prefix_warmup: PrefixWarmup
    frames: Frames
    engine: Engine
    telemetry: Telemetry
    exposition: Exposition


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that has begun: the engine has produced the first step with content."""

    media_type: str
    headers: Mapping[str, str]
    """Response headers, without the content type."""
    chunks: AsyncGenerator[bytes, None]
    """Body bytes, as the engine produces them. An answer that is not streamed is exactly one chunk."""


@dataclass(frozen=True, slots=True)
class _TurnObservers:
    """The objects that record what a turn has used."""

    record: TurnRecord
    slot: Slot
    charge: Charge
    prefix_warmup: PrefixWarmup
    job: ChatJob

    def begun(self) -> None:
        """Record the engine's first step for this turn."""
        self.slot.begun()
        self.record.begun(self.slot.forecast_error_s)

    def finished(self, usage: Usage) -> None:
        """Record the tokens of a turn that the engine has finished."""
        self.record.finished(usage)
        self.slot.finished(usage)
        self.charge.settle(usage)
        self.prefix_warmup.used(self.job, usage)


@asynccontextmanager
async def take_turn(services: Services, caller: Caller, turn_id: str, arrival: Arrival) -> AsyncIterator[Reply]:
    """Run one turn: yield its answer as soon as the answer has begun.

    The turn holds its slot, its charge and its adapter until this scope ends. Leaving the scope early, as when the caller
    hangs up, stops the generation in the engine.

    Raises `TurnError` before it yields, while an HTTP status can still be sent. Later errors are raised by `Reply.chunks`.
    """
    with services.telemetry.turn(turn_id, caller, arrival) as record, services.lifecycle.turn():
        has_frame_per_token = wants_each_token(arrival.asked_frames)
        budget_s = ttft_budget_s(arrival.asked_budget, caller.policy, services.settings)
        record.budgeted(budget_s)
        request = parse_request(arrival.body, max_messages=services.settings.max_messages)
        job = normalize(
            request,
            caller=caller,
            turn_id=turn_id,
            model_registry=services.model_registry,
            max_choices=services.settings.max_choices,
        )
        record.normalized(job)
        deadline_s = arrival.at_s + budget_s
        charged = services.limits.hold(caller, estimated_tokens=estimate_tokens(job))
        admitted = services.admission.enter(job, caller.policy, deadline_s=deadline_s)
        with charged as charge, services.model_registry.using(job.adapter), admitted as slot:
            async with slot.in_time():
                prepared = await services.engine.prepare(job)
            record.prepared(prepared)
            charge.prepared(prepared)
            generating = aclosing(services.engine.generate(prepared, trace_headers=record.trace_headers))
            async with slot.start(prepared), generating as steps:
                record.passed("wait")
                observers = _TurnObservers(record, slot, charge, services.prefix_warmup, job)
                opening = await _opening(steps, observers)
                charge.has_begun = True
                encoder = encoder_for(job, services.engine.model.fingerprint)
                gather = None if has_frame_per_token else services.frames.gather
                answering = _chunks(encoder, opening, steps, observers, lifecycle=services.lifecycle, gather=gather)
                async with aclosing(answering) as chunks:
                    yield Reply(encoder.media_type, charge.headers, chunks)


async def _opening(steps: AsyncGenerator[Step, None], observers: _TurnObservers) -> Step:
    """Return the first step that has events, or an empty step if the turn ends without one.

    A step can be empty: its token may be half a character, or part of a tool call that is not complete yet.
    """
    async for step in steps:
        if not observers.slot.has_begun:
            observers.begun()
        if step:
            return step
    return ()


async def _chunks(
    encoder: Encoder,
    opening: Step,
    steps: AsyncGenerator[Step, None],
    observers: _TurnObservers,
    *,
    lifecycle: Lifecycle,
    gather: Callable[[], Awaitable[None]] | None,
) -> AsyncGenerator[bytes, None]:
    """Encode the steps into body bytes, beginning with `opening`, until the turn has finished.

    `gather` waits for the next moment at which frames are sent; None sends a frame for each step.
    Raises `TurnError`, after an error event if a streamed answer has begun.
    """
    step = opening
    try:
        with lifecycle.until_cut_off():
            while True:
                observers.record.said(step)
                if step and isinstance(end := step[-1], Finished):
                    observers.finished(end.usage)
                    observers.record.framed()
                    yield encoder.encode(step)
                    return
                if chunk := encoder.encode(step):
                    observers.record.framed()
                    yield chunk
                    if gather:
                        await gather()
                step = await anext(steps)
    except TurnError as error:
        # A stream has already sent its status, so the error goes out as an event, which SDKs raise. Otherwise nothing has been
        # sent yet, and the middleware answers with the error's own status.
        if encoder.has_begun:
            yield error_event(error.as_openai())
        raise
