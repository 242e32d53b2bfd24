"""The caller speaks over the agent: the platform drops the stream, and the engine is rid of the turn within two steps."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.domain import EngineStep
from tests.support.service_under_test import ScriptedService, scripted_service, until

STEP_S = 0.1
"""Long enough that a machine which other work holds up does not miss one."""
PROMPT_TOKENS_PER_STEP = 100
LONG_PROMPT = "word " * 1500


class Steps:
    """How many steps the engine has made, and how many turns were in each."""

    def __init__(self, service: ScriptedService) -> None:
        self.running: list[int] = []
        service.engine.watch_steps(self._on_step)

    def _on_step(self, step: EngineStep) -> None:
        self.running.append(step.running + step.waiting)

    def until_alone(self, since: int) -> int:
        """Steps from that one on in which the dropped turn still was, beside the bystander's."""
        until(lambda: 1 in self.running[since:])
        return self.running[since:].index(1)


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    args = {"is_batching": True, "step_s": STEP_S, "max_batched_tokens": PROMPT_TOKENS_PER_STEP}
    with scripted_service(engine_args=args, ttft_budget_s=600, ttft_budget_max_s=600) as running:
        yield running


@contextmanager
def a_turn(service: ScriptedService, text: str, *, stream: bool = True) -> Iterator[socket.socket]:
    """Its caller hangs up as the scope ends."""
    with socket.create_connection((service.host, service.port), timeout=30) as sock:
        sock.sendall(service.raw_request(service.body(text, stream=stream, max_tokens=500, ignore_eos=True)))
        yield sock


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("text", ["Tell me all about it.", LONG_PROMPT], ids=["decode", "prefill"])
def test_a_dropped_turn_is_in_two_more_steps_at_most(service: ScriptedService, text: str, stream: bool) -> None:
    steps = Steps(service)
    with a_turn(service, "I stay on the line.") as bystander:
        bystander.recv(1024)
        with a_turn(service, text, stream=stream) as sock:
            until(lambda: steps.running[-1:] == [2])
            if stream and text != LONG_PROMPT:
                sock.recv(1024)
            dropped_at = len(steps.running)
        assert steps.until_alone(dropped_at) <= 2
    until(lambda: service.engine.running == 0)
    until(lambda: service.metric("firstword_abort_seconds_count") == 2)
    assert service.metric("firstword_abort_seconds_sum") < 2 * STEP_S


def test_one_that_waits_never_reaches_the_engine(service: ScriptedService) -> None:
    for _ in range(2):  # So that it is known what a prompt costs.
        service.post(service.body(LONG_PROMPT, max_tokens=2))
    with a_turn(service, "An engine's time. " + LONG_PROMPT):
        until(lambda: service.engine.running == 1)
        with a_turn(service, "No room beside it. " + LONG_PROMPT):
            until(lambda: service.metric("firstword_turns_waiting") == 1)
        until(lambda: service.metric("firstword_turns_waiting") == 0)
        assert service.engine.running == 1
    until(lambda: service.engine.running == 0)
    assert not any(job.messages[0].content.startswith("No room") for job in service.engine.jobs)
    until(lambda: service.metric("firstword_abort_seconds_count") == 2)


def test_what_was_generated_for_nobody_is_counted(service: ScriptedService) -> None:
    with a_turn(service, "Tell me all about it.") as sock:
        received = b""
        while received.count(b"\n\n") < 5:
            received += sock.recv(65536)
    until(lambda: service.metric("firstword_abort_seconds_count") == 1)
    assert 4 <= service.metric("firstword_wasted_tokens_total") <= 7
    assert service.metric("firstword_completion_tokens_total") == 0
