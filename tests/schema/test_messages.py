"""The messages of a request: what each role accepts, and the position and message of each error."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from service.errors import InvalidRequest
from service.schema.messages import ChatMessage, UserMessage
from service.schema.request import ChatRequest, parse_request
from tests.support.factories import CANARY, make_body

ADAPTER: TypeAdapter[ChatMessage] = TypeAdapter(ChatMessage)
TEXT = {"type": "text", "text": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def refusal(message: object) -> InvalidRequest:
    """Return the error for this message, the second of two."""
    body = json.dumps(make_body(messages=[{"role": "user", "content": CANARY}, message])).encode()
    with pytest.raises(InvalidRequest) as caught:
        parse_request(body, max_messages=10)
    error = caught.value
    assert CANARY not in json.dumps(error.as_openai())
    assert "<" not in (error.param or "")
    assert len(error.message) < 200
    return error


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "Hi", "name": "x"},
        {"role": "system", "content": [TEXT, TEXT]},
        {"role": "user", "content": [TEXT], "name": None},
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
        {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": None, "function_call": None, "audio": None},
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]},
        {"role": "assistant", "tool_calls": []},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "assistant"},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "No."}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        {"role": "tool", "tool_call_id": "", "content": [TEXT]},
        {"role": "function", "name": "f", "content": "42"},
        {"role": "function", "name": "f", "content": None},
    ],
    ids=lambda message: json.dumps(message)[:60],
)
def test_openai_messages_are_taken_as_they_are(message: dict[str, Any]) -> None:
    taken = ADAPTER.validate_json(json.dumps(message))
    assert ADAPTER.dump_python(taken, exclude_unset=True) == message


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "Hi", "reasoning_details": [], "annotations": [], "audio": None},
        {"role": "user", "content": "Hi", "reasoning_content": "not mine", "reasoning": {}},
        {"role": "user", "content": [TEXT | {"cache_control": {"type": "ephemeral"}}], "id": 7},
        {"role": "user", "content": "Hi", "tool_calls": "not mine", "tool_call_id": 1},
    ],
)
def test_what_a_role_does_not_have_is_ignored(message: dict[str, Any]) -> None:
    taken = ADAPTER.dump_python(ADAPTER.validate_json(json.dumps(message)), exclude_unset=True)
    assert set(taken) <= {"role", "content", "audio"}


@pytest.mark.parametrize(("given", "taken"), [("Hm", "Hm"), ("", ""), (None, None), ({"effort": "low"}, None), (["Hm"], None)])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_assistants_reasoning_is_taken_if_it_is_text(field: str, given: object, taken: str | None) -> None:
    message = ADAPTER.validate_json(json.dumps({"role": "assistant", "content": "Hi", field: given}))
    assert ADAPTER.dump_python(message)[field] == taken


def test_arguments_as_an_object_are_its_json() -> None:
    call = CALL | {"function": {"name": "f", "arguments": {"city": "Zürich", "n": [1]}}}
    taken = ADAPTER.dump_python(ADAPTER.validate_json(json.dumps({"role": "assistant", "tool_calls": [call]})))
    assert taken["tool_calls"][0]["function"]["arguments"] == '{"city": "Zürich", "n": [1]}'


def test_a_call_without_its_type_is_a_function() -> None:
    call = {key: value for key, value in CALL.items() if key != "type"}
    taken = ADAPTER.dump_python(ADAPTER.validate_json(json.dumps({"role": "assistant", "tool_calls": [call]})))
    assert taken["tool_calls"] == [CALL]


@pytest.mark.parametrize("role", ["developer", "system", "user", "tool"])
@pytest.mark.parametrize(("content", "code"), [({"content": None}, "invalid_type"), ({}, "missing_required_parameter")])
def test_only_an_assistant_may_say_nothing(role: str, content: dict[str, None], code: str) -> None:
    error = refusal({"role": role, "tool_call_id": CANARY, **content})
    assert (error.param, error.code) == ("messages[1].content", code)


@pytest.mark.parametrize(
    ("message", "below", "code"),
    [
        ({"role": "assistant", "content": 7}, ".content", "invalid_type"),
        ({"role": "assistant", "content": [{"type": "refusal"}]}, ".content[0].refusal", "missing_required_parameter"),
        ({"role": "assistant", "content": [TEXT, CANARY]}, ".content[1]", "invalid_type"),
        ({"role": "assistant", "refusal": 7}, ".refusal", "invalid_type"),
        ({"role": "assistant", "audio": {"id": CANARY}}, ".audio", "invalid_value"),
        ({"role": "assistant", "function_call": CANARY}, ".function_call", "invalid_type"),
        ({"role": "assistant", "function_call": {"name": "f"}}, ".function_call.arguments", "missing_required_parameter"),
        ({"role": "assistant", "tool_calls": CANARY}, ".tool_calls", "invalid_type"),
        ({"role": "assistant", "tool_calls": [CALL, CANARY]}, ".tool_calls[1]", "invalid_type"),
        ({"role": "assistant", "tool_calls": [CALL | {"id": 7}]}, ".tool_calls[0].id", "invalid_type"),
        ({"role": "assistant", "tool_calls": [CALL | {"type": "custom"}]}, ".tool_calls[0].type", "invalid_value"),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, ".tool_calls[0].function", "missing_required_parameter"),
        (
            {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": [CANARY]}}]},
            ".tool_calls[0].function.arguments",
            "invalid_type",
        ),
        ({"role": "tool", "content": CANARY}, ".tool_call_id", "missing_required_parameter"),
        ({"role": "tool", "content": CANARY, "tool_call_id": 7}, ".tool_call_id", "invalid_type"),
        ({"role": "function", "content": CANARY}, ".name", "missing_required_parameter"),
        ({"role": "user", "content": CANARY, "name": 7}, ".name", "invalid_type"),
        ({"role": ["user"], "content": CANARY}, ".role", "invalid_value"),
        ({"role": "User", "content": CANARY}, ".role", "invalid_value"),
        ({"role": "<no role>", "content": CANARY}, ".role", "invalid_value"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_the_wrong_part_is_named(message: dict[str, Any], below: str, code: str) -> None:
    error = refusal(message)
    assert (error.param, error.code) == (f"messages[1]{below}", code)


def test_a_wrong_role_is_told_the_right_ones() -> None:
    message = refusal({"role": CANARY}).message
    assert all(f"'{role}'" in message for role in ("developer", "system", "user", "assistant", "tool", "function"))


@pytest.mark.parametrize("role", ["developer", "system", "user", "assistant", "tool"])
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": CANARY}},
        {"type": "input_audio", "input_audio": {"data": CANARY, "format": "wav"}},
        {"type": "file", "file": {"file_id": CANARY}},
        {"type": "video_url", "video_url": {"url": CANARY}},
    ],
    ids=lambda part: str(part["type"]),
)
def test_a_part_that_is_not_text_is_named_with_its_place(role: str, part: dict[str, Any]) -> None:
    error = refusal({"role": role, "tool_call_id": "x", "content": [TEXT, part]})
    assert (error.param, error.code) == ("messages[1].content[1].type", "invalid_value")
    assert error.message.startswith("messages[1].content[1].type: ")
    assert "'text'" in error.message and f"not {part['type']}" in error.message


def test_a_part_of_no_known_type_is_not_repeated() -> None:
    error = refusal({"role": "user", "content": [{"type": CANARY, CANARY: 1}]})
    assert error.message.startswith("messages[1].content[0].type: ")
    assert "'text'" in error.message and CANARY not in error.message


def test_only_an_assistant_refuses() -> None:
    error = refusal({"role": "user", "content": [{"type": "refusal", "refusal": CANARY}]})
    assert "'text'" in error.message and error.message.endswith("not refusal.")


def test_audio_is_refused_in_words() -> None:
    assert "not audio" in refusal({"role": "assistant", "audio": {"id": CANARY}}).message


def test_of_ten_thousand_wrong_parts_one_is_reported() -> None:
    content = [{"type": "image_url", "image_url": {"url": "x"}}] * 10_000
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_json(json.dumps({"role": "user", "content": content}))
    assert caught.value.error_count() <= 2


def test_messages_can_be_made_in_code() -> None:
    message = UserMessage(role="user", content="Hi")
    assert ChatRequest(model="m", messages=[message]).messages == [message]
