"""The spine: one turn, one way. Each call is a room; the type that leaves it proves that it was passed."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from service.admission import Gate, Place
from service.admission.ttft_budget import ttft_budget_s
from service.domain import Arrival, Caller, ChatJob, Finished, Step, Usage
from service.engine.model_registry import Catalogue
from service.engine.protocol import Engine
from service.errors import TurnError
from service.lifecycle.adapters import Adapters
from service.lifecycle.prefix_warmup import Warmth
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
from service.tenants.rate_limits import Charge, Limits, estimate_tokens


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a turn passes through: made once, by `app`."""

    settings: Settings
    keys: KeyRing
    lifecycle: Lifecycle
    catalogue: Catalogue
    adapters: Adapters
    limits: Limits
    gate: Gate
    warmth: Warmth
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
class _Books:
    """Where it is written down what a turn has used."""

    record: TurnRecord
    place: Place
    charge: Charge
    warmth: Warmth
    job: ChatJob

    def begun(self) -> None:
        self.place.begun()
        self.record.begun(self.place.forecast_error_s)

    def finished(self, usage: Usage) -> None:
        self.record.finished(usage)
        self.place.finished(usage)
        self.charge.settle(usage)
        self.warmth.used(self.job, usage)


@asynccontextmanager
async def take_turn(rooms: Rooms, caller: Caller, turn_id: str, arrival: Arrival) -> AsyncIterator[Reply]:
    """From an authenticated caller's request to its answer. Everything the turn holds is held within this scope.

    Raises `TurnError` before it yields, while an HTTP status can still be sent; leaving the scope early (a caller who
    hangs up) stops the generation.
    """
    with rooms.telemetry.turn(turn_id, caller, arrival) as record, rooms.lifecycle.turn():
        each_token = wants_each_token(arrival.asked_frames)
        record.budget_s = ttft_budget_s(arrival.asked_budget, caller.policy, rooms.settings)
        request = parse_request(arrival.body, max_messages=rooms.settings.max_messages)
        job = normalize(
            request, caller=caller, turn_id=turn_id, catalogue=rooms.catalogue, max_choices=rooms.settings.max_choices
        )
        record.normalized(job)
        deadline_s = arrival.at_s + record.budget_s
        charged = rooms.limits.hold(caller, estimated_tokens=estimate_tokens(job))
        admitted = rooms.gate.enter(job, caller.policy, deadline_s=deadline_s)
        with charged as charge, rooms.catalogue.using(job.adapter), admitted as place:
            async with place.in_time():
                prepared = await rooms.engine.prepare(job)
            record.prepared(prepared)
            charge.prepared(prepared)
            generating = aclosing(rooms.engine.generate(prepared, trace_headers=record.trace_headers))
            async with place.start(prepared), generating as steps:
                record.passed("wait")
                books = _Books(record, place, charge, rooms.warmth, job)
                opening = await _opening(steps, books)
                charge.has_begun = True
                encoder = encoder_for(job, rooms.engine.model.fingerprint)
                gather = None if each_token else partial(rooms.frames.gather, prepared.generated)
                answering = _chunks(encoder, opening, steps, books, lifecycle=rooms.lifecycle, gather=gather)
                async with aclosing(answering) as chunks:
                    yield Reply(encoder.media_type, charge.headers, chunks)


async def _opening(steps: AsyncGenerator[Step, None], books: _Books) -> Step:
    """Up to the first step with anything in it: a token can be half a character, or a tool call not yet whole."""
    async for step in steps:
        if not books.place.has_begun:
            books.begun()
        if step:
            return step
    return ()


async def _chunks(
    encoder: Encoder,
    opening: Step,
    steps: AsyncGenerator[Step, None],
    books: _Books,
    *,
    lifecycle: Lifecycle,
    gather: Callable[[], Awaitable[None]] | None,
) -> AsyncGenerator[bytes, None]:
    step = opening
    try:
        with lifecycle.until_cut_off():
            while True:
                books.record.said(step)
                if step and isinstance(end := step[-1], Finished):
                    books.finished(end.usage)
                    books.record.framed()
                    yield encoder.encode(step)
                    return
                if chunk := encoder.encode(step):
                    books.record.framed()
                    yield chunk
                    if gather:
                        await gather()
                step = await anext(steps)
    except TurnError as error:
        # The status has been sent; an SDK raises on this event. A non-streaming answer has sent nothing: raise alone.
        if encoder.has_begun:
            yield error_event(error.as_openai())
        raise
