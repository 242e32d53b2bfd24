"""Simulated phone calls: `locust -f loadtest/locustfile.py --host http://127.0.0.1:8000`. See docs/loadtest.md."""

import signal
import sys
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
import locust
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

# Locust adds only this file's folder to the path. The package `loadtest` is in the folder above it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtest.calls.control import LAST_REPORT, ORDER, STOP, Control
from loadtest.calls.exchange import Call, Exchange, Order
from loadtest.calls.options import add_options

__all__ = ["Call"]
events: Any = locust.events  # Its listeners have no types.


def on_init(environment: Environment, **_: Any) -> None:
    heed_interrupts()
    runner = environment.runner
    exchange = Exchange(environment)
    if isinstance(runner, WorkerRunner):
        follow(runner, exchange)
    elif isinstance(runner, LocalRunner | MasterRunner):
        rule(runner, Control(environment, runner, exchange))


def heed_interrupts() -> None:
    """Raise Ctrl-C in Locust's main greenlet, which ends the run cleanly.

    Python would raise it in the greenlet that happens to run. There gevent or an `except` of Locust's sometimes swallows it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Otherwise interrupts are ignored, as in a background job.
        gevent.signal_handler(signal.SIGINT, gevent.getcurrent().throw, KeyboardInterrupt)


def rule(runner: LocalRunner | MasterRunner, control: Control) -> None:
    """Set up the controlling process: Locust's master, or the only process."""
    control.set_defaults()
    if control.options.headless:
        control.look()

    def on_worker_report(client_id: str, data: dict[str, Any], **_: Any) -> None:
        if report := data.get("firstword"):
            control.on_report(client_id, report)

    def on_last_report(msg: Any, **_: Any) -> None:
        control.on_report(msg.node_id, msg.data, is_last=True)

    events.test_start.add_listener(lambda **_: control.on_test_start())
    events.test_stopping.add_listener(lambda **_: control.on_test_stopping())
    events.worker_report.add_listener(on_worker_report)
    # Locust reads the exit code before it ends an interrupted run. End the run first.
    events.quitting.add_listener(lambda **_: runner.quit())
    # Headless: print the result after Locust's own tables. With the web page: after each run.
    (events.quit if control.options.headless else events.test_stop).add_listener(lambda **_: control.show())
    if isinstance(runner, MasterRunner):
        runner.register_message(LAST_REPORT, on_last_report)


def follow(runner: WorkerRunner, exchange: Exchange) -> None:
    """Set up a worker. The order arrives before Locust's start message, which clears the statistics, so it is kept until then."""
    waiting: list[Order] = []

    def on_order(msg: Any, **_: Any) -> None:
        if exchange.is_running:
            exchange.take(Order(**msg.data))
        else:
            waiting[:] = [Order(**msg.data)]

    def on_test_start(**_: Any) -> None:
        if waiting:
            exchange.take(waiting.pop())

    def finish(**_: Any) -> None:
        if exchange.is_running:
            runner.send_message(LAST_REPORT, exchange.finish())

    def on_report_to_master(data: dict[str, Any], **_: Any) -> None:
        if exchange.is_running:
            data["firstword"] = exchange.report()

    runner.register_message(ORDER, on_order)
    runner.register_message(STOP, finish, concurrent=True)
    events.test_start.add_listener(on_test_start)
    events.quitting.add_listener(finish)
    events.report_to_master.add_listener(on_report_to_master)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(on_init)
