"""parse_request: what it accepts, and what its errors contain: the field and the limit, but never content."""

import json
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.schema.messages import TextPart
from service.schema.request import ChatRequest, parse_request
from tests.support.factories import CANARY, make_body, make_request

MAX_MESSAGES = 3
OPTIONAL = [name for name, field in ChatRequest.model_fields.items() if not field.is_required()]
MESSAGE = {"role": "user", "content": CANARY}
DEEP = b"[" * 100_000 + b"]" * 100_000


def refusal(body: bytes) -> InvalidRequest:
    """Return the error for a body with the canary in its content. The error must not have the canary."""
    assert CANARY.encode() in body
    with pytest.raises(InvalidRequest) as caught:
        parse_request(body, max_messages=MAX_MESSAGES)
    error = caught.value
    assert CANARY not in json.dumps(error.as_openai())
    assert error.status == 400
    assert len(error.message) < 200
    return error


def raw(field: str) -> bytes:
    """Return a valid body with one more field, written as given. An encoder would not produce such JSON."""
    return b'{"model":"m","messages":[{"role":"user","content":"%s"}],%s}' % (CANARY.encode(), field.encode())


@pytest.mark.parametrize(
    "body",
    [
        raw('"n":1')[:-1],
        raw('"n":1')[:62],
        raw(""),
        raw('"n":1') + b"x",
        raw('"stop":"\xff"').replace("\xff".encode(), b"\xff"),
        raw('"stop":"s"').replace(b'"s"', b'"\xed\xa0\x80"'),
        raw('"stop":"a\nb"'),
        raw('"n":nope'),
        raw('"n":01'),
        raw('"x":1').replace(b"1", DEEP),
        raw('"messages":1').replace(b"1", DEEP),
        raw('"tools":1').replace(b"1", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        raw('"seed":1' + "0" * 5000),
        b"\xef\xbb\xbf" + raw('"n":1'),
        CANARY.encode(),
    ],
    ids=lambda body: ascii(body[60:90]),
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    error = refusal(body)
    assert (error.param, error.code) == (None, "invalid_json")
    assert error.message.startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize("body", [f'"{CANARY}"', f'["{CANARY}"]'])
def test_a_body_that_is_no_object_is_refused(body: str) -> None:
    error = refusal(body.encode())
    assert (error.param, error.code) == (None, "invalid_type")
    assert error.message.startswith("The request body: ")


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ('"temperature":NaN', "invalid_value"),
        ('"temperature":Infinity', "invalid_value"),
        ('"temperature":-Infinity', "invalid_value"),
        ('"temperature":1e999', "invalid_value"),
        ('"temperature":-0.1', "decimal_below_min_value"),
        ('"temperature":2.1', "decimal_above_max_value"),
        ('"temperature":"1"', "invalid_type"),
        ('"temperature":true', "invalid_type"),
        ('"top_p":1.01', "decimal_above_max_value"),
        ('"presence_penalty":-3', "decimal_below_min_value"),
        ('"frequency_penalty":3', "decimal_above_max_value"),
        ('"repetition_penalty":0', "decimal_below_min_value"),
        ('"min_p":2', "decimal_above_max_value"),
        ('"top_k":-2', "integer_below_min_value"),
        ('"max_tokens":0', "integer_below_min_value"),
        ('"max_tokens":-1', "integer_below_min_value"),
        ('"max_tokens":1.0', "invalid_type"),
        ('"max_tokens":"5"', "invalid_type"),
        ('"max_tokens":true', "invalid_type"),
        ('"max_tokens":1' + "0" * 400, "integer_above_max_value"),
        ('"max_tokens":-1' + "0" * 400, "integer_below_min_value"),
        ('"max_completion_tokens":1' + "0" * 400, "integer_above_max_value"),
        ('"max_completion_tokens":0', "integer_below_min_value"),
        ('"n":0', "integer_below_min_value"),
        ('"n":1' + "0" * 4000, "integer_above_max_value"),
        ('"n":false', "invalid_type"),
        ('"seed":9223372036854775808', "integer_above_max_value"),
        ('"seed":-9223372036854775809', "integer_below_min_value"),
        ('"seed":1' + "0" * 400, "integer_above_max_value"),
        ('"seed":true', "invalid_type"),
        ('"min_tokens":-1', "integer_below_min_value"),
        ('"stop":["a","b","c","d","e"]', "array_above_max_length"),
        ('"stop":""', "invalid_value"),
        ('"stop":7', "invalid_type"),
        ('"stream":"true"', "invalid_type"),
        ('"stream":1', "invalid_type"),
        (f'"stream_options":"{CANARY}"', "invalid_type"),
        ('"ignore_eos":"no"', "invalid_type"),
        (f'"logit_bias":["{CANARY}"]', "invalid_type"),
        (f'"logit_bias":{{"{CANARY}":1}}', "invalid_value"),
        ('"logit_bias":{"x\\ny":1}', "invalid_value"),
        ('"logit_bias":{"%s":1}' % ("y" * 10_000), "invalid_value"),
        ('"model":null', "invalid_type"),
        ('"model":true', "invalid_type"),
        ('"messages":null', "invalid_type"),
        ('"messages":[]', "empty_array"),
        (f'"messages":"{CANARY}"', "invalid_type"),
        (f'"messages":{{"role":"user","content":"{CANARY}"}}', "invalid_type"),
        (f'"messages":{json.dumps([MESSAGE] * (MAX_MESSAGES + 1))}', "array_above_max_length"),
    ],
    ids=lambda text: text[:40],
)
def test_a_wrong_field_is_named(field: str, code: str) -> None:
    error = refusal(raw(field))
    name = field.split('"')[1]
    assert (error.param, error.code) == (name, code)
    assert error.message.startswith((f"{name}: ", f"{name} must "))


@pytest.mark.parametrize(
    ("field", "param", "code"),
    [
        ('"stop":["a",""]', "stop[1]", "invalid_value"),
        ('"stop":["a",7]', "stop[1]", "invalid_type"),
        ('"logit_bias":{"50256":101}', "logit_bias.50256", "decimal_above_max_value"),
        (f'"logit_bias":{{"50256":"{CANARY}"}}', "logit_bias.50256", "invalid_type"),
        ('"stream_options":{"include_usage":"yes"}', "stream_options.include_usage", "invalid_type"),
    ],
)
def test_a_wrong_part_of_a_field_is_named(field: str, param: str, code: str) -> None:
    error = refusal(raw(field))
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(field: str) -> None:
    body: dict[str, Any] = make_body(x=CANARY)
    del body[field]
    error = refusal(json.dumps(body).encode())
    assert (error.param, error.code) == (field, "missing_required_parameter")


@pytest.mark.parametrize(
    ("message", "below", "code"),
    [
        (CANARY, "", "invalid_type"),
        (None, "", "invalid_type"),
        ({"content": CANARY}, ".role", "missing_required_parameter"),
        ({"role": CANARY, "content": CANARY}, ".role", "invalid_value"),
        ({"role": "tool", "content": CANARY}, ".tool_call_id", "missing_required_parameter"),
        ({"role": None, "content": CANARY}, ".role", "invalid_value"),
        ({"role": "user", "content": {"text": CANARY}}, ".content", "invalid_type"),
        ({"role": "user", "content": True}, ".content", "invalid_type"),
        ({"role": "user", "content": [CANARY]}, ".content[0]", "invalid_type"),
        ({"role": "user", "content": [{"text": CANARY}]}, ".content[0].type", "missing_required_parameter"),
        ({"role": "user", "content": [{"type": "text"}]}, ".content[0].text", "missing_required_parameter"),
        (
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": CANARY}}]},
            ".content[1].type",
            "invalid_value",
        ),
    ],
)
def test_the_wrong_message_is_pointed_at(message: object, below: str, code: str) -> None:
    error = refusal(json.dumps(make_body(messages=[MESSAGE, message])).encode())
    assert (error.param, error.code) == (f"messages[1]{below}", code)
    assert error.message.startswith(f"messages[1]{below}: ")


@pytest.mark.parametrize("content", [4111111111111111, 41.25, [4111111111111111], [{"type": "text", "text": 4111111111111111}]])
def test_a_number_somebody_said_is_not_repeated(content: object) -> None:
    error = refusal(json.dumps(make_body(messages=[MESSAGE, {"role": "user", "content": content}])).encode())
    assert "41" not in error.message


def test_the_number_given_and_the_limit_are_in_the_message() -> None:
    temperature, messages = refusal(raw('"temperature":2.5')), refusal(raw(f'"messages":{json.dumps([MESSAGE] * 4)}'))
    assert "less than or equal to 2" in temperature.message and "Given: 2.5" in temperature.message
    assert "at most 3 entries" in messages.message and "given: 4" in messages.message


def test_unknown_fields_are_ignored_everywhere() -> None:
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    request = make_request(
        messages=[{"role": "user", "content": [part], "name": "x", "zzz": 1}],
        metadata={"call": 1},
        stream_options={"include_obfuscation": False},
        store=True,
    )
    assert request.messages[0].content == [TextPart(type="text", text="Hi")]


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_means_not_given(field: str) -> None:
    assert make_request(**{field: None}) == make_request()


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"top_p": 0},
        {"stop": "x"},
        {"stop": ["a", "b", "c", "d"]},
        {"seed": -(2**63)},
        {"seed": 2**63 - 1},
        {"logit_bias": {"50256": -100, "0": 1.5}},
        {"messages": [{"role": "developer", "content": "a"}, {"role": "assistant"}, {"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": "😀\x00\u2028"}]},
    ],
)
def test_values_at_the_edge_are_taken_as_they_are(fields: dict[str, Any]) -> None:
    request = make_request(**fields).model_dump(exclude_unset=True)
    assert {name: request[name] for name in fields} == fields
