"""A whole call: its turns, its history, and how it goes when turns do not."""

import time
from dataclasses import replace

import gevent  # type: ignore[import-untyped]
import pytest

from loadtest.calls.agents import AGENTS
from loadtest.calls.call import CallOutcome, Manners, Turn, hold_call
from loadtest.calls.plans import CallPlan, TurnPlan
from loadtest.calls.target import Line, Target, WrongUse, check, usable_key
from service.engine.scripted.engine import Reply
from service.errors import Overloaded
from tests.loadtest.raw_endpoint import DONE, chunk, raw_endpoint
from tests.support.service_under_test import ScriptedService, scripted_service, until

pytestmark = pytest.mark.alone
TURN = TurnPlan("Hello there.", think_s=0.0, speak_s=0.0, max_tokens=8)
QUICK = Manners(pause_scale=0.0)


def plan_of(*turns: TurnPlan) -> CallPlan:
    return CallPlan(0, "quiet", 0.0, AGENTS[0], turns)


def hold(service: ScriptedService, plan: CallPlan, manners: Manners = QUICK) -> tuple[CallOutcome, list[Turn]]:
    turns: list[Turn] = []
    line = Line(Target(service.url, service.model), service.key, silence_s=10)
    outcome = hold_call(plan, time.monotonic(), line, manners, turns.append)
    return outcome, turns


def outcomes(turns: list[Turn]) -> list[str]:
    return [turn.answer.outcome for turn in turns]


def test_the_answers_heard_are_the_history_of_the_next_turn() -> None:
    with scripted_service() as service:
        service.engine.enqueue(*(Reply(steps=(f"Answer {number}.",)) for number in range(3)))
        outcome, turns = hold(service, plan_of(*(replace(TURN, text=f"Question {number}?") for number in range(3))))
        assert (outcome, outcomes(turns)) == ("good", ["answered"] * 3)
        said = [(message.role, message.content) for message in service.engine.jobs[-1].messages]
        assert said[0] == ("system", AGENTS[0].system_prompt)
        assert [text for _, text in said[1:]] == ["Question 0?", "Answer 0.", "Question 1?", "Answer 1.", "Question 2?"]
        assert [len(job.messages) for job in service.engine.jobs[-3:]] == [2, 4, 6]


def test_a_call_keeps_its_connection() -> None:
    with raw_endpoint((0.0, chunk({"content": "Yes."}) + DONE)) as endpoint:
        turns: list[Turn] = []
        hold_call(plan_of(TURN, TURN, TURN), time.monotonic(), Line(Target(endpoint.url, "raw"), "", 10), QUICK, turns.append)
        assert (outcomes(turns), endpoint.connections) == (["answered"] * 3, 1)
        assert [body["max_tokens"] for body in endpoint.bodies] == [8] * 3


def test_a_refused_first_turn_loses_the_call_and_a_refused_later_one_spoils_it() -> None:
    with scripted_service() as service:
        refusal = Reply(steps=("…",), refuse=Overloaded("full"))
        service.engine.enqueue(refusal)
        outcome, turns = hold(service, plan_of(TURN, TURN))
        assert (outcome, outcomes(turns)) == ("lost", ["refused"])
        service.engine.enqueue(Reply(steps=("Yes.",)), refusal)
        outcome, turns = hold(service, plan_of(TURN, TURN, TURN))
        assert (outcome, outcomes(turns)) == ("spoiled", ["answered", "refused"])


def test_a_late_word_spoils_a_call_that_goes_on() -> None:
    with scripted_service() as service:
        service.engine.enqueue(Reply(steps=("Yes.",)), Reply(steps=("Late.",), prefill_s=0.4))
        outcome, turns = hold(service, plan_of(TURN, TURN, TURN), replace(QUICK, ttft_budget_s=0.3))
        assert (outcome, outcomes(turns)) == ("spoiled", ["answered"] * 3)
        assert [turn.is_on_time(0.3) for turn in turns] == [True, False, True]


def test_a_turn_that_breaks_spoils_the_call_and_ends_it() -> None:
    with scripted_service() as service:
        service.engine.enqueue(Reply(steps=("word ",) * 5, fail_after=2))
        outcome, turns = hold(service, plan_of(TURN, TURN))
        assert (outcome, outcomes(turns)) == ("spoiled", ["failed"])
        assert not turns[0].is_on_time(1)


@pytest.mark.parametrize(
    ("planned", "heard"),
    [
        (replace(TURN, max_tokens=100, barge_in_s=0.1), ["barged-in", "answered"]),
        (replace(TURN, max_tokens=100, hang_up_s=0.1), ["hung-up"]),
    ],
    ids=["barge-in", "hang-up"],
)
def test_who_barges_in_speaks_on_and_who_hangs_up_does_not(planned: TurnPlan, heard: list[str]) -> None:
    with scripted_service(engine_args={"step_s": 0.02}) as service:
        service.engine.enqueue(Reply(steps=("word ",) * 100))
        outcome, turns = hold(service, plan_of(planned, TURN))
        until(lambda: service.engine.aborted == 1)
        assert (outcome, outcomes(turns)) == ("good", heard)
        if len(heard) == 2:
            kept = service.engine.jobs[-1].messages[2].content
            assert 0 < len(kept) < len("word " * 100), "what was heard until then is in the history"


def test_the_caller_listens_and_thinks_and_speaks_before_the_next_turn() -> None:
    with scripted_service() as service:
        text = "A sentence that takes about two seconds."
        service.engine.enqueue(Reply(steps=(text,)))
        plan = plan_of(replace(TURN, think_s=9.0, speak_s=9.0), replace(TURN, think_s=2.0, speak_s=4.0))
        _, (first, second) = hold(service, plan, Manners(pause_scale=0.1))
        spoken_s = len(text) / AGENTS[0].language.chars_per_s
        assert first.answer.first_sentence_at is not None
        pause_s = second.due_at - first.answer.first_sentence_at
        assert pause_s == pytest.approx(0.1 * (spoken_s + 2.0 + 4.0), abs=0.05)
        assert 0 <= second.answer.sent_at - second.due_at < 0.5


def test_a_call_that_is_cut_tells_of_the_turn_it_was_in() -> None:
    with scripted_service(engine_args={"step_s": 0.02}) as service:
        service.engine.enqueue(Reply(steps=("word ",) * 500))
        turns: list[Turn] = []
        line = Line(Target(service.url, service.model), service.key, silence_s=10)
        plan = plan_of(replace(TURN, max_tokens=500))
        call = gevent.spawn(hold_call, plan, time.monotonic(), line, QUICK, turns.append)
        gevent.sleep(0.2)
        call.kill()
        assert outcomes(turns) == ["cut"]
        assert turns[0].answer.first_word_at is not None
        until(lambda: service.engine.aborted == 1)


def test_a_fault_of_the_load_test_itself_loses_no_turn() -> None:
    turns: list[Turn] = []
    unsayable = replace(TURN, max_tokens=2**99)
    with scripted_service() as service, pytest.raises(TypeError):
        line = Line(Target(service.url, service.model), service.key, silence_s=10)
        hold_call(plan_of(unsayable), time.monotonic(), line, QUICK, turns.append)
    assert [(turn.answer.outcome, turn.answer.reason) for turn in turns] == [("failed", "fault of the load test: TypeError")]


NO_CHUNK = "does not stream chunks of OpenAI's chat/completions"
PROBED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"\n", "it ends without any event"),
    "only comments": (b": ping\n\n", "it ends without any event"),
    "only the end": (DONE, "its first event is [DONE]"),
    "no JSON": (b"data: secret\n\n" + DONE, "its first event is malformed (not JSON)"),
    "another API": (b'data: {"type": "secret"}\n\n' + DONE, "its first event has no `choices`"),
    "choices of nothing": (b'data: {"choices": [null]}\n\n' + DONE, "its first event is malformed (choices)"),
    "an error": (b'data: {"error": {"code": 503, "message": "secret"}}\n\n', "its first event is an error 503"),
}


@pytest.mark.parametrize("name", PROBED)
def test_a_stream_of_something_else_is_found_before_the_run(name: str) -> None:
    stream, words = PROBED[name]
    with raw_endpoint((0.0, stream)) as endpoint, pytest.raises(WrongUse) as reported:
        check(Target(endpoint.url), "")
    assert NO_CHUNK in str(reported.value) and words in str(reported.value) and "secret" not in str(reported.value)


@pytest.mark.parametrize("stream", [chunk({"role": "assistant"}) + DONE, chunk() + chunk({"content": "Yes"}) + DONE])
def test_a_first_chunk_without_a_word_will_do(stream: bytes) -> None:
    with raw_endpoint((0.0, stream)) as endpoint:
        assert check(Target(endpoint.url), "").model == "raw"


@pytest.mark.parametrize("key", ["canary\nX-Other: 1", "canary\u00e9", "two canaries"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(WrongUse, match="FIRSTWORD_API_KEY") as refused:
        usable_key(key, "FIRSTWORD_API_KEY")
    assert "canar" not in str(refused.value)


def test_a_key_from_a_file_may_end_its_line() -> None:
    assert usable_key("k-1\n", "FIRSTWORD_API_KEY") == "k-1"


@pytest.mark.parametrize("host", ["http://localhost:80x", "http://[::1", "localhost", "ftp://h"])
def test_a_host_that_is_no_url_is_said_so(host: str) -> None:
    with pytest.raises(WrongUse, match="--host must be the URL"):
        check(Target(host, "m", "/v1/chat/completions"), "k")
