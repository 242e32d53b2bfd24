"""Conversion of vLLM's log probabilities: the token's own, those of the most likely tokens, and no -inf."""

import math

import pytest

from service.domain import Sampling, TextDelta, TokenLogprob
from service.engine.vllm.output_events import ChoiceReader, ParsedReader, token_logprobs
from tests.engine.vllm.outputs import Choice, Logprob, TinyParser, decode
from tests.support.factories import make_job

# One position. The sampled token 7 has rank 3, but vLLM lists it first.
AT_PLACE = {7: Logprob(-3.0, 3, " c"), 5: Logprob(-0.5, 1, " a"), 6: Logprob(-1.0, 2, " b")}
CHOICE = Choice(" c", (7,), logprobs=[AT_PLACE])


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
    assert token_logprobs(CHOICE, top, decode) == (own(" c", -3.0, beside),)


def test_they_come_only_where_they_were_asked_for() -> None:
    assert token_logprobs(CHOICE, None, decode) is None
    assert token_logprobs(Choice("x"), 2, decode) is None


@pytest.mark.parametrize(("given", "shown"), [(-math.inf, -9999.0), (-1e9, -9999.0), (-9998.0, -9998.0), (0.0, 0.0)])
def test_there_is_a_floor_since_json_has_no_infinity(given: float, shown: float) -> None:
    choice = Choice("x", (1,), logprobs=[{1: Logprob(given, 1, "x")}])
    assert token_logprobs(choice, 0, decode) == (own("x", shown),)


def test_a_token_that_is_not_listed_is_decoded_and_has_the_least() -> None:
    assert token_logprobs(Choice("x", (9,), logprobs=[{}]), 1, decode) == (own("<9>", -9999.0),)
    undecoded = Choice("x", (9,), logprobs=[{9: Logprob(-1.0, 1, None)}])
    assert token_logprobs(undecoded, 0, decode) == (own("<9>", -1.0),)


def test_half_a_character_is_shown_as_what_it_decodes_to() -> None:
    (half,) = token_logprobs(Choice("", (1,), logprobs=[{1: Logprob(-1.0, 1, "\ufffd")}]), 0, decode) or ()
    assert (half.token, half.token_bytes) == ("\ufffd", "\ufffd".encode())


def test_each_token_of_an_output_has_its_own() -> None:
    choice = Choice("ab", (1, 2), logprobs=[{1: Logprob(-1.0, 1, "a")}, {2: Logprob(-2.0, 1, "b")}])
    assert token_logprobs(choice, 0, decode) == (own("a", -1.0), own("b", -2.0))


def test_a_token_without_text_still_has_them() -> None:
    reader = ChoiceReader(0, make_job(sampling=Sampling(top_logprobs=0)), decode)
    assert reader.read(Choice("", (7,), logprobs=[AT_PLACE])) == [TextDelta(0, "", (own(" c", -3.0),))]


@pytest.mark.parametrize("is_stream", [True, False])
def test_through_a_parser_none_is_lost(is_stream: bool) -> None:
    job = make_job(is_stream=is_stream, sampling=Sampling(top_logprobs=0))
    reader = ParsedReader(0, job, decode, parser=TinyParser(), request=None, prompt_token_ids=[])
    events = [
        event
        for choice in (Choice("a", (7,), logprobs=[AT_PLACE]), Choice("", (7,), "stop", logprobs=[AT_PLACE]))
        for event in reader.read(choice)
    ]
    assert [each for event in events if isinstance(event, TextDelta) for each in event.logprobs or ()] == [own(" c", -3.0)] * 2
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "a"
