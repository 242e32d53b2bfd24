"""What a caller hears: when the first word comes, whether the rest comes as it is made, and what a hang-up leaves behind."""

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
"""Between two deltas that did not come together."""
_ONE_BURST_S = 0.02
"""A buffer empties in less."""
_TOO_FAST_S = 0.1
"""What is over so soon does not show whether it was held back, and nobody would hear it."""


@check(
    "stream.incremental",
    "The stream comes piece by piece, not at once at its end",
    worst="fail",
    fix="Turn off buffering in every proxy on the way (nginx: proxy_buffering off; or send `X-Accel-Buffering: no`), and "
    "compression of text/event-stream.",
)
async def incremental(session: Session) -> str:
    seen = await session.ask(session.body(COUNT, stream=True, max_tokens=64))
    contents = Stream(seen).contents
    if not seen.is_ok or not contents:
        raise Skipped(f"{seen.told()}, no content: see stream.content-type and time.ttft")
    words = sum(len(delta.text.split()) for delta in contents)
    if len(contents) == 1 and words >= 8:
        raise Failed(f"{words} words in one delta")
    if len(contents) < 8:
        raise Warned(f"only {len(contents)} deltas: too short an answer to tell")
    times = [delta.at for delta in contents]
    bursts = 1 + sum(later - earlier > _GAP_S for earlier, later in pairwise(times))
    first_s, spread_s = times[0] - seen.sent_at, times[-1] - times[0]
    told = f"{len(contents)} deltas in {bursts} bursts, the first after {first_s:.2f} s, the last {spread_s:.2f} s later"
    if first_s + spread_s < _TOO_FAST_S:
        return f"{told}: too fast to matter"
    if bursts * 4 > len(contents):
        return told
    if spread_s < _ONE_BURST_S:
        raise Failed(told)
    raise Warned(told)


@check(
    "time.ttft",
    "The first content comes within the budget (--ttft-budget-s)",
    worst="warn",
    fix="Look at what comes before the first word: distance, proxies, queue, prompt length, the engine's load. A call hears this "
    "pause at every turn.",
)
async def ttft(session: Session) -> str:
    """Over a kept connection and one after another: the least that a caller waits. The role's delta is no content."""
    times = []
    for _ in range(_TTFT_CALLS):
        seen = await session.ask(session.body(stream=True))
        time_s = Stream(seen).ttft_s
        if time_s is None:
            raise Warned(f"{seen.told()}, no content within 32 tokens")
        times.append(time_s)
    found = session.ttft = Ttft(tuple(times), statistics.median(times), max(times))
    told = (
        f"median {found.median_s:.3f} s, worst {found.worst_s:.3f} s of {_TTFT_CALLS}, budget {session.options.ttft_budget_s:g} s"
    )
    if found.worst_s > session.options.ttft_budget_s:
        raise Warned(told)
    return told


@check(
    "connection.keep-alive",
    "The connection is kept from one request to the next",
    worst="warn",
    fix="Keep connections open (no `Connection: close`, HTTP/1.1 throughout): a new one costs each turn a TCP and TLS handshake.",
)
async def keep_alive(session: Session) -> str:
    async with session.new_client() as client:
        first = await session.ask(session.body(stream=True), client=client)
        second = await session.ask(session.body(), client=client)
    if not (first.is_ok and second.is_ok):
        raise Warned(f"{first.told()}, then {second.told()}")
    if first.end == "left open":
        raise Skipped("the first answer did not end: see stream.done")
    if first.connection != second.connection:
        raise Warned("closed after a streamed answer")
    return "two requests on one connection"


@check(
    "connection.hang-up",
    "After callers have hung up midway, the next is answered in time",
    worst="fail",
    fix="End the turn when its client is gone (proxies: pass the disconnect on), and give its place free: "
    "callers interrupt all the time.",
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
        raise Failed(f"after {hung_up} hang-ups: {after.told()}")
    time_s = Stream(after).ttft_s
    usual_s = session.ttft.worst_s if session.ttft else 0.0
    told = f"after {hung_up} hang-ups the first word took {'forever' if time_s is None else f'{time_s:.3f} s'}"
    if time_s is None or time_s > max(session.options.ttft_budget_s, 2 * usual_s):
        raise Warned(told)
    return told


class _UntilContent:
    """Whether content has come. Each line is read once: a flood without any must not keep us busy until the time is out."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, seen: Exchange) -> bool:
        *lines, self._rest = _LINE_END.split(self._rest + seen.pieces[-1][1])
        return bool(Stream(Exchange(pieces=[(0.0, b"\n".join(lines))])).contents)


@check(
    "time.limit",
    "No answer takes longer than the limit (--timeout-s)",
    worst="fail",
    fix="Bound what a turn may take (a proxy's and the server's own time limit), so that a platform gets an error "
    "instead of silence.",
)
async def limit(session: Session) -> str:
    """The last of all: it looks back at every request."""
    client = session.client
    if client.timeouts:
        raise Failed(f"{client.timeouts} requests were not answered within {client.timeout_s:g} s")
    return f"the slowest took {client.slowest_s:.2f} s of {client.timeout_s:g} s"


CHECKS = (ttft, keep_alive, hang_up, limit)
