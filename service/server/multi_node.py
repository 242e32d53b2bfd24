"""The nodes of a replica that spans several: they start equal, and go together.

vLLM gathers them and moves the tensors. But its worker on a further node waits for its leader for ever, and a leader without a
turn does not notice that a node is gone. So each further node keeps a connection of its own to its leader, on the port after
the master port: it is closed by whatever ends either of the two.
"""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import structlog

from service.engine.processes import kill_children
from service.engine.protocol import Engine
from service.engine.vllm.arguments import Node
from service.errors import StartError
from service.settings import Settings
from service.telemetry.log_queue import LogQueue

_log = structlog.get_logger("firstword.nodes")
_HELLO_S = 10.0
_RETRY_S = 1.0
_CHILDREN_STOP_S = 5.0
_END_S = 10.0
"""The usual end of a process whose engine died takes less."""
_LOG_CLOSE_S = 1.0
# A machine that lost its power says nothing: noticed after 5 + 3 x 5 s.
_KEEP_ALIVE_S = 5
_KEEP_ALIVE_PROBES = 3


def leader_node(settings: Settings) -> Node | None:
    """The node that serves; None where a replica has but one. Raises `StartError`, also where this is a further one."""
    if settings.node_rank > 0:
        raise StartError(f"FIRSTWORD_NODE_RANK is {settings.node_rank}: such a node runs `firstword worker`.")
    return _this_node(settings) if settings.nodes > 1 else None


def further_node(settings: Settings) -> Node:
    """A node that works for the leader. Raises `StartError`, also where this is the leader."""
    if settings.node_rank == 0:
        raise StartError("FIRSTWORD_NODE_RANK is 0: such a node runs `firstword serve`.")
    if settings.node_rank >= settings.nodes:
        raise StartError(f"FIRSTWORD_NODE_RANK is {settings.node_rank}, and FIRSTWORD_NODES {settings.nodes}: it must be less.")
    return _this_node(settings)


def _this_node(settings: Settings) -> Node:
    if settings.engine == "scripted":
        raise StartError("FIRSTWORD_NODES: the scripted engine has one node.")
    if settings.master_address is None:
        raise StartError("FIRSTWORD_MASTER_ADDRESS is missing: with FIRSTWORD_NODES above 1, each must know where the leader is.")
    return Node(settings.nodes, settings.node_rank, settings.master_address, settings.master_port)


def equal_on_nodes(engine: Engine, node: Node) -> str:
    """What must be the same on all nodes of a replica. Versions, model and engine arguments are in the fingerprint."""
    return f"{engine.model.fingerprint}, {node.count} nodes, {engine.max_adapters} adapters"


class Leader:
    """The leader's end of the connections."""

    def __init__(self, node: Node, equal: str, on_lost: Callable[[int], None]) -> None:
        """Listen. A node that was made from something else than `equal` is refused. `on_lost` is called, on a thread of its own,
        with the rank of a node that is gone. Raises `StartError`.
        """
        self._node, self._equal, self._on_lost = node, equal, on_lost
        self._ranks: set[int] = set()
        self._is_complete = threading.Event()
        is_dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if is_dual else socket.AF_INET
        try:
            self._server = socket.create_server(("", _port(node)), family=family, dualstack_ipv6=is_dual)
        except OSError as error:
            raise StartError(f"Cannot bind port {_port(node)}, FIRSTWORD_MASTER_PORT + 1: {error.strerror}.") from None
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_for_nodes(self) -> None:
        """Until all have joined. Only then is the engine started: vLLM waits for minutes, and a download takes longer."""
        self._is_complete.wait()

    def _accept(self) -> None:
        while True:
            connection, _ = self._server.accept()
            threading.Thread(target=self._keep, args=(connection,), daemon=True).start()

    def _keep(self, connection: socket.socket) -> None:
        with connection:
            rank = None
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # Whatever is no node of ours: a scanner.
                rank = self._welcome(connection)
            if rank is None:
                return
            _log.info("node joined", rank=rank)
            if len(self._ranks) == self._node.count - 1:
                self._is_complete.set()
            _until_closed(connection)
        self._on_lost(rank)

    def _welcome(self, connection: socket.socket) -> int | None:
        """The rank of a node that may stay."""
        hello = _receive(connection)
        rank = int(hello["rank"])
        refusal = None
        if hello["equal"] != self._equal:
            refusal = f"it was started with {self._equal}, this node with {hello['equal']}"
        elif not 0 < rank < self._node.count or rank in self._ranks:
            refusal = f"rank {rank} is taken, or not one of {self._node.count} nodes"
        _send(connection, {"refusal": refusal})
        if refusal is not None:
            _log.error("node refused", rank=rank, reason=refusal)
            return None
        self._ranks.add(rank)
        return rank


def join(node: Node, equal: str) -> socket.socket:
    """A further node's end of its connection: returns once the leader is there. Raises `StartError` where it refuses."""
    while True:
        try:
            connection = socket.create_connection((node.master_address, _port(node)), timeout=_HELLO_S)
            _send(connection, {"rank": node.rank, "equal": equal})
            refusal = _receive(connection)["refusal"]
        except (OSError, ValueError, KeyError, TypeError):  # Not up yet, or without a name yet, or just going.
            time.sleep(_RETRY_S)
            continue
        if refusal is not None:
            raise StartError(f"The leader refuses this node: {refusal}.")
        return connection


def follow(connection: socket.socket, work: Callable[[], None], log: LogQueue, *, patience_s: float) -> NoReturn:
    """Work until the leader goes; then end with 1, or with 0 where we were told to. Does not return.

    At SIGTERM the leader still has turns that need this node: we stay until it has gone, for up to `patience_s`.
    """
    is_leaving = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if number == signal.SIGINT or is_leaving.is_set():
            _end(log, 0)
        is_leaving.set()
        timer = threading.Timer(patience_s, _end, (log, 0))
        timer.daemon = True
        timer.start()

    def end(why: str, **more: str) -> NoReturn:
        (_log.info if is_leaving.is_set() else _log.error)(why, **more)
        _end(log, 0 if is_leaving.is_set() else 1)

    def watch() -> None:
        _until_closed(connection)
        end("leader gone")

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    threading.Thread(target=watch, daemon=True).start()
    try:
        work()
        end("engine died")
    except Exception as error:  # vLLM has printed what it was.
        end("start failed", cause=type(error).__name__)


def end_with_a_node(rank: int) -> NoReturn:
    """The leader's `on_lost`: the engine is killed, which ends every turn with an error and the process with 1."""
    _log.error("node lost", rank=rank)
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline:  # Also processes that are only being started now.
        kill_children(wait_s=1.0)
        time.sleep(0.2)
    os._exit(1)  # There was no engine yet.


def _port(node: Node) -> int:
    return node.master_port + 1


def _send(connection: socket.socket, message: dict[str, object]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket) -> dict[str, Any]:
    connection.settimeout(_HELLO_S)
    with connection.makefile("rb") as lines:
        message: dict[str, Any] = json.loads(lines.readline(4096))
    return message


def _until_closed(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEP_ALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEP_ALIVE_PROBES)
    with contextlib.suppress(OSError):
        while connection.recv(1024):
            pass


def _end(log: LogQueue, status: int) -> NoReturn:
    kill_children(wait_s=_CHILDREN_STOP_S)
    log.close_within(_LOG_CLOSE_S)
    os._exit(status)
