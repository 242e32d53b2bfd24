"""A replica on several nodes: checks that the nodes have equal settings, and ends all of them when one ends.

vLLM connects the nodes and transfers the tensors. But its worker on another node waits for its leader for ever, and a leader
without a turn does not notice that a node is gone. So each node except the leader keeps a connection to the leader, on the port
`master_port + 1`. Whatever ends either of the two also closes that connection.
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
"""Seconds before a forced exit. A process whose engine died usually ends earlier."""
_LOG_CLOSE_S = 1.0
# A machine that lost its power does not close its connections. Keep-alive probes notice it after 5 + 3 x 5 s.
_KEEP_ALIVE_S = 5
_KEEP_ALIVE_PROBES = 3


def leader_node(settings: Settings) -> Node | None:
    """Return the leader's node, or None for a replica with one node. Raises `StartError` if this node is not the leader."""
    if settings.node_rank > 0:
        raise StartError(
            f"FIRSTWORD_NODE_RANK is {settings.node_rank}, and only rank 0 runs `firstword serve`. Run `firstword worker`."
        )
    return _this_node(settings) if settings.nodes > 1 else None


def further_node(settings: Settings) -> Node:
    """Return this node, which works for the leader. Raises `StartError` if this node is the leader."""
    if settings.node_rank == 0:
        raise StartError("FIRSTWORD_NODE_RANK is 0, which is the leader. Run `firstword serve`, or set the rank of this node.")
    if settings.node_rank >= settings.nodes:
        raise StartError(f"FIRSTWORD_NODE_RANK is {settings.node_rank}; it must be less than FIRSTWORD_NODES ({settings.nodes}).")
    return _this_node(settings)


def _this_node(settings: Settings) -> Node:
    if settings.engine == "scripted":
        raise StartError("FIRSTWORD_NODES must be 1 with the scripted engine.")
    if settings.master_address is None:
        raise StartError(
            "FIRSTWORD_MASTER_ADDRESS is missing. With FIRSTWORD_NODES above 1, set it to the leader's address on each node."
        )
    return Node(settings.nodes, settings.node_rank, settings.master_address, settings.master_port)


def equal_on_nodes(engine: Engine, node: Node) -> str:
    """Return a text that must be equal on all nodes of a replica. The fingerprint covers versions, model and engine arguments."""
    return f"{engine.model.fingerprint}, {node.count} nodes, {engine.max_adapters} adapters"


class Leader:
    """The leader's side of the connections."""

    def __init__(self, node: Node, equal: str, on_lost: Callable[[int], None]) -> None:
        """Start to listen. Raises `StartError` if the port cannot be bound.

        A node whose text differs from `equal` is refused. `on_lost` gets the rank of a node that is gone, on its own thread.
        """
        self._node, self._equal, self._on_lost = node, equal, on_lost
        self._ranks: set[int] = set()
        self._is_complete = threading.Event()
        is_dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if is_dual else socket.AF_INET
        try:
            self._server = socket.create_server(("", _port(node)), family=family, dualstack_ipv6=is_dual)
        except OSError as error:
            raise StartError(f"Cannot bind port {_port(node)}, which is FIRSTWORD_MASTER_PORT + 1: {error.strerror}.") from None
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_for_nodes(self) -> None:
        """Wait until all nodes have joined, before the engine starts: vLLM waits for minutes only, and downloads take longer."""
        self._is_complete.wait()

    def _accept(self) -> None:
        while True:
            connection, _ = self._server.accept()
            threading.Thread(target=self._keep, args=(connection,), daemon=True).start()

    def _keep(self, connection: socket.socket) -> None:
        with connection:
            rank = None
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # Not one of our nodes, but a port scanner.
                rank = self._welcome(connection)
            if rank is None:
                return
            _log.info("node joined", rank=rank)
            if len(self._ranks) == self._node.count - 1:
                self._is_complete.set()
            _until_closed(connection)
        self._on_lost(rank)

    def _welcome(self, connection: socket.socket) -> int | None:
        """Answer a node. Return its rank, or None if it is refused."""
        hello = _receive(connection)
        rank = int(hello["rank"])
        refusal = None
        if hello["equal"] != self._equal:
            refusal = f"it was started with {self._equal}, this node with {hello['equal']}"
        elif not 0 < rank < self._node.count or rank in self._ranks:
            refusal = f"rank {rank} is already in use, or not from 1 to {self._node.count - 1}"
        _send(connection, {"refusal": refusal})
        if refusal is not None:
            _log.error("node refused", rank=rank, reason=refusal)
            return None
        self._ranks.add(rank)
        return rank


def join(node: Node, equal: str) -> socket.socket:
    """Connect this node to its leader, and wait until the leader answers. Raises `StartError` if the leader refuses the node."""
    while True:
        try:
            connection = socket.create_connection((node.master_address, _port(node)), timeout=_HELLO_S)
            _send(connection, {"rank": node.rank, "equal": equal})
            refusal = _receive(connection)["refusal"]
        except (OSError, ValueError, KeyError, TypeError):  # The leader is not up yet, has no DNS name yet, or is ending.
            time.sleep(_RETRY_S)
            continue
        if refusal is not None:
            raise StartError(f"The leader refuses this node: {refusal}.")
        return connection


def follow(connection: socket.socket, work: Callable[[], None], log: LogQueue, *, patience_s: float) -> NoReturn:
    """Work until the leader or the engine ends, then exit with status 1, or 0 after a SIGTERM. Does not return.

    At SIGTERM the leader may still have turns that need this node, so the node stays until the leader has ended, for at most
    `patience_s` seconds.
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
    except Exception as error:  # vLLM has printed the details.
        end("start failed", cause=type(error).__name__)


def end_with_a_node(rank: int) -> NoReturn:
    """Kill the engine after a node is gone: every turn ends with an error, and the process exits with status 1.

    This is the leader's `on_lost`.
    """
    _log.error("node lost", rank=rank)
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline:  # Repeated, as processes may still be starting.
        kill_children(wait_s=1.0)
        time.sleep(0.2)
    os._exit(1)  # If there was no engine yet, nothing else ends the process.


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
