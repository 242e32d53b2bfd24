"""normalize: what a request means, and what of it is refused."""

from typing import Any

import pytest

from service.domain import Caller, ChatJob, Message, Sampling
from service.errors import InvalidRequest, ModelNotFound
from service.normalize import normalize
from tests.factories import CANARY, make_card, make_request


def job_of(**fields: Any) -> ChatJob:
    return normalize(
        make_request(**fields), caller=Caller("acme"), turn_id="turn-1", model=make_card(max_model_len=100), max_choices=4
    )


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        job_of(**fields)
    return caught.value


def content_of(content: object) -> str:
    return job_of(messages=[{"role": "user", "content": content}]).messages[0].content


def test_a_bare_request_leaves_everything_to_the_model() -> None:
    job = job_of()
    assert job.messages == (Message("user", "Hello"),)
    assert job.sampling == Sampling()
    assert (job.turn_id, job.tenant, job.model) == ("turn-1", "acme", "m")
    assert (job.max_tokens, job.is_stream, job.include_usage) == (None, False, False)


def test_what_was_asked_of_the_sampler_arrives_there() -> None:
    asked = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.1,
        "seed": 7,
        "presence_penalty": 0.25,
        "frequency_penalty": -0.25,
        "repetition_penalty": 1.5,
        "logit_bias": {"5": -100.0},
        "min_tokens": 2,
        "ignore_eos": True,
        "n": 3,
    }
    assert job_of(**asked, stop=["a", "b"]).sampling == Sampling(**asked, stop=("a", "b"))  # type: ignore[arg-type]


def test_the_developer_speaks_as_the_system() -> None:
    roles = ["developer", "system", "user", "assistant"]
    job = job_of(messages=[{"role": role, "content": role} for role in roles])
    assert [(message.role, message.content) for message in job.messages] == [
        ("system", "developer"),
        ("system", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hi", "Hi"),
        ("", ""),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "Hi"}], "Hi"),
        ([{"type": "text", "text": "One"}, {"type": "text", "text": ""}, {"type": "text", "text": "two"}], "One\n\ntwo"),
    ],
)
def test_content_becomes_plain_text(content: object, text: str) -> None:
    assert content_of(content) == text


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 101, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_max_completion_tokens_wins_over_max_tokens(fields: dict[str, Any], max_tokens: int) -> None:
    assert job_of(**fields).max_tokens == max_tokens


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_more_tokens_than_the_context_holds_are_refused(name: str) -> None:
    error = refusal(**{name: 101})
    assert (error.param, error.code) == (name, "integer_above_max_value")
    assert error.message == f"{name} may be 100 at most; given: 101."


def test_more_choices_than_the_setting_allows_are_refused() -> None:
    assert job_of(n=4).sampling.n == 4
    error = refusal(n=5)
    assert (error.param, error.code) == ("n", "integer_above_max_value")
    assert error.message == "n may be 4 at most; given: 5."


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
        ("tools", [{"type": "function", "function": {"name": CANARY}}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": CANARY}}),
        ("functions", [{"name": CANARY}]),
        ("function_call", {"name": CANARY}),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": CANARY}}),
        ("response_format", CANARY),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert (error.status, error.param, error.code) == (400, field, "unsupported_value")
    assert error.message == f"{field} is not supported with this value."


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
    ],
)
def test_a_value_that_asks_for_nothing_does_no_harm(field: str, value: object) -> None:
    assert job_of(**{field: value}).sampling == Sampling()


@pytest.mark.parametrize("temperature", [None, 0, 1.5])
def test_top_p_of_zero_means_the_likeliest_token(temperature: float | None) -> None:
    assert job_of(top_p=0, temperature=temperature).sampling == Sampling(temperature=0.0, top_p=None)


@pytest.mark.parametrize(
    ("given", "stop"), [(None, ()), ("END", ("END",)), ([], ()), (["a", "b"], ("a", "b"))], ids=["none", "text", "empty", "list"]
)
def test_stop_becomes_a_tuple(given: object, stop: tuple[str, ...]) -> None:
    assert job_of(stop=given).sampling.stop == stop


@pytest.mark.parametrize(
    ("fields", "is_stream", "include_usage"),
    [
        ({"stream": True}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, False),
        ({"stream": True, "stream_options": {}}, True, False),
        ({"stream": False}, False, False),
    ],
)
def test_how_the_answer_travels(fields: dict[str, Any], is_stream: bool, include_usage: bool) -> None:
    job = job_of(**fields)
    assert (job.is_stream, job.include_usage) == (is_stream, include_usage)
