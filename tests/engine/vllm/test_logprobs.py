"""Log probabilities: the token's own, those of the most likely tokens, exact bytes, and only those of the content."""

import math

import pytest

from service.domain import Sampling, TextDelta, TokenLogprob, Tool, ToolUse
from service.engine.vllm.token_logprobs import token_logprob
from tests.engine.vllm.outputs import END, HANG_UP, Choice, Logprob, Words, choice_reader
from tests.support.factories import make_job

WORDS = Words()
A, B, C = WORDS.ids(" a", " b", " c")
# One position. The sampled token " c" has rank 3, but vLLM lists it first.
AT_PLACE = {C: Logprob(-3.0, 3), A: Logprob(-0.5, 1), B: Logprob(-1.0, 2)}


def own(token: str, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    return TokenLogprob(token, logprob, token.encode(), top)


@pytest.mark.parametrize(
    ("top", "beside"),
    [
        (0, ()),
        (1, (own(" a", -0.5),)),
        (2, (own(" a", -0.5), own(" b", -1.0))),
        (5, (own(" a", -0.5), own(" b", -1.0), own(" c", -3.0))),
    ],
)
def test_beside_a_token_stand_the_likeliest_in_order(top: int, beside: tuple[TokenLogprob, ...]) -> None:
    assert token_logprob(C, AT_PLACE, top, WORDS.token) == own(" c", -3.0, beside)


@pytest.mark.parametrize(("given", "shown"), [(-math.inf, -9999.0), (-1e9, -9999.0), (-9998.0, -9998.0), (0.0, 0.0)])
def test_there_is_a_floor_since_json_has_no_infinity(given: float, shown: float) -> None:
    assert token_logprob(A, {A: Logprob(given, 1)}, 0, WORDS.token) == own(" a", shown)


def test_a_token_that_is_not_listed_has_the_least() -> None:
    assert token_logprob(A, {}, 1, WORDS.token) == own(" a", -9999.0)


def logprobs_of(texts: list[str], *, size: int, stop: tuple[str, ...] = (), end: str = "stop") -> list[TokenLogprob]:
    """Return the log probabilities in the answer of these tokens, so many in an output. Each has the number of its place."""
    words = Words()
    use = ToolUse((Tool("hang_up", None, {}),), "auto")
    job = make_job(tool_use=use, sampling=Sampling(top_logprobs=0, stop=stop))
    reader = choice_reader(words, job)
    token_ids = [*words.ids(*texts), END]
    found: list[TokenLogprob] = []
    for start in range(0, len(token_ids), size):
        group = token_ids[start : start + size]
        logprobs = [{token_id: Logprob(-float(start + place), 1)} for place, token_id in enumerate(group)]
        events = reader.read(Choice(group, end if start + size >= len(token_ids) else None, logprobs))
        found += [each for event in events if isinstance(event, TextDelta) for each in event.logprobs or ()]
    return found


@pytest.mark.parametrize("size", [1, 2, 50])
def test_half_a_character_has_its_own_bytes(size: int) -> None:
    found = logprobs_of(["Hi", "half of 👋", "👋"], size=size)
    assert [(each.token, each.token_bytes) for each in found[:2]] == [("Hi", b"Hi"), ("\ufffd", b"\xf0\x9f")]
    assert found[2].token == "👋"


@pytest.mark.parametrize("size", [1, 2, 50])
def test_only_content_has_them(size: int) -> None:
    found = logprobs_of(["<think>", "Hm", "</think>", "Yes", ".", "<tool_call>", HANG_UP, "</tool_call>"], size=size)
    assert [each.token for each in found] == ["Yes", "."]


@pytest.mark.parametrize("size", [1, 2, 50])
def test_none_goes_past_a_stop_string(size: int) -> None:
    assert [each.token for each in logprobs_of(["One", " two", " st", "op", " more"], size=size, stop=("stop",))] == [
        "One",
        " two",
        " st",
    ]


def test_they_come_only_where_they_were_asked_for() -> None:
    words = Words()
    (event,) = choice_reader(words, make_job()).read(Choice(words.ids("Hi"), None, [{1: Logprob(-1.0, 1)}]))
    assert event == TextDelta(0, "Hi")
