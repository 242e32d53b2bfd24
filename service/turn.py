"""The spine: one turn, one way. Each call is a room; the type that leaves it proves that it was passed."""

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
    """What a turn passes through: made once, by `app`."""

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
    """The beginning of an answer: its first word exists."""

    media_type: str
    headers: Mapping[str, str]
    """Beyond the media type's."""
    chunks: AsyncGenerator[bytes, None]
    """Body bytes as they come to be; for a non-streaming answer exactly one piece."""


@dataclass(frozen=True, slots=True)
class _TurnObservers:
    """Where it is written down what a turn has used."""

    record: TurnRecord
    slot: Slot
    charge: Charge
    prefix_warmup: PrefixWarmup
    job: ChatJob

    def begun(self) -> None:
        self.slot.begun()
        self.record.begun(self.slot.forecast_error_s)

    def finished(self, usage: Usage) -> None:
        self.record.finished(usage)
        self.slot.finished(usage)
        self.charge.settle(usage)
        self.prefix_warmup.used(self.job, usage)


@asynccontextmanager
async def take_turn(services: Services, caller: Caller, turn_id: str, arrival: Arrival) -> AsyncIterator[Reply]:
    """From an authenticated caller's request to its answer. Everything the turn holds is held within this scope.

    Raises `TurnError` before it yields, while an HTTP status can still be sent; leaving the scope early (a caller who
    hangs up) stops the generation.
    """
    with services.telemetry.turn(turn_id, caller, arrival) as record, services.lifecycle.turn():
        each_token = wants_each_token(arrival.asked_frames)
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
                gather = None if each_token else services.frames.gather
                answering = _chunks(encoder, opening, steps, observers, lifecycle=services.lifecycle, gather=gather)
                async with aclosing(answering) as chunks:
                    yield Reply(encoder.media_type, charge.headers, chunks)


async def _opening(steps: AsyncGenerator[Step, None], observers: _TurnObservers) -> Step:
    """Up to the first step with anything in it: a token can be half a character, or a tool call not yet whole."""
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
        # The status has been sent; an SDK raises on this event. A non-streaming answer has sent nothing: raise alone.
        if encoder.has_begun:
            yield error_event(error.as_openai())
        raise
