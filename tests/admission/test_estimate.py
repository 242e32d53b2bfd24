"""What a turn will cost, guessed before its template and tokenizer have run."""

from dataclasses import replace

import pytest

from service.admission.estimate import Estimator
from service.domain import ChatJob, Message, ToolCall, Usage
from tests.support.factories import make_job

SYSTEM = Message("system", "You sell tickets. " * 200)


def call(*said: str, system: Message = SYSTEM, tenant: str = "acme") -> ChatJob:
    """The caller first, then the agent, in turn."""
    talk = tuple(Message("user" if place % 2 == 0 else "assistant", text) for place, text in enumerate(said))
    return replace(make_job(max_tokens=50), messages=(system, *talk), tenant=tenant)


def answer(estimator: Estimator, job: ChatJob, *, tokens: int, cached: int, completion: int | None = 20) -> None:
    """Where it has no completion tokens, its caller hung up."""
    asked = estimator.look_at(job)
    estimator.exact(asked, tokens)
    estimator.begun(asked, tokens)
    if completion is not None:
        estimator.finished(asked, Usage(tokens, completion, cached))


def test_tokens_per_byte_are_learned_for_each_tenant() -> None:
    estimator = Estimator()
    job = make_job("x" * 400)
    assert estimator.estimate(estimator.look_at(job)).prompt_tokens == pytest.approx(100, abs=2)
    for _ in range(30):
        answer(estimator, job, tokens=200, cached=0)
    assert estimator.estimate(estimator.look_at(job)).prompt_tokens == pytest.approx(200, rel=0.05)
    other = replace(job, tenant="other")
    assert estimator.estimate(estimator.look_at(other)).prompt_tokens == pytest.approx(100, abs=2)


def test_what_the_template_adds_to_short_prompts_is_no_rate_for_long_ones() -> None:
    estimator = Estimator()
    for _ in range(20):
        answer(estimator, make_job("Tell me a story."), tokens=35, cached=0)
    assert estimator.estimate(estimator.look_at(make_job("Sing me a song!!"))).prompt_tokens == pytest.approx(35, abs=3)
    assert estimator.estimate(estimator.look_at(make_job("word " * 3000))).prompt_tokens < 5000


def test_a_known_beginning_need_not_be_computed_again() -> None:
    estimator = Estimator()
    first = call("Hello, this is Kim.")
    assert estimator.estimate(estimator.look_at(first)).uncached_tokens > 800
    answer(estimator, first, tokens=1000, cached=0)
    other_call = call("Good morning!")
    assert estimator.estimate(estimator.look_at(other_call)).uncached_tokens < 50
    continued = call("Hello, this is Kim.", "Hello Kim!", "Two for tonight.")
    assert estimator.estimate(estimator.look_at(continued)).uncached_tokens < 50


def test_only_whole_blocks_are_found() -> None:
    estimator = Estimator()
    answer(estimator, call("Hello"), tokens=1000, cached=0)
    for number in range(50):
        for tokens, cached in ((1000, 896), (850, 768)):  # Blocks of 128, as these two tell.
            answer(estimator, call(f"Hello {tokens + number}"), tokens=tokens, cached=cached)
    asked = estimator.look_at(call("Good morning"))
    for tokens, cached in ((1000, 896), (850, 768), (700, 640)):
        assert estimator.exact(asked, tokens).uncached_tokens == tokens - cached


SAID = "We have seats in the first row, and some at the back. " * 20
"""An answer of some 270 tokens."""


@pytest.mark.parametrize("completion", [280, None])
@pytest.mark.parametrize("heard", [SAID, SAID[:300]], ids=["all", "its beginning"])
def test_the_answer_to_a_known_beginning_was_computed_with_it(completion: int | None, heard: str) -> None:
    estimator = Estimator()
    answer(estimator, call("Hello"), tokens=1000, cached=0, completion=completion)
    continued = estimator.look_at(call("Hello", heard, "Two, please."))
    assert estimator.estimate(continued).uncached_tokens < 20
    heard_tokens = len(heard) * 1000 // 3605  # As the prompt has for its bytes.
    assert estimator.exact(continued, 1000 + heard_tokens + 40).uncached_tokens == pytest.approx(40, abs=26)
    unknown = estimator.look_at(call("Hi", SAID, "Two, please."))
    assert estimator.estimate(unknown).uncached_tokens > 200


def test_an_answer_behind_a_thought_is_not_in_the_cache() -> None:
    estimator = Estimator()
    asked = estimator.look_at(call("Hello"))
    estimator.begun(asked, 1000)
    estimator.finished(asked, Usage(1000, 400, 0, reasoning_tokens=120))
    continued = estimator.look_at(call("Hello", SAID, "Two, please."))
    assert estimator.exact(continued, 1290).uncached_tokens == 290


def test_a_tool_call_has_more_tokens_than_text() -> None:
    estimator = Estimator()
    answer(estimator, call("Hello"), tokens=1000, cached=0, completion=46)
    called = Message("assistant", "", tool_calls=(ToolCall("1", "weather", '{"city": "Paris"}'),))
    asked = estimator.look_at(replace(call("Hello"), messages=(*call("Hello").messages, called, Message("tool", "sunny"))))
    assert estimator.exact(asked, 1045 + 30).uncached_tokens == 30


def test_callers_who_begin_alike_do_not_lend_each_other_their_answers() -> None:
    estimator = Estimator()
    for cached, completion in ((0, 280), (999, 11)):
        answer(estimator, call("Hello"), tokens=1000, cached=cached, completion=completion)
    continued = estimator.look_at(call("Hello", SAID, "Two, please."))
    assert estimator.exact(continued, 1290).uncached_tokens < 40


def test_what_was_computed_is_counted_in_tokens_where_they_are_known() -> None:
    estimator = Estimator()
    rich = Message("system", "\N{HOT PEPPER}" * 100)  # Not the bytes for each token that the rest has.
    for number in range(20):
        answer(estimator, call(f"Hello {number}"), tokens=1000, cached=992)
    answer(estimator, call("Hello", system=rich), tokens=390, cached=0, completion=33)
    continued = estimator.look_at(call("Hello", "x" * 120, "y" * 40, system=rich))
    assert estimator.exact(continued, 390 + 32 + 15).uncached_tokens == 15


@pytest.mark.parametrize(("small", "large"), [(5000, 2000), (150, 6000)], ids=["falling", "steep"])
def test_prompts_whose_tokens_do_not_go_by_their_bytes_tell_nothing_of_a_turn_that_continues(small: int, large: int) -> None:
    estimator = Estimator()
    agents = {
        tokens: Message("system", "x" * size) for tokens, size in ((small, 500), (large, 8000))
    }  # Tools are not in the bytes.
    for number in range(20):
        for tokens, system in agents.items():
            answer(estimator, call(f"Hello {number}", system=system), tokens=tokens, cached=tokens - 40 if number else 0)
    for tokens, system in agents.items():
        answer(estimator, call("Hello", system=system), tokens=tokens, cached=tokens - 40, completion=101)
        continued = estimator.look_at(call("Hello", "x" * 400, "Two, please.", system=system))
        assert estimator.exact(continued, tokens + 100 + 30).uncached_tokens < 120
        assert estimator.estimate(continued).prompt_tokens == pytest.approx(tokens + 100, abs=100)


def test_of_a_system_prompt_what_was_found_of_it_is_known() -> None:
    estimator = Estimator()
    rich = Message("system", "\N{HOT PEPPER}" * 100)
    for said, cached in (("Hello", 0), ("Good morning", 256), ("Good evening", 352), ("Good evening", 368)):
        answer(estimator, call(said, system=rich), tokens=380, cached=cached)
    asked = estimator.look_at(call("I have a long question, and it begins so. " * 20, system=rich))
    for _ in range(30):
        answer(estimator, call("Good night", system=rich), tokens=380, cached=352)
    assert estimator.exact(asked, 600).uncached_tokens == pytest.approx(600 - 352, abs=20)


def test_another_tenant_or_system_prompt_knows_nothing_of_it() -> None:
    estimator = Estimator()
    answer(estimator, call("Hello"), tokens=1000, cached=0)
    for stranger in (call("Hello", tenant="other"), call("Hello", system=Message("system", "You book tables. " * 200))):
        assert estimator.estimate(estimator.look_at(stranger)).uncached_tokens > 800


def test_what_the_cache_does_not_keep_is_learned() -> None:
    estimator = Estimator()
    for number in range(20):
        answer(estimator, call(f"Hello {number}"), tokens=1000, cached=0)
    assert estimator.estimate(estimator.look_at(call("Hello!"))).uncached_tokens > 800


def test_completion_tokens_are_those_usually_said_or_asked() -> None:
    estimator = Estimator()
    for _ in range(20):
        answer(estimator, make_job(), tokens=10, cached=0)
    assert estimator.estimate(estimator.look_at(make_job())).completion_tokens == pytest.approx(20, abs=2)
    assert estimator.estimate(estimator.look_at(make_job(max_tokens=5))).completion_tokens == 5
    assert estimator.estimate(estimator.look_at(make_job(max_tokens=5, n=3))).completion_tokens == 15
