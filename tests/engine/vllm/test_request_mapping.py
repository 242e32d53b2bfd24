"""request_fields: which of vLLM's fields a job sets, and which are never set."""

from typing import Any

import pytest

from service.domain import Message, ResponseFormat, Sampling, Tool, ToolCall, ToolUse
from service.engine.vllm.request_mapping import message_fields, request_fields, tool_list
from tests.normalize.jobs import job_of
from tests.support.factories import CANARY, make_job

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = (Tool("get_weather", "The weather.", SCHEMA, strict=False), Tool("hang_up", None, {"type": "object"}))
# Fields with which a client of vLLM's own server could raise its priority or control the engine.
NEVER_ASKED = (
    "priority", "kv_transfer_params", "vllm_xargs", "session_id", "request_id", "logits_processors", "mm_processor_kwargs",
    "chat_template", "add_generation_prompt", "continue_final_message", "truncate_prompt_tokens", "return_token_ids", "user",
)  # fmt: skip


def fields_of(**job: Any) -> dict[str, Any]:
    return request_fields(make_job(**job), {}, {})


def function(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": fields}


def test_a_bare_job_asks_for_deltas_of_its_messages_and_nothing_more() -> None:
    assert fields_of(is_stream=False) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "min_tokens": 0,
        "ignore_eos": False,
        "n": 1,
        "stop_token_ids": [],
    }


def test_what_was_asked_of_the_sampler_is_asked_under_the_same_names() -> None:
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
    sampling = Sampling(**asked, stop=("a", "b"), stop_token_ids=(2,))  # type: ignore[arg-type]
    assert fields_of(sampling=sampling) == fields_of() | asked | {"stop_token_ids": [2]}  # Stop strings are ours.


def test_zero_is_a_value_and_not_the_default() -> None:
    zeros = {"temperature": 0.0, "top_k": 0, "seed": 0, "min_p": 0.0, "presence_penalty": 0.0}
    assert fields_of(sampling=Sampling(**zeros)).items() >= zeros.items()  # type: ignore[arg-type]


def test_several_greedy_choices_are_asked_for_in_a_way_vllm_takes() -> None:
    fields = fields_of(sampling=Sampling(temperature=0.0, n=2))
    assert (fields["temperature"], fields["top_k"], fields["n"]) == (1.0, 1, 2)
    assert "top_k" not in fields_of(sampling=Sampling(temperature=0.0))


@pytest.mark.parametrize("top", [0, 5])
def test_log_probabilities_are_asked_for_where_they_are_wanted(top: int) -> None:
    asked = fields_of(sampling=Sampling(top_logprobs=top))
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, top)
    assert not {"logprobs", "top_logprobs"} & fields_of().keys()


@pytest.mark.parametrize(
    ("choice", "named", "on_wire"),
    [
        ("auto", None, "auto"),
        ("none", None, "none"),
        ("required", None, "required"),
        ("named", "hang_up", function(name="hang_up")),
    ],
)
@pytest.mark.parametrize("is_parallel", [True, False])
def test_tools_are_offered_with_their_choice(choice: Any, named: str | None, on_wire: object, is_parallel: bool) -> None:
    fields = fields_of(tool_use=ToolUse(TOOLS, choice, named=named, is_parallel=is_parallel))
    assert (fields["tool_choice"], fields["parallel_tool_calls"]) == (on_wire, is_parallel)
    assert [tool["function"]["name"] for tool in fields["tools"]] == ["get_weather", "hang_up"]


@pytest.mark.parametrize(("choice", "is_strict"), [("auto", False), ("none", False), ("required", True), ("named", True)])
def test_arguments_of_a_call_that_must_be_made_are_held_to_their_schema(choice: Any, is_strict: bool) -> None:
    assert tool_list(ToolUse(TOOLS, choice)) == [
        function(name="get_weather", description="The weather.", parameters=SCHEMA, strict=False),
        function(name="hang_up", parameters={"type": "object"}, **({"strict": True} if is_strict else {})),
    ]


@pytest.mark.parametrize(
    ("asked", "on_wire"),
    [
        (ResponseFormat(None), {"type": "json_object"}),
        (ResponseFormat(SCHEMA), {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
    ],
)
def test_a_response_format_is_asked_for(asked: ResponseFormat, on_wire: object) -> None:
    assert fields_of(response_format=asked)["response_format"] == on_wire


@pytest.mark.parametrize(
    ("variables", "effort"),
    [
        ({"enable_thinking": False}, None),
        ({"reasoning_effort": "low"}, "low"),  # gpt-oss: vLLM's own encoder reads the request's field.
        ({"reasoning_effort": "none"}, None),  # It refuses this one.
        ({"reasoning_effort": "high", "enable_thinking": True}, None),  # The field would switch thoughts a second time.
    ],
)
def test_what_a_template_is_told_is_passed_on(variables: dict[str, Any], effort: str | None) -> None:
    # The profile has made the variables of these.
    job = make_job(reasoning_effort="max", template_kwargs={"x": 1})
    fields = request_fields(job, {}, variables)
    assert fields["chat_template_kwargs"] == variables
    assert fields.get("reasoning_effort") == effort


@pytest.mark.parametrize(
    ("message", "on_wire"),
    [
        (Message("system", "Be brief."), {"role": "system", "content": "Be brief."}),
        (Message("user", "Hi", name="Ann"), {"role": "user", "content": "Hi", "name": "Ann"}),
        (Message("assistant", "Hi", reasoning="hm"), {"role": "assistant", "content": "Hi", "reasoning": "hm"}),
        (Message("tool", "12 °C", tool_call_id="call_1"), {"role": "tool", "content": "12 °C", "tool_call_id": "call_1"}),
        (
            Message("assistant", "", tool_calls=(ToolCall("call_1", "f", '{"a": 1}'), ToolCall("call_2", "g", "{}"))),
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "call_1", **function(name="f", arguments='{"a": 1}')},
                    {"id": "call_2", **function(name="g", arguments="{}")},
                ],
            },
        ),
    ],
    ids=lambda part: part.role if isinstance(part, Message) else "",
)
def test_a_message_is_as_templates_know_it(message: Message, on_wire: dict[str, Any]) -> None:
    assert message_fields(message) == on_wire


def test_only_the_callers_own_salt_keeps_its_cache_apart() -> None:
    assert "cache_salt" not in request_fields(job_of(cache_salt=CANARY), {}, {})
    assert fields_of(cache_salt="s")["cache_salt"] == "s"


def test_what_a_client_could_promote_itself_with_is_never_asked() -> None:
    refused = {"chat_template", "add_generation_prompt", "continue_final_message"}
    given: dict[str, Any] = dict.fromkeys(set(NEVER_ASKED) - refused, CANARY)
    sly = job_of(**given)
    tools = ToolUse(TOOLS, "required")
    full = make_job(n=2, tool_use=tools, response_format=ResponseFormat(SCHEMA), cache_salt="s", reasoning_effort="low")
    for asked in (request_fields(sly, {}, {}), request_fields(full, {}, {})):
        assert not asked.keys() & set(NEVER_ASKED)
        assert CANARY not in str(asked)
