"""One turn over a real socket: what is measured is what was scripted."""

import socket
import time
from contextlib import closing
from typing import Any

import pytest

from loadtest.calls.stream import Answer, ask
from loadtest.calls.target import Line, Target
from service.domain import ToolCallDelta
from service.engine.scripted.engine import Reply
from tests.loadtest.raw_endpoint import DONE, Piece, chunk, raw_endpoint
from tests.support.service_under_test import ServiceUnderTest, scripted_service, until

USAGE = chunk(usage={"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
SLACK_S = 0.15
pytestmark = pytest.mark.alone
"""How late a busy machine may be. Never early: that is what the tests are about."""


def ask_service(service: ServiceUnderTest, *, drop_after_s: float | None = None, **fields: Any) -> Answer:
    body = service.body(stream=True, stream_options={"include_usage": True}, **fields)
    return ask_at(service.url, body, key=service.key, drop_after_s=drop_after_s)


def ask_at(url: str, body: dict[str, Any] | None = None, *, key: str = "", **how: Any) -> Answer:
    answer = Answer()
    with closing(Line(Target(url, "raw"), key, silence_s=10)) as line:
        ask(line, body or {"model": "raw", "messages": []}, answer, **how)
    return answer


def since(answer: Answer, at: float | None) -> float:
    assert at is not None
    return at - answer.sent_at


def about(seconds: float) -> Any:
    """That, or a little later."""
    return pytest.approx(seconds + SLACK_S / 2, abs=SLACK_S / 2 + 0.002)


def test_times_and_tokens_are_what_was_scripted() -> None:
    with scripted_service(engine_args={"prefill_s": 0.2, "step_s": 0.05}) as service:
        service.engine.enqueue(Reply(steps=("Yes", ".", " And", " more", " words", ".")))
        answer = ask_service(service)
        assert (answer.outcome, "".join(answer.pieces)) == ("answered", "Yes. And more words.")
        assert since(answer, answer.first_word_at) == about(0.2)
        # The stop is known to end a sentence once a space follows it.
        assert since(answer, answer.first_sentence_at) == about(0.3)
        assert since(answer, answer.ended_at) == about(0.45)
        assert sum(answer.gaps) == about(0.25)
        assert (answer.completion_tokens, answer.prompt_tokens > 0) == (6, True)


def test_an_empty_first_chunk_is_no_word_and_both_stamps_are_kept() -> None:
    pieces = (0.05, chunk({"role": "assistant", "content": ""})), (0.2, chunk({"content": "Yes."})), (0.1, USAGE + DONE)
    with raw_endpoint(*pieces) as endpoint:
        answer = ask_at(endpoint.url)
        assert since(answer, answer.first_chunk_at) == about(0.05)
        assert since(answer, answer.first_word_at) == about(0.25)
        assert answer.gaps == [pytest.approx(0.2, abs=SLACK_S)]  # Less than 0.2 where the first chunk was read late.
        assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (9, 4, 3)


def test_a_character_cut_in_two_arrives_whole() -> None:
    stream = chunk({"content": "もしもし🙂。"}) + DONE
    with raw_endpoint(*((0.001, stream[at : at + 1]) for at in range(len(stream)))) as endpoint:
        answer = ask_at(endpoint.url)
        assert (answer.outcome, answer.pieces) == ("answered", ["もしもし🙂。"])


def test_a_thought_is_no_word_and_a_tool_call_is() -> None:
    thought, call = chunk({"reasoning_content": "hm"}), chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})
    with raw_endpoint((0.0, thought), (0.1, call), (0.1, DONE)) as endpoint:
        answer = ask_at(endpoint.url)
        assert since(answer, answer.first_word_at) == about(0.1)
    with scripted_service() as service:
        service.engine.enqueue(Reply(steps=((ToolCallDelta(0, 0, "{}", "id", "f"),),)))
        tools = [{"type": "function", "function": {"name": "f"}}]
        assert ask_service(service, tools=tools).outcome == "answered"


def test_a_refusal_is_told_by_status_code_and_header() -> None:
    with scripted_service(max_turns=1) as service:
        service.engine.enqueue(Reply(steps=("…",), prefill_s=30))
        with closing(socket.create_connection((service.host, service.port))) as holding:
            holding.sendall(service.raw_request(service.body()))
            until(lambda: service.engine.running == 1)
            answer = ask_service(service)
            assert (answer.outcome, answer.reason) == ("refused", "503 overloaded (capacity)")
            assert answer.first_word_at is None and answer.gaps == []


def test_a_barge_in_drops_the_stream_so_long_after_the_first_word() -> None:
    with scripted_service(engine_args={"prefill_s": 0.1, "step_s": 0.05}) as service:
        service.engine.enqueue(Reply(steps=("word ",) * 100))
        answer = ask_service(service, max_tokens=100, drop_after_s=0.3)
        until(lambda: service.engine.aborted == 1)
        assert answer.outcome == "barged-in"
        assert since(answer, answer.ended_at) == about(0.4)
        assert 1 < len(answer.pieces) < 20


def test_an_answer_that_ends_before_its_caller_interrupts_was_answered() -> None:
    with scripted_service() as service:
        assert ask_service(service, drop_after_s=5).outcome == "answered"
        assert service.engine.aborted == 0


WORD = 0.0, chunk({"content": "Yes"})
BROKEN: dict[str, tuple[list[Piece], dict[str, Any], str]] = {
    "status 500": ([(0, b'{"error": {"code": "engine_error", "message": "secret"}}')], {"status": 500}, "500 engine_error"),
    "not JSON in an error": ([(0, b"secret")], {"status": 502}, "502"),
    "does not stream": ([(0, b"{}")], {"headers": {"Content-Type": "application/json"}}, "not a stream"),
    "breaks off": ([WORD], {"is_whole": False}, "connection: HTTPParseError"),
    "no [DONE]": ([WORD], {}, "no [DONE]"),
    "an error event": ([WORD, (0, b'data: {"error": {"code": "cut_off", "message": "secret"}}\n\n')], {}, "error event cut_off"),
    "a code that is a sentence": ([(0, b'data: {"error": {"code": "my secret"}}\n\n')], {}, "error event"),
    "malformed": ([(0, b"data: {secret\n\n")], {}, "malformed chunk: not JSON"),
    "a chunk that is no object": ([(0, b"data: [1]\n\n")], {}, "malformed chunk: not an object"),
    "says nothing": ([(0, chunk({"content": ""})), (0, DONE)], {}, "empty answer"),
    "a code of ours that is no refusal": ([(0, b'{"error": {"code": "cut_off"}}')], {"status": 503}, "503 cut_off"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_is_a_failure_of_its_own_kind_and_says_nothing_of_the_conversation(name: str) -> None:
    pieces, about_it, reason = BROKEN[name]
    with raw_endpoint(*pieces, **about_it) as endpoint:
        answer = ask_at(endpoint.url)
        assert (answer.outcome, answer.reason) == ("failed", reason)


def test_vllms_refusal_after_200_is_a_refusal_until_a_word_was_said() -> None:
    refusal = 0.0, b'data: {"error": {"code": 503, "message": "secret"}}\n\n'
    with raw_endpoint(refusal) as endpoint:
        answer = ask_at(endpoint.url)
        assert (answer.outcome, answer.reason) == ("refused", "503")
    with raw_endpoint(WORD, refusal) as endpoint:
        assert ask_at(endpoint.url).outcome == "failed"


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [([(5.0, DONE)], "no token within 0.3 s"), ([WORD, (5.0, DONE)], "not finished within 0.3 s")],
    ids=["silence", "half an answer"],
)
def test_a_turn_without_an_end_is_given_up(pieces: list[Piece], reason: str) -> None:
    with raw_endpoint(*pieces) as endpoint:
        began_at = time.monotonic()
        answer = ask_at(endpoint.url, timeout_s=0.3)
        assert (answer.outcome, answer.reason) == ("failed", reason)
        assert time.monotonic() - began_at < 3


def event(text: str) -> bytes:
    return b"data: " + text.encode() + b"\n\n"


MALFORMED = {
    '{"choices": [null]}': "choices",
    '{"choices": ["secret"]}': "choices",
    '{"choices": {"0": {}}}': "choices",
    '{"choices": [{"delta": "secret"}]}': "delta",
    '{"choices": [{"delta": {"content": ["secret"]}}]}': "content",
    '{"choices": [{"delta": {"content": 7}}]}': "content",
    '{"choices": [{"delta": {"tool_calls": "secret"}}]}': "tool_calls",
    '{"choices": [], "usage": ["secret"]}': "usage",
    '{"choices": [], "usage": {"prompt_tokens": "secret"}}': "prompt_tokens",
    '{"choices": [], "usage": {"completion_tokens": -1}}': "completion_tokens",
    '{"choices": [], "usage": {"completion_tokens": 1.5}}': "completion_tokens",
    '{"choices": [], "usage": {"completion_tokens": true}}': "completion_tokens",
    '{"choices": [], "usage": {"completion_tokens": 99999999999999999}}': "completion_tokens",
    '{"choices": [], "usage": {"prompt_tokens_details": 4}}': "prompt_tokens_details",
    '{"a":' * 5000 + "1" + "}" * 5000: "not JSON",
}


@pytest.mark.parametrize(("text", "part"), MALFORMED.items(), ids=range(len(MALFORMED)))
def test_a_malformed_chunk_is_the_servers_failure_and_names_the_part(text: str, part: str) -> None:
    with raw_endpoint(WORD, (0, event(text)), (0, DONE)) as endpoint:
        answer = ask_at(endpoint.url)
        assert (answer.outcome, answer.reason) == ("failed", f"malformed chunk: {part}")
        assert (answer.prompt_tokens, answer.completion_tokens) == (0, 0)


def test_null_is_as_good_as_absent() -> None:
    nulls = '{"choices": [{"delta": {"content": null, "tool_calls": null}}], "usage": null, "error": null}'
    usage = '{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": null, "prompt_tokens_details": null}}'
    with raw_endpoint((0, event(nulls)), WORD, (0, event(usage)), (0, DONE)) as endpoint:
        answer = ask_at(endpoint.url)
        assert (answer.outcome, answer.prompt_tokens, answer.completion_tokens) == ("answered", 3, 0)


@pytest.mark.parametrize("code", ['[["secret"]]', "[" * 1000 + "]" * 1000], ids=["a list", "a deep one"])
def test_an_error_whose_code_is_no_word_has_none(code: str) -> None:
    with raw_endpoint(WORD, (0, event(f'{{"error": {{"code": {code}}}}}'))) as endpoint:
        assert ask_at(endpoint.url).reason == "error event"
    with raw_endpoint((0, f'{{"error": {{"code": {code}}}}}'.encode()), status=500) as endpoint:
        assert ask_at(endpoint.url).reason == "500"


def test_a_fault_of_our_own_stands_in_the_answer_and_is_raised() -> None:
    answer = Answer()
    with closing(Line(Target("http://127.0.0.1:1", "raw"), "", silence_s=1)) as line, pytest.raises(TypeError):
        ask(line, {"secret": object()}, answer)
    assert (answer.outcome, answer.reason) == ("failed", "fault of the load test: TypeError")
    assert answer.ended_at is not None


def test_nobody_there_is_a_failure() -> None:
    answer = ask_at("http://127.0.0.1:1")
    assert (answer.outcome, answer.reason) == ("failed", "connection: ConnectionRefusedError")
