"""Runs in each process that places calls. Takes its share of the schedule, and runs each call in its own greenlet.

Each call is a Locust user, so Locust shows the number of calls and can end them. Calls arrive by the schedule alone: no call
waits for another.
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
"""Seconds that the socket timeout exceeds the turn timeout, so that the turn timeout always ends the turn."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """Work order for one process, sent by the controlling process. `elapsed_s`: seconds since the start of the run."""

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
    """Marks of the controlling process's keys, by tenant. This process's keys must have the same marks."""

    @property
    def schedule(self) -> Schedule:
        return Schedule(SCENARIOS[self.scenario], self.seed, self.rate, self.run_s, self.elapsed_s, self.edition)


class Call(User):
    """One call as a Locust user."""

    weight = 1

    @task
    def hold(self) -> None:
        try:
            self.talk()
        except Exception as error:
            # A fault of the load test itself. Locust shows it, and the run ends with a non-zero exit code.
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
            raise StopUser from error
        raise StopUser

    talk: Callable[[], None]


class Exchange:
    """Places calls from the first order on. A later order changes rate and cap. `finish` ends all calls."""

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
        """Why this process places no calls. Empty: it does."""

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
        """Return the results since the last report."""
        gaps, self._gaps = self._gaps, Gaps()
        turns, self._turns = self._turns, []
        calls, self._calls = self._calls, []
        reported = {"turns": turns, "calls": calls, "gaps": gaps.counts, "gaps_sum_s": gaps.sum_s}
        return reported | {"watch": self._watch.report(), "problem": self._problem}

    def finish(self) -> dict[str, Any]:
        """Stop arrivals, give calls Locust's `--stop-timeout` to end, and return the last report."""
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
    """Why this process must not place calls. Empty: it may.

    Keys are never sent between processes: each process reads its own environment. With another key, its calls would count for
    another tenant.
    """
    model = os.environ.get(MODEL, "")
    if model and model != order.target["model"]:
        _log.warning("%s is %s here, but calls use the master's model: %s", MODEL, model, order.target["model"])
    try:
        other = [KEY_OF[tenant] for tenant, mark in order.key_marks.items() if key_mark(tenant, order.salt) != mark]
    except WrongUse as problem:
        return str(problem)
    return f"its {' and '.join(other)} differs from the master's; set the same key on every worker" if other else ""
