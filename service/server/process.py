"""One service process: its socket, its signals, the engine's start and end, and an exit that leaves no child process."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NoReturn

import structlog
import uvicorn

from service.engine.processes import kill_children
from service.errors import FirstwordError, StartError
from service.lifecycle.key_reload import follow_key_file
from service.server.http_protocol import bounded_protocol
from service.server.watchdog import LongestPrefill, Stall, Watchdog
from service.settings import Settings, adapters_file
from service.telemetry.log_queue import LogQueue
from service.telemetry.stacks import places_of, process_states, task_stacks, thread_stacks
from service.turn import Services

_log = structlog.get_logger("firstword.serve")
# After a drain no turn is left to wait for. vLLM would use all the time that it is given.
_ENGINE_STOP_S = 1.0
_SERVER_STOP_S = 3.0
_LOG_CLOSE_S = 1.0
_TRACES_CLOSE_S = 2.0
_CHILDREN_STOP_S = 5.0
_HEALTH_POLL_S = 0.5
_OTHER_FILES = 200
"""Number of open files that are not connections: the engine's sockets, weights, logs."""
_END_AFTER_STALL_S = 6.0
"""Seconds before a forced exit. After its engine died, a process usually ends in one or two; a blocked event loop never does."""


def leave_on_signals() -> None:
    """Make SIGINT and SIGTERM end the process and its children with status 0, until `Service.run` handles signals.

    Converting the model and importing vLLM happen before that.
    """

    def leave_now(number: int, frame: object) -> None:
        _exit(0)

    signal.signal(signal.SIGINT, leave_now)
    signal.signal(signal.SIGTERM, leave_now)


def bind(settings: Settings) -> socket.socket:
    """Bind the port before anything slow. The socket does not listen yet, so no client waits in its backlog.

    Raises `StartError`.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # If a client reads nothing, the kernel resets the connection, which ends the turn like a disconnect (tcp(7)).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.send_timeout_s * 1000))
    # If a client vanishes while its turn waits and nothing is sent, keep-alive probes find out, and the kernel resets it too.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(settings.send_timeout_s / 2)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(settings.send_timeout_s / 6)))
    try:
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        raise StartError(
            f"Cannot bind {settings.host}:{settings.port}: {error.strerror}. Change FIRSTWORD_HOST or FIRSTWORD_PORT."
        ) from None
    return sock


def server_config(app: Callable[..., Any], settings: Settings) -> uvicorn.Config:
    """Return the uvicorn configuration of the service and of the tests."""
    return uvicorn.Config(
        app,
        http=bounded_protocol(max_connections=_connections(settings.max_connections), send_timeout_s=settings.send_timeout_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # The service does not use the caller's address.
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=1,
    )


def _connections(wanted: int) -> int:
    """Raise the open-files limit for `wanted` connections, and return how many fit. A shell's usual limit is only 1,024."""
    needed = wanted + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - _OTHER_FILES)


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handling, which would end a clean drain as if by a signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Service:
    """Runs the app until a signal arrives or the engine dies."""

    def __init__(self, app: Callable[..., Any], services: Services, sock: socket.socket, on_ready: Callable[[], None]) -> None:
        self._services = services
        self._sock = sock
        self._on_ready = on_ready
        self._stop_now = asyncio.Event()
        self._drain = asyncio.Event()
        self._server = _Server(server_config(app, services.settings))
        longest = LongestPrefill(services.admission.load, max_model_len=services.engine.model.max_model_len)
        self._watchdog = Watchdog(
            stall_s=services.settings.engine_stall_s,
            unfinished=lambda: services.engine.unfinished,
            expected_step_s=longest.expected_step_s,
            on_stall=self._on_stall,
        )
        services.engine.watch_steps(longest.on_step)
        services.engine.watch_steps(self._watchdog.on_step)

    async def run(self) -> int:
        """Run the service. Return the exit status: 0 after a drain or a stop, 1 if the engine did not start or has died."""
        self._loop = loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._stop_now.set)
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        if file := self._services.settings.api_keys_file:
            keys = follow_key_file(file, self._services.keys, self._services.telemetry)
            self._following = asyncio.create_task(keys)  # Kept, as a loop holds tasks only weakly.
        serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
        endings = (self._until_stopped(), self._until_drained(), self._until_dead())
        waiting = [asyncio.create_task(ending) for ending in endings]
        ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        self._server.should_exit = True
        self._server.force_exit = self._stop_now.is_set()
        await asyncio.wait([serving], timeout=_SERVER_STOP_S)
        self._watchdog.stop()
        return ended.pop().result()

    def _on_sigterm(self) -> None:
        # Before the engine is ready there is no turn to wait for. A second SIGTERM asks to stop at once.
        is_hurried = self._drain.is_set() or not self._services.lifecycle.is_ready
        (self._stop_now if is_hurried else self._drain).set()

    async def _until_stopped(self) -> int:
        await self._stop_now.wait()
        return 0

    async def _until_drained(self) -> int:
        await self._drain.wait()
        _log.info("draining", turns=self._services.admission.entered)
        is_empty = await self._services.lifecycle.drain()
        _log.info("drained", all_turns_finished=is_empty)
        return 0

    async def _until_dead(self) -> int:
        """Start the engine, then watch it. Returns only after a failure, as an engine that died never recovers."""
        try:
            await self._services.lifecycle.start()
        except FirstwordError as error:
            _log.error("start failed", reason=str(error))
            return 1
        except Exception as error:  # Its message could quote the configuration. The engine's processes must still be ended.
            _log.error("start failed", cause=type(error).__name__, at=places_of(error))
            return 1
        self._on_ready()
        self._watchdog.start(self._loop)
        if file := adapters_file(os.environ):
            self._watching = asyncio.create_task(self._services.adapters.watch(file))  # Kept, as a loop holds tasks only weakly.
        while self._services.engine.is_healthy and not self._watchdog.has_fired:
            await asyncio.sleep(_HEALTH_POLL_S)
        # A signal to the whole process group ends the engine too. Give this process time to receive it first.
        await asyncio.sleep(_HEALTH_POLL_S)
        if self._drain.is_set() and not self._watchdog.has_fired:
            return 0
        _log.error("engine died")
        return 1

    def _on_stall(self, stall: Stall) -> None:
        """Log what hangs, then kill the engine, which ends every stream with an error event. Runs on the watchdog's thread."""
        with contextlib.suppress(Exception):  # Some of it may not be readable any more.
            self._describe(stall)
        kill_children(wait_s=1.0)  # With SIGKILL, as a stopped process obeys no other signal.
        time.sleep(_END_AFTER_STALL_S)
        _exit(1)

    def _describe(self, stall: Stall) -> None:
        _log.critical(
            f"{stall.what} hung",
            silent_s=round(stall.silent_s, 1),
            allowed_s=round(stall.allowed_s, 1),
            turns_running=self._services.admission.running,
            turns_waiting=self._services.admission.waiting,
            unfinished=self._services.engine.unfinished,
            last_step=asdict(stall.last_step) if stall.last_step else None,
            processes=process_states(),
            threads=thread_stacks(),
            tasks=task_stacks(self._loop),
        )


def leave(services: Services, log: LogQueue, status: int) -> NoReturn:
    """End the engine and every process it started, then this process. Does not return.

    It uses `os._exit`, as a thread that is still loading weights cannot be stopped and would delay a normal exit.
    """
    with contextlib.suppress(Exception):
        services.engine.stop(_ENGINE_STOP_S)
    services.telemetry.close(_TRACES_CLOSE_S)
    log.close_within(_LOG_CLOSE_S)
    _exit(status)


def _exit(status: int) -> NoReturn:
    kill_children(wait_s=_CHILDREN_STOP_S)
    os._exit(status)
