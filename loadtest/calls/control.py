"""The controlling process (Locust's master, or the only process): distributes the calls and merges the results."""

import functools
import logging
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import gevent  # type: ignore[import-untyped]
from locust.env import Environment
from locust.runners import STATE_MISSING, LocalRunner, MasterRunner, WorkerNode
from rich.console import Console

from loadtest.calls import record, summary
from loadtest.calls.dispatch import Dispatcher
from loadtest.calls.exchange import Exchange, Order
from loadtest.calls.options import KEY_OF, MODEL, MOST_CALLS, key_mark, key_of, manners_of, must_be_in_range, scenario_of
from loadtest.calls.plans import typical_call_s
from loadtest.calls.result import Result, Run
from loadtest.calls.scenarios import NOISY, QUIET
from loadtest.calls.target import Target, WrongUse, check

ORDER, STOP, LAST_REPORT = "firstword-order", "firstword-stop", "firstword-last-report"
INVALID = 2
_LAST_REPORTS_S = 15.0
_REPORT_EVERY_S = 3.0
"""Seconds between reports, as Locust's workers have it. Results are merged as they come, so memory is bounded by the sample."""
_LOCUST_FIRST_S = 1.0
"""Seconds by which our own stop comes after Locust's, where Locust's page knows the run time and ends the run."""
_log = logging.getLogger(__name__)


class Control:
    """Controls the runs of this process. A run begins with Locust's `test_start` and ends with its `test_stopping`."""

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner, exchange: Exchange) -> None:
        self._environment, self._runner, self._exchange = environment, runner, exchange
        self._target: Target | None = None
        self._run: Run | None = None
        self._edition = 0
        self._reported: set[str] = set()
        self._greenlets: list[Any] = []
        self._asked_run_s: float | None = None
        self._recorded = 0
        """Number of records written. Locust's page can start several runs."""
        self.result: Result | None = None
        self.refused = ""
        """Why no run could begin. Empty: nothing was wrong."""
        environment.dispatcher_class = cast(Any, functools.partial(Dispatcher, self.order))

    @property
    def options(self) -> Any:
        return self._environment.parsed_options

    def set_defaults(self) -> None:
        """Set our defaults before Locust sets its own, which are one user, without an end."""
        options = self.options
        self._asked_run_s = options.run_time
        if options.headless or options.autostart:  # On the page, the user can still change the scenario.
            options.run_time = options.run_time or scenario_of(options).run_s
        options.num_users = MOST_CALLS if options.num_users is None else options.num_users
        options.spawn_rate = 1.0 if options.spawn_rate is None else options.spawn_rate

    def look(self) -> None:
        """Check options, endpoint and keys before the run's clock starts."""
        self.refused = ""
        try:
            self._target = self._checked()
        except WrongUse as problem:
            self._target, self.refused = None, str(problem)
            self._environment.process_exit_code = INVALID

    def _checked(self) -> Target:
        must_be_in_range(self.options)
        if self.options.record and not record.can_write(Path(self.options.record)):
            raise WrongUse(f"--record {self.options.record}: the file cannot be written. Choose another path.")
        asked = Target(self._environment.host or "", os.environ.get(MODEL, ""), self.options.path)
        target = check(asked, key_of(QUIET), KEY_OF[QUIET])
        if scenario_of(self.options).noisy_profile:
            if not key_of(NOISY):
                raise WrongUse(
                    f"The scenario {self.options.scenario} needs a second tenant. Set {KEY_OF[NOISY]} to that tenant's key."
                )
            if key_of(NOISY) == key_of(QUIET):
                raise WrongUse(
                    f"{KEY_OF[NOISY]} and {KEY_OF[QUIET]} hold the same key. Set {KEY_OF[NOISY]} to another tenant's key."
                )
            check(target, key_of(NOISY), KEY_OF[NOISY])
        return target

    def on_test_start(self) -> None:
        self.result = None
        if not self.options.headless:  # The user can have changed the host on the page.
            self.look()
        if self._target is None:
            _log.error(self.refused)
            self._stop_soon()
            return
        self._edition = 0
        self._reported = set()
        run_s = float(self.options.run_time or scenario_of(self.options).run_s)
        self._run = Run.begin(self.options, self._target, run_s, number=self._recorded + 1)

    def order(self, cap: int, rate: float, nodes: Iterable[WorkerNode]) -> None:
        """Send each process its order: its share of the calls at this rate. Called again when rate, cap or processes change."""
        run = self._run
        if run is None:
            return
        names = sorted(node.id for node in nodes)
        run.ordered(rate, cap, names)
        # All processes get the same value, because they number the calls from it.
        elapsed_s = run.elapsed_s() if self._edition else 0.0
        self._warn(run, rate, cap)
        marks = {tenant: key_mark(tenant, run.salt) for tenant in scenario_of(self.options).tenants}
        for index, name in enumerate(names):
            order = Order(
                scenario=self.options.scenario,
                seed=self.options.seed,
                rate=rate,
                run_s=float(run.run_s),
                elapsed_s=elapsed_s,
                edition=self._edition,
                cap=cap,
                index=index,
                workers=len(names),
                target=asdict(run.target),
                manners=manners_of(self.options),
                salt=run.salt,
                key_marks=marks,
            )
            if isinstance(self._runner, MasterRunner):
                self._runner.send_message(ORDER, asdict(order), client_id=name)
            else:
                self._exchange.take(order)
        if self._edition == 0:
            self._begun(run)
        self._edition += 1

    def _begun(self, run: Run) -> None:
        if isinstance(self._runner, LocalRunner):
            self._greenlets.append(gevent.spawn(self._collect, run.workers[0]))
        if not self.options.headless:
            # Locust's page ends a run only if it was given a run time, and it forgets that time when rate or cap change.
            wait_s = run.run_s + (_LOCUST_FIRST_S if self.options.run_time else 0.0)
            self._greenlets.append(gevent.spawn_later(wait_s, gevent.spawn, self._runner.stop))

    def _collect(self, worker: str) -> None:
        while True:
            gevent.sleep(_REPORT_EVERY_S)
            self.on_report(worker, self._exchange.report())

    def on_report(self, worker: str, report: dict[str, Any], *, is_last: bool = False) -> None:
        if self._run is not None:
            self._run.seen.merge(worker, report)
            if (problem := report["problem"]) and worker not in self._run.problems:
                self._run.problems[worker] = problem
                _log.error("The run ends because the worker %s places no calls: %s", worker, problem)
                self._stop_soon()
        if is_last:
            self._reported.add(worker)

    def _stop_soon(self) -> None:
        gevent.spawn(self._runner.quit if self.options.headless else self._runner.stop)

    def on_test_stopping(self) -> None:
        gevent.killall(self._greenlets)
        self._greenlets = []
        self.options.run_time = self.options.run_time if self.options.headless else self._asked_run_s
        run = self._run
        if run is None or not run.orders:
            self._run = None
            return
        elapsed_s = run.elapsed_s()
        if isinstance(self._runner, MasterRunner):
            self._await_last_reports(run, self._runner)
        else:
            self.on_report(run.workers[0], self._exchange.finish(), is_last=True)
        self._run = None
        missing = [name for name in run.workers if name not in self._reported]
        self.result = run.end(elapsed_s, missing=missing, faults=len(self._runner.exceptions))
        self._recorded += bool(self.result.path)
        if not self.result.is_valid:
            self._environment.process_exit_code = INVALID
        elif self._environment.process_exit_code == INVALID:
            self._environment.process_exit_code = None

    def show(self) -> None:
        """Print the result to stderr, because Locust prints its own tables to stdout."""
        console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
        if self.refused:
            console.print(f"\n{self.refused}", highlight=False, markup=False, soft_wrap=True)
        if self.result:
            summary.show(self.result.record, console)
            if self.result.path:
                console.print(f"  record: {self.result.path}", highlight=False, markup=False, soft_wrap=True)

    def _await_last_reports(self, run: Run, runner: MasterRunner) -> None:
        """Stop all workers at once and await their last reports. Calls get `--stop-timeout` to end. Skips lost workers."""
        runner.send_message(STOP)
        deadline = time.monotonic() + self._environment.stop_timeout + _LAST_REPORTS_S
        while time.monotonic() < deadline:
            there = {node.id for node in runner.clients.all if node.state != STATE_MISSING}
            if self._reported.issuperset(there.intersection(run.workers)):
                return
            gevent.sleep(0.05)

    def _warn(self, run: Run, rate: float, cap: int) -> None:
        scenario = scenario_of(self.options)
        peak = rate * (max(scenario.profile) + max(scenario.noisy_profile, default=0.0))
        at_once = peak * min(typical_call_s(scenario, self.options.pause_scale), run.run_s)
        _log.info("%s: expect about %.0f calls at once at the peak; the cap is %d (-u)", scenario.name, at_once, cap)
        if at_once > cap:
            _log.warning("-u %d is below the expected calls at once, so some calls will not be placed. Raise -u.", cap)
