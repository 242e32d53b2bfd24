"""In each process that places calls: takes its share of the schedule, and holds each call in a greenlet of its own.

A call is a Locust user, so that Locust shows how many there are and ends them. But no user makes the next one wait: calls
arrive on their own clock.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from loadtest.calls.arrivals import Share
from loadtest.calls.call import CallOutcome, Manners, Turn, hold_call
from loadtest.calls.entries import tell_call, tell_turn
from loadtest.calls.honesty import Watch
from loadtest.calls.options import KEY_OF, MODEL, key_mark, key_of
from loadtest.calls.plans import CallPlan, Schedule
from loadtest.calls.record import Gaps
from loadtest.calls.rows import Row, call_row, turn_row
from loadtest.calls.scenarios import SCENARIOS
from loadtest.calls.target import Line, Target, WrongUse

_SILENCE_S = 5.0
"""Beyond a turn's timeout, which is the one to end it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What one process is to do; sent from the one that rules. `elapsed_s`: how far the run is."""

    scenario: str
    seed: int
    rate: float
    run_s: float
    elapsed_s: float
    edition: int
    cap: int
    index: int
    workers: int
    target: dict[str, str]
    manners: dict[str, Any]
    salt: str
    key_marks: dict[str, str]
    """By tenant, of the keys of the process that rules: those here must be the same."""

    @property
    def schedule(self) -> Schedule:
        return Schedule(SCENARIOS[self.scenario], self.seed, self.rate, self.run_s, self.elapsed_s, self.edition)


class Call(User):
    """One call, for as long as it lasts."""

    weight = 1

    @task
    def hold(self) -> None:
        try:
            self.talk()
        except Exception as error:
            # A fault of the load test's own: Locust shows it, and the run ends with an exit code above 0.
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
            raise StopUser from error
        raise StopUser

    talk: Callable[[], None]


class Exchange:
    """Begins with an order; a later order changes rate and cap; `finish` ends all calls."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._order: Order | None = None
        self._greenlets: list[Any] = []
        self._began_at = 0.0
        self._live = 0
        self._watch = Watch()
        self._gaps = Gaps()
        self._turns: list[Row] = []
        self._calls: list[Row] = []
        self._problem = ""
        """Why no calls are placed from here."""

    @property
    def is_running(self) -> bool:
        return self._order is not None

    def take(self, order: Order) -> None:
        if self._order is None:
            self._live, self._watch = 0, Watch()
            self._began_at = time.monotonic() - order.elapsed_s
            self._greenlets = [gevent.spawn(self._watch.run, self._began_at, lambda: self._live)]
        else:
            self._greenlets.pop().kill()
        self._order = order
        self._problem = _problem_with(order)
        self._greenlets.append(gevent.spawn(self._place_all, order))

    def report(self) -> dict[str, Any]:
        """What was seen since the last report."""
        gaps, self._gaps = self._gaps, Gaps()
        turns, self._turns = self._turns, []
        calls, self._calls = self._calls, []
        told = {"turns": turns, "calls": calls, "gaps": gaps.counts, "gaps_sum_s": gaps.sum_s}
        return told | {"watch": self._watch.report(), "problem": self._problem}

    def finish(self) -> dict[str, Any]:
        """No more arrivals; calls get Locust's `--stop-timeout` to end; the last report."""
        gevent.killall(self._greenlets)
        runner = self._environment.runner
        assert runner is not None
        runner.stop_users(runner.user_classes_count)
        self._order = None
        return self.report()

    def _place_all(self, order: Order) -> None:
        if self._problem:
            return
        schedule, share = order.schedule, Share(order.index, order.workers)
        cap = share.of_cap(order.cap)
        for number, tenant, due_s in schedule.arrivals():
            if not share.takes(number):
                continue
            plan = schedule.call(number, tenant, due_s)
            due_at = self._began_at + due_s
            gevent.sleep(max(0.0, due_at - time.monotonic()))
            if self._live >= cap:
                self._end(plan, due_at, "not placed")
            else:
                self._place(plan, due_at, order)

    def _place(self, plan: CallPlan, due_at: float, order: Order) -> None:
        runner = self._environment.runner
        assert runner is not None
        call = Call(self._environment)
        call.talk = lambda: self._hold(plan, due_at, order)
        self._live += 1
        call.start(runner.user_greenlets)

    def _hold(self, plan: CallPlan, due_at: float, order: Order) -> None:
        manners = Manners(**order.manners)
        line = Line(Target(**order.target), key_of(plan.tenant), manners.turn_timeout_s + _SILENCE_S)
        outcome: CallOutcome = "cut"
        began_at = time.monotonic()

        def on_turn(turn: Turn) -> None:
            self._turns.append(turn_row(turn, self._began_at, manners.ttft_budget_s))
            self._gaps.add(turn.answer.gaps)
            tell_turn(self._environment.events.request.fire, turn, manners.ttft_budget_s)

        try:
            outcome = hold_call(plan, due_at, line, manners, on_turn)
        except Exception:
            outcome = "spoiled"
            raise
        finally:
            self._live -= 1
            self._end(plan, began_at, outcome)

    def _end(self, plan: CallPlan, began_at: float, outcome: CallOutcome) -> None:
        self._calls.append(call_row(plan, began_at - self._began_at - plan.due_s, outcome))
        tell_call(self._environment.events.request.fire, plan, outcome, time.monotonic() - began_at)


def _problem_with(order: Order) -> str:
    """Keys do not travel: a worker has those of its own environment, and with others its calls would be another tenant's."""
    model = os.environ.get(MODEL, "")
    if model and model != order.target["model"]:
        _log.warning("%s is %s here; the master's is called: %s", MODEL, model, order.target["model"])
    try:
        other = [KEY_OF[tenant] for tenant, mark in order.key_marks.items() if key_mark(tenant, order.salt) != mark]
    except WrongUse as problem:
        return str(problem)
    return f"its {' and '.join(other)} is not the master's" if other else ""
