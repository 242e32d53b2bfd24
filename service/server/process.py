"""One service process: the socket, the signals, the engine's life, and an end that leaves no process behind."""

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
# After a drain nothing is left to wait for; vLLM would take all the time it is given.
_ENGINE_STOP_S = 1.0
_SERVER_STOP_S = 3.0
_LOG_CLOSE_S = 1.0
_TRACES_CLOSE_S = 2.0
_CHILDREN_STOP_S = 5.0
_HEALTH_POLL_S = 0.5
_OTHER_FILES = 200
"""Open files that are no connections: the engine's sockets, weights, logs."""
_END_AFTER_STALL_S = 6.0
"""The usual end of a process whose engine died takes a second or two; a blocked event loop takes no end by itself."""


def leave_on_signals() -> None:
    """Until `Service.run` takes over (model conversion, imports), a signal ends the process and its children, status 0."""

    def leave_now(number: int, frame: object) -> None:
        _exit(0)

    signal.signal(signal.SIGINT, leave_now)
    signal.signal(signal.SIGTERM, leave_now)


def bind(settings: Settings) -> socket.socket:
    """Take the port before anything slow. Not listening yet, so nobody waits in its backlog. Raises `StartError`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # A client that reads nothing: the kernel resets the connection, which ends the turn like any hang-up (tcp(7)).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.send_timeout_s * 1000))
    # One that has vanished without a word, while its turn waits and nothing is sent: asked after, then reset likewise.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(settings.send_timeout_s / 2)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(settings.send_timeout_s / 6)))
    try:
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        raise StartError(
            f"Cannot bind {settings.host}:{settings.port}: {error.strerror}. See FIRSTWORD_HOST, FIRSTWORD_PORT."
        ) from None
    return sock


def server_config(app: Callable[..., Any], settings: Settings) -> uvicorn.Config:
    """uvicorn as we run it, also in tests."""
    return uvicorn.Config(
        app,
        http=bounded_protocol(max_connections=_connections(settings.max_connections), send_timeout_s=settings.send_timeout_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # Nobody here asks for the caller's address.
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=1,
    )


def _connections(wanted: int) -> int:
    """How many fit into the open-files limit, which is raised for them: a shell's usual 1,024 are soon used up."""
    needed = wanted + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - _OTHER_FILES)


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which would turn a clean drain into an exit by signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Service:
    """Runs an app until a signal or the engine's death ends it."""

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
        """Returns the exit status: 0 after a drain or a stop, 1 when the engine did not start or died."""
        self._loop = loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._stop_now.set)
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        if file := self._services.settings.api_keys_file:
            keys = follow_key_file(file, self._services.keys, self._services.telemetry)
            self._following = asyncio.create_task(keys)  # Kept: a loop holds tasks weakly.
        serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
        ways_to_end = [asyncio.create_task(way) for way in (self._until_stopped(), self._until_drained(), self._until_dead())]
        ended, _ = await asyncio.wait(ways_to_end, return_when=asyncio.FIRST_COMPLETED)
        self._server.should_exit = True
        self._server.force_exit = self._stop_now.is_set()
        await asyncio.wait([serving], timeout=_SERVER_STOP_S)
        self._watchdog.stop()
        return ended.pop().result()

    def _on_sigterm(self) -> None:
        # Nothing to wait for before the engine is up; and who sends it twice is in a hurry.
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
        """Start the engine, then watch it. Returns only when it fails: an engine that died never recovers."""
        try:
            await self._services.lifecycle.start()
        except FirstwordError as error:
            _log.error("start failed", reason=str(error))
            return 1
        except Exception as error:  # Its words could quote what was configured; and the engine's processes must still be ended.
            _log.error("start failed", cause=type(error).__name__, at=places_of(error))
            return 1
        self._on_ready()
        self._watchdog.start(self._loop)
        if file := adapters_file(os.environ):
            self._watching = asyncio.create_task(self._services.adapters.watch(file))  # Kept: a loop holds tasks weakly.
        while self._services.engine.is_healthy and not self._watchdog.has_fired:
            await asyncio.sleep(_HEALTH_POLL_S)
        # A signal to the whole group ends the engine too: let ours be heard first.
        await asyncio.sleep(_HEALTH_POLL_S)
        if self._drain.is_set() and not self._watchdog.has_fired:
            return 0
        _log.error("engine died")
        return 1

    def _on_stall(self, stall: Stall) -> None:
        """On the watchdog's thread: say what hangs, then make a death of it, which ends every stream with an error event."""
        with contextlib.suppress(Exception):  # Whatever can't be said any more.
            self._describe(stall)
        kill_children(wait_s=1.0)  # SIGKILL: a stopped process heeds no other.
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
    """End the engine and every process it made, then this one. Does not return.

    `os._exit`: a thread that is still loading weights can't be stopped, and would hold a normal exit up.
    """
    with contextlib.suppress(Exception):
        services.engine.stop(_ENGINE_STOP_S)
    services.telemetry.close(_TRACES_CLOSE_S)
    log.close_within(_LOG_CLOSE_S)
    _exit(status)


def _exit(status: int) -> NoReturn:
    kill_children(wait_s=_CHILDREN_STOP_S)
    os._exit(status)
