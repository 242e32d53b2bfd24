"""Checks of timing and connections: TTFT, incremental streaming, keep-alive, hang-ups and the time limit."""

import re
import statistics
from itertools import pairwise

from service.check.checks.definition import check
from service.check.outcome import Failed, Skipped, Warned
from service.check.probe.client import Exchange
from service.check.probe.session import COUNT, Session, Ttft
from service.check.probe.stream import Stream

_LINE_END = re.compile(rb"[\r\n]")
_TTFT_CALLS = 5
_HANG_UPS = 3
_GAP_S = 0.0005
"""Shortest gap, in seconds, between two deltas of different bursts."""
_ONE_BURST_S = 0.02
"""Longest time, in seconds, that a proxy needs to send a buffered answer."""
_TOO_FAST_S = 0.1
"""Seconds. A faster answer does not show whether it was buffered, and buffering would not be heard."""


@check(
    "stream.incremental",
    "The stream arrives piece by piece, not all at its end",
    worst="fail",
    fix="Turn off buffering in every proxy on the way (nginx: `proxy_buffering off`, or send `X-Accel-Buffering: no`). "
    "Turn off compression of text/event-stream.",
)
async def incremental(session: Session) -> str:
    seen = await session.ask(session.body(COUNT, stream=True, max_tokens=64))
    contents = Stream(seen).contents
    if not seen.is_ok or not contents:
        raise Skipped(f"{seen.summary()}, no content: see stream.content-type and time.ttft")
    words = sum(len(delta.text.split()) for delta in contents)
    if len(contents) == 1 and words >= 8:
        raise Failed(f"{words} words in one delta")
    if len(contents) < 8:
        raise Warned(f"only {len(contents)} deltas: the answer is too short to show buffering")
    times = [delta.at for delta in contents]
    bursts = 1 + sum(later - earlier > _GAP_S for earlier, later in pairwise(times))
    first_s, spread_s = times[0] - seen.sent_at, times[-1] - times[0]
    measured = f"{len(contents)} deltas in {bursts} bursts, the first after {first_s:.2f} s, the last {spread_s:.2f} s later"
    if first_s + spread_s < _TOO_FAST_S:
        return f"{measured}: too fast to show buffering"
    if bursts * 4 > len(contents):
        return measured
    if spread_s < _ONE_BURST_S:
        raise Failed(measured)
    raise Warned(measured)


@check(
    "time.ttft",
    "The first content arrives within the budget (--ttft-budget-s)",
    worst="warn",
    fix="Find out what delays the first word: distance, proxies, queueing, prompt length or the engine's load. Callers hear "
    "this pause in every turn.",
)
async def ttft(session: Session) -> str:
    """Measure TTFT one call after another on a kept connection: the shortest wait of a caller. The role alone is not content."""
    times = []
    for _ in range(_TTFT_CALLS):
        seen = await session.ask(session.body(stream=True))
        time_s = Stream(seen).ttft_s
        if time_s is None:
            raise Warned(f"{seen.summary()}, the answer of 32 tokens has no text")
        times.append(time_s)
    found = session.ttft = Ttft(tuple(times), statistics.median(times), max(times))
    measured = (
        f"median {found.median_s:.3f} s, worst of {_TTFT_CALLS} {found.worst_s:.3f} s, budget {session.options.ttft_budget_s:g} s"
    )
    if found.worst_s > session.options.ttft_budget_s:
        raise Warned(measured)
    return measured


@check(
    "connection.keep-alive",
    "The connection stays open between requests",
    worst="warn",
    fix="Keep connections open (HTTP/1.1, no `Connection: close`). A new connection costs each turn a TCP and a TLS handshake.",
)
async def keep_alive(session: Session) -> str:
    async with session.new_client() as client:
        first = await session.ask(session.body(stream=True), client=client)
        second = await session.ask(session.body(), client=client)
    if not (first.is_ok and second.is_ok):
        raise Warned(f"{first.summary()}, then {second.summary()}")
    if first.end == "left open":
        raise Skipped("the first answer did not end: see stream.done")
    if first.connection != second.connection:
        raise Warned("the connection was closed after a streamed answer")
    return "two requests on one connection"


@check(
    "connection.hang-up",
    "After callers have hung up midway, the next turn is answered in time",
    worst="fail",
    fix="End the turn when its client disconnects, and free its slot. Proxies must pass the disconnect on. "
    "Callers interrupt all the time.",
)
async def hang_up(session: Session) -> str:
    hung_up = 0
    for _ in range(_HANG_UPS):
        dropped = await session.ask(session.body(COUNT, stream=True, max_tokens=512), hang_up_when=_UntilContent())
        hung_up += dropped.end == "hung up"
    if not hung_up:
        raise Skipped("no stream to hang up on: see stream.content-type and time.ttft")
    after = await session.ask(session.body(stream=True), may_resend=False)
    if not after.is_ok:
        raise Failed(f"after {hung_up} hang-ups: {after.summary()}")
    time_s = Stream(after).ttft_s
    usual_s = session.ttft.worst_s if session.ttft else 0.0
    if time_s is None:
        raise Warned(f"after {hung_up} hang-ups no first word came")
    measured = f"after {hung_up} hang-ups the first word took {time_s:.3f} s"
    if time_s > max(session.options.ttft_budget_s, 2 * usual_s):
        raise Warned(measured)
    return measured


class _UntilContent:
    """Whether content has come. Each line is read only once, so that a flood without content cannot keep us busy."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, seen: Exchange) -> bool:
        *lines, self._rest = _LINE_END.split(self._rest + seen.pieces[-1][1])
        return bool(Stream(Exchange(pieces=[(0.0, b"\n".join(lines))])).contents)


@check(
    "time.limit",
    "No answer takes longer than the limit (--timeout-s)",
    worst="fail",
    fix="Limit the duration of a turn, in the proxy and in the server. Then a platform gets an error instead of silence.",
)
async def limit(session: Session) -> str:
    """Runs last, because it looks at the times of all requests."""
    client = session.client
    if client.timeouts:
        raise Failed(f"{client.timeouts} requests were not answered within {client.timeout_s:g} s")
    return f"the slowest answer took {client.slowest_s:.2f} s, limit {client.timeout_s:g} s"


CHECKS = (ttft, keep_alive, hang_up, limit)
