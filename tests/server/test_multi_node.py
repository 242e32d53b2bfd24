"""A replica on several nodes: which nodes may join, and that all end together. With vLLM: tests/live/test_multi_node.py."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from service.engine.scripted.engine import ScriptedEngine
from service.engine.vllm.arguments import Node, node_args
from service.errors import StartError
from service.server.multi_node import equal_on_nodes, further_node, leader_node
from service.settings import Settings

LEADER = """
import sys, time
from service.engine.vllm.arguments import Node
from service.server.multi_node import Leader
from service.telemetry.logs import configure_logs

configure_logs("json")
leader = Leader(Node(3, 0, "localhost", int(sys.argv[1])), "equal", lambda rank: print("lost", rank, flush=True))
print("listening", flush=True)
leader.wait_for_nodes()
print("complete", flush=True)
time.sleep(60)
"""

FOLLOWER = """
import sys, time
from service.engine.vllm.arguments import Node
from service.errors import StartError
from service.server.multi_node import follow, join
from service.telemetry.logs import configure_logs

port, rank, equal, work_s, patience_s = sys.argv[1:]
log = configure_logs("json")
try:
    connection = join(Node(3, int(rank), "localhost", int(port)), equal)
except StartError as error:
    sys.exit(str(error))

def work():
    print("working", flush=True)
    time.sleep(float(work_s))

follow(connection, work, log, patience_s=float(patience_s))
"""

Start = Callable[..., "subprocess.Popen[str]"]


def free_pair() -> int:
    """A free port, and the one after it free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("", port + 1))
                return port


@pytest.fixture
def port() -> str:
    return str(free_pair())


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program, and wait for its first line of output."""
    with ExitStack() as ending:

        def run(program: str, *arguments: str, says: str) -> "subprocess.Popen[str]":
            command = [sys.executable, "-c", program, *arguments]
            process = ending.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            ending.callback(process.kill)
            assert process.stdout is not None
            if says:
                assert process.stdout.readline() == says + "\n"
            return process

        yield run


def follower(start: Start, port: str, rank: int = 1, *, work_s: float = 60, patience_s: float = 60) -> "subprocess.Popen[str]":
    return start(FOLLOWER, port, str(rank), "equal", str(work_s), str(patience_s), says="working")


def test_a_node_waits_for_its_leader_and_the_leader_notices_that_it_is_gone(start: Start, port: str) -> None:
    early = start(FOLLOWER, port, "2", "equal", "60", "60", says="")
    leader = start(LEADER, port, says="listening")
    assert early.stdout is not None
    assert early.stdout.readline() == "working\n"
    early.kill()
    assert leader.stdout is not None
    assert leader.stdout.readline() == "lost 2\n"


def test_a_node_ends_with_1_when_its_leader_or_its_work_does(start: Start, port: str) -> None:
    leader = start(LEADER, port, says="listening")
    assert follower(start, port, 1, work_s=0).wait(10) == 1
    left = follower(start, port, 2)
    leader.kill()
    assert left.wait(10) == 1
    assert left.stderr is not None
    assert '"leader gone"' in left.stderr.read()


def test_a_node_that_is_told_to_go_stays_for_the_leader_and_not_for_ever(start: Start, port: str) -> None:
    leader = start(LEADER, port, says="listening")
    patient, impatient = follower(start, port, 1), follower(start, port, 2, patience_s=0.5)
    for node in (patient, impatient):
        node.send_signal(signal.SIGTERM)
    assert impatient.wait(10) == 0
    assert patient.poll() is None
    leader.kill()
    assert patient.wait(10) == 0


@pytest.mark.parametrize("signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]])
def test_who_is_in_a_hurry_ends_a_node_at_once(start: Start, port: str, signals: list[signal.Signals]) -> None:
    start(LEADER, port, says="listening")
    node = follower(start, port)
    for number in signals:
        node.send_signal(number)
        time.sleep(0.2)  # Two at once would be one.
    assert node.wait(10) == 0


@pytest.mark.parametrize(("rank", "equal", "said"), [("1", "other", "equal, this node with other"), ("3", "equal", "rank 3")])
def test_a_node_that_does_not_belong_is_refused(start: Start, port: str, rank: str, equal: str, said: str) -> None:
    leader = start(LEADER, port, says="listening")
    node = start(FOLLOWER, port, rank, equal, "60", "60", says="")
    assert node.wait(10) == 1
    assert node.stderr is not None
    assert said in node.stderr.read()
    assert leader.poll() is None


def test_whoever_else_connects_does_no_harm(start: Start, port: str) -> None:
    leader = start(LEADER, port, says="listening")
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b'{"rank": null}\n', b"[]\n", b"\xff\n"):
        with socket.create_connection(("localhost", int(port) + 1)) as stranger:
            stranger.sendall(said)
    first, second = follower(start, port, 1), follower(start, port, 2)
    assert leader.stdout is not None
    assert leader.stdout.readline() == "complete\n"
    first.kill()
    assert leader.stdout.readline() == "lost 1\n"
    assert second.poll() is None


def test_a_leader_that_loses_a_node_before_it_has_an_engine_ends_too(start: Start, port: str) -> None:
    program = LEADER.replace('lambda rank: print("lost", rank, flush=True)', "multi_node.end_with_a_node")
    leader = start("from service.server import multi_node; multi_node._END_S = 0.5\n" + program, port, says="listening")
    follower(start, port).kill()
    assert leader.wait(10) == 1


def test_one_node_is_no_node_of_several() -> None:
    assert leader_node(Settings()) is None
    assert node_args(None, {"max_model_len": 8}) == {}


def test_leader_and_further_node_differ_in_their_rank_alone() -> None:
    several = Settings(nodes=2, master_address="leader", master_port=7)
    leader = leader_node(several)
    further = further_node(several.model_copy(update={"node_rank": 1}))
    assert (leader, further) == (Node(2, 0, "leader", 7), Node(2, 1, "leader", 7))
    assert node_args(further, {}) == node_args(leader, {}) | {"node_rank": 1}


def test_what_must_be_equal_tells_settings_apart() -> None:
    node = Node(2, 0, "leader", 7)
    engines = [ScriptedEngine("m", {}), ScriptedEngine("m", {}), ScriptedEngine("m", {"max_adapters": 1})]
    texts = [equal_on_nodes(engine, node) for engine in engines]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(node_rank=1, nodes=2, master_address="leader"), "FIRSTWORD_NODE_RANK is 1.*`firstword worker`"),
        (Settings(nodes=2), "FIRSTWORD_MASTER_ADDRESS"),
        (Settings(nodes=2, master_address="leader", engine="scripted"), "FIRSTWORD_NODES must be 1"),
    ],
)
def test_what_can_not_lead(settings: Settings, said: str) -> None:
    with pytest.raises(StartError, match=said):
        leader_node(settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(), "FIRSTWORD_NODE_RANK is 0.*`firstword serve`"),
        (Settings(node_rank=2, nodes=2, master_address="leader"), r"FIRSTWORD_NODE_RANK is 2.*FIRSTWORD_NODES \(2\)"),
        (Settings(node_rank=1, nodes=2), "FIRSTWORD_MASTER_ADDRESS"),
    ],
)
def test_what_is_no_further_node(settings: Settings, said: str) -> None:
    with pytest.raises(StartError, match=said):
        further_node(settings)


@pytest.mark.parametrize(("name", "said"), [("nnodes", "set by FIRSTWORD_NODES"), ("data_parallel_size", "use replicas")])
def test_engine_arguments_that_do_not_go_with_nodes(name: str, said: str) -> None:
    with pytest.raises(StartError, match=said):
        node_args(Node(2, 0, "leader", 7), {name: 2})
