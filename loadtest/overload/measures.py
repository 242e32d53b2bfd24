"""Computes the measures of a cell from its turns. Pure: no clock, no network."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadtest.overload.loops import Recording
from loadtest.overload.workloads import Turn

LATENESS_LIMIT_S = 0.05
"""Highest p99 of the client's send delay, in seconds. Above it, the cell says nothing about the server."""


@dataclass(frozen=True)
class Bounds:
    """Bounds that a caller on the phone accepts, in seconds."""

    ttft_s: float = 1.0
    tpot_s: float = 0.25


@dataclass(frozen=True)
class Measures:
    """Measures of one cell. Rates are in turns per second, times in seconds. A time of None: there was nothing to measure."""

    offered: float
    """Scheduled turns per second: those that would be sent if no call ended early."""
    sent: float
    goodput: float
    """Turns per second within both bounds."""
    turns: int
    finished: int
    dropped: int
    """Turns that ended by a barge-in."""
    refused: int
    refused_continuing: int
    """Refused turns that were not the first of their call."""
    failed: int
    cut: int
    """Turns that still ran when the cell ended. Without a first token, their TTFT is the time that they had waited."""
    admitted_within: float | None
    """Share of the turns within both bounds, among turns that were not refused."""
    within_ttft: float | None
    """Share of turns with TTFT within its bound, among all turns, refused turns included."""
    ttft_p50: float | None
    ttft_p90: float | None
    ttft_p99: float | None
    tpot_p50: float | None
    tpot_p99: float | None
    refusal_p50: float | None
    refusal_p99: float | None
    calls_admitted: int
    """Calls whose first turn was due in the window and was not refused."""
    calls_finished: float | None
    """Share of these calls that had all their turns, none refused or late."""
    lateness_p99: float | None
    """99th percentile of the client's send delay."""
    longest_lag: float
    """Longest lag of the client's event loop. During a lag the client had no CPU, so answers seemed late."""
    client_cpu: float
    failures: tuple[str, ...]
    """Distinct reasons of failed turns."""

    @property
    def unspoiled_per_s(self) -> float:
        """Admitted calls per second that had all their turns. (`turns / sent` is the window's length.)"""
        return self.calls_admitted * (self.calls_finished or 0.0) * self.sent / self.turns if self.turns else 0.0

    @property
    def is_valid(self) -> bool:
        """Whether the client sent its turns on time."""
        return self.lateness_p99 is None or self.lateness_p99 <= LATENESS_LIMIT_S


def ttft_s(turn: Turn) -> float | None:
    """Seconds from send to the first text. For a turn cut before that: the time that it had waited. None: refused or failed."""
    answer = turn.answer
    if answer.first_at is not None:
        return answer.first_at - answer.sent_at
    return answer.ended_at - answer.sent_at if answer.outcome == "cut" and answer.ended_at is not None else None


def tpot_s(turn: Turn) -> float | None:
    """Seconds per token after the first. None: fewer than two tokens, or no count because the turn failed or was cut."""
    answer = turn.answer
    if answer.first_at is None or answer.last_at is None or answer.tokens < 2:
        return None
    return (answer.last_at - answer.first_at) / (answer.tokens - 1)


def is_in_time(turn: Turn, bounds: Bounds) -> bool:
    """Whether the first token came within its bound."""
    ttft = ttft_s(turn)
    return turn.answer.first_at is not None and ttft is not None and ttft <= bounds.ttft_s


def is_good(turn: Turn, bounds: Bounds) -> bool:
    """Whether a turn counts for goodput: finished or dropped by its caller, with TTFT and TPOT (if known) within their bounds."""
    pace = tpot_s(turn)
    return turn.answer.outcome in ("finished", "dropped") and is_in_time(turn, bounds) and (pace is None or pace <= bounds.tpot_s)


def measure(recording: Recording, offered: float, bounds: Bounds) -> Measures:
    """Measure the turns due in the window. `offered`: scheduled turns per second."""
    counted = [turn for turn in recording.turns if recording.opened_at <= turn.due_at < recording.closed_at]
    of = _by_outcome(counted)
    window_s = recording.closed_at - recording.opened_at
    good = sum(is_good(turn, bounds) for turn in counted)
    ttft = _known(ttft_s(turn) for turn in counted)
    tpot = _known(tpot_s(turn) for turn in counted)
    refusal = _known(turn.answer.answered_at and turn.answer.answered_at - turn.answer.sent_at for turn in of["refused"])
    lateness = [turn.answer.sent_at - turn.due_at for turn in counted]
    calls = _admitted_calls(recording)
    return Measures(
        offered=offered,
        sent=len(counted) / window_s,
        goodput=good / window_s,
        turns=len(counted),
        finished=len(of["finished"]),
        dropped=len(of["dropped"]),
        refused=len(of["refused"]),
        refused_continuing=sum(turn.position > 0 for turn in of["refused"]),
        failed=len(of["failed"]),
        cut=len(of["cut"]),
        admitted_within=_share(good, len(counted) - len(of["refused"])),
        within_ttft=_share(sum(is_in_time(turn, bounds) for turn in counted), len(counted)),
        ttft_p50=percentile(ttft, 50),
        ttft_p90=percentile(ttft, 90),
        ttft_p99=percentile(ttft, 99),
        tpot_p50=percentile(tpot, 50),
        tpot_p99=percentile(tpot, 99),
        refusal_p50=percentile(refusal, 50),
        refusal_p99=percentile(refusal, 99),
        calls_admitted=len(calls),
        calls_finished=_share(sum(_is_unspoiled(call, bounds) for call in calls), len(calls)),
        lateness_p99=percentile(lateness, 99),
        longest_lag=max(recording.loop_lag_s, default=0.0),
        client_cpu=recording.client_cpu,
        failures=tuple(sorted({turn.answer.failure for turn in of["failed"] if turn.answer.failure})),
    )


def throughput(recording: Recording) -> float:
    """Turns per second that ended within the window, on time or not."""
    ended = [turn for turn in recording.turns if turn.answer.outcome in ("finished", "dropped")]
    inside = [turn for turn in ended if recording.opened_at <= (turn.answer.ended_at or math.inf) < recording.closed_at]
    return len(inside) / (recording.closed_at - recording.opened_at)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Nearest-rank percentile. None if there are no values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _by_outcome(turns: Iterable[Turn]) -> dict[str, list[Turn]]:
    of: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        of[turn.answer.outcome].append(turn)
    return of


def _admitted_calls(recording: Recording) -> list[list[Turn]]:
    """Turns of each call whose first turn was due in the window and was not refused."""
    calls: dict[str, list[Turn]] = defaultdict(list)
    for turn in recording.turns:
        calls[turn.call].append(turn)
    return [
        turns
        for turns in calls.values()
        if turns[0].position == 0
        and recording.opened_at <= turns[0].due_at < recording.closed_at
        and turns[0].answer.outcome != "refused"
    ]


def _is_unspoiled(turns: list[Turn], bounds: Bounds) -> bool:
    """Whether the call had its last turn, and each turn was good. For a turn with a barge-in, only TTFT counts."""
    kept = all(is_in_time(turn, bounds) if turn.answer.outcome == "dropped" else is_good(turn, bounds) for turn in turns)
    return kept and turns[-1].is_last


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
