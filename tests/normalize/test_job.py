"""normalize: what a request means."""

from typing import Any

import pytest

from service.domain import Adapter, Caller, Message, ResponseFormat, Sampling
from tests.normalize.jobs import ADAPTER, FUNCTION, TOOL, job_of, refusal
from tests.support.factories import CANARY


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
    sampling = job_of(**asked, stop=["a", "b"], stop_token_ids=[2, 3]).sampling  # type: ignore[arg-type]
    assert sampling == Sampling(**asked, stop=("a", "b"), stop_token_ids=(2, 3))  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    ("fields", "top_logprobs"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 0}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
    ],
)
def test_log_probabilities_come_only_where_asked_for(fields: dict[str, Any], top_logprobs: int | None) -> None:
    assert job_of(**fields).sampling.top_logprobs == top_logprobs


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat(None)),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, ResponseFormat({"type": "object"})),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": [1]}, "strict": True}},
            ResponseFormat({"enum": [1]}),
        ),
    ],
)
def test_a_response_format_is_text_any_object_or_a_schema(asked: object, meant: ResponseFormat | None) -> None:
    assert job_of(response_format=asked).response_format == meant


@pytest.mark.parametrize(
    ("fields", "is_offered", "is_legacy"),
    [
        ({}, False, False),
        ({"tools": [TOOL]}, True, False),
        ({"functions": [FUNCTION]}, True, True),
        ({"functions": []}, False, False),
    ],
)
def test_who_asked_with_functions_is_answered_so(fields: dict[str, Any], is_offered: bool, is_legacy: bool) -> None:
    job = job_of(**fields)
    assert (job.tool_use is not None, job.is_legacy_functions) == (is_offered, is_legacy)


@pytest.mark.parametrize(("name", "adapter"), [("m", None), ("short", None), ("support-bot", ADAPTER)])
def test_a_model_goes_by_its_name_an_alias_or_an_adapters_name(name: str, adapter: Adapter | None) -> None:
    job = job_of(model=name, aliases=("short",))
    assert (job.model, job.adapter) == (name, adapter)


def test_the_cache_salt_is_the_callers_own_and_never_the_requests() -> None:
    assert job_of(cache_salt=CANARY).cache_salt is None
    assert job_of(caller=Caller("acme", cache_salt="s"), cache_salt=CANARY).cache_salt == "s"


def test_what_a_template_is_told_and_the_tier_are_passed_on() -> None:
    job = job_of(chat_template_kwargs={"enable_thinking": False}, reasoning_effort="low", service_tier="flex")
    assert (job.template_kwargs, job.reasoning_effort, job.wants_service_tier) == ({"enable_thinking": False}, "low", True)
    bare = job_of()
    assert (bare.template_kwargs, bare.reasoning_effort, bare.wants_service_tier) == (None, None, False)


def test_thoughts_of_the_history_count_as_part_of_the_prompt() -> None:
    said = {"role": "assistant", "content": "Yes", "reasoning_content": "höm"}
    job = job_of(messages=[{"role": "user", "content": "Hi"}, said])
    assert job.messages[1].reasoning == "höm"
    assert (job.prompt_chars, job.prompt_bytes) == (8, 9)


def test_the_rules_that_changed_something_are_named() -> None:
    assert job_of().rules == ()
    assert job_of(messages=[{"role": "developer", "content": [{"type": "text", "text": "x"}]}]).rules == (
        "developer_role",
        "content_parts",
    )


@pytest.mark.parametrize("name", ["messages", "tools", "tokenize", "chat_template", "add_generation_prompt"])
def test_a_templates_variables_are_not_its_renderers_arguments(name: str) -> None:
    refused = refusal(chat_template_kwargs={name: CANARY})
    assert refused.param == "chat_template_kwargs"
    assert CANARY not in refused.message
