"""normalize: which fields of a request are refused by name, and which values are accepted."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain import ChatJob
from service.errors import ModelNotFound
from tests.normalize.jobs import job_of, refusal
from tests.support.factories import CANARY


def without_time(job: ChatJob) -> ChatJob:
    return replace(job, created=0)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_more_tokens_than_the_context_holds_are_refused(name: str) -> None:
    error = refusal(**{name: 101})
    assert (error.param, error.code) == (name, "integer_above_max_value")
    assert name in error.message and "at most 100" in error.message and "given: 101" in error.message


def test_more_choices_than_the_setting_allows_are_refused() -> None:
    assert job_of(n=4).sampling.n == 4
    error = refusal(n=5)
    assert (error.param, error.code) == ("n", "integer_above_max_value")
    assert "n must" in error.message and "at most 4" in error.message and "given: 5" in error.message


@pytest.mark.parametrize("name", ["gpt-5", "M", "", "m ", "x" * 1000 + CANARY, "\x1b[31m\n" + "m"])
def test_another_model_is_not_found(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        job_of(model=name)
    error = caught.value
    assert (error.status, error.param, error.code) == (404, "model", "model_not_found")
    assert error.message.isprintable()
    assert CANARY not in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modalities", ["text", "audio"]),
        ("modalities", CANARY),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("audio", {}),
        ("moderation", {"model": CANARY}),
        ("web_search_options", {}),
        ("prompt_logprobs", 1),
        ("echo", True),
        ("use_beam_search", True),
        ("chat_template", CANARY),
        ("chat_template", ""),
        ("continue_final_message", True),
        ("add_generation_prompt", False),
        ("documents", [{"text": CANARY}]),
        ("bad_words", [CANARY]),
        ("allowed_token_ids", [1]),
        ("structured_outputs", {"regex": CANARY}),
        ("guided_json", {"type": "object"}),
        ("guided_regex", CANARY),
        ("guided_choice", [CANARY]),
        ("guided_grammar", CANARY),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert (error.status, error.param, error.code) == (400, field, "unsupported_value")
    assert field in error.message and "not supported" in error.message and CANARY not in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", []),
        ("tool_choice", "none"),
        ("tool_choice", "auto"),
        ("functions", []),
        ("function_call", "none"),
        ("function_call", "auto"),
        ("response_format", {"type": "text"}),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("modalities", ["text"]),
        ("user", "someone"),
        ("parallel_tool_calls", True),
        ("prompt_logprobs", 0),
        ("echo", False),
        ("use_beam_search", False),
        ("continue_final_message", False),
        ("add_generation_prompt", True),
        ("documents", []),
        ("bad_words", []),
        ("structured_outputs", {}),
        ("guided_choice", []),
    ],
)
def test_a_value_that_asks_for_nothing_does_no_harm(field: str, value: Any) -> None:
    assert without_time(job_of(**{field: value})) == without_time(job_of())


@pytest.mark.parametrize("fields", [{"top_logprobs": 1}, {"top_logprobs": 20, "logprobs": False}])
def test_top_logprobs_alone_are_refused(fields: dict[str, Any]) -> None:
    error = refusal(**fields)
    assert (error.param, error.code) == ("top_logprobs", "invalid_value")
