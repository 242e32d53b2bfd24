"""The strict models agree with the official client's types, and report the faults of a document by path."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion as TheirCompletion
from openai.types.chat import ChatCompletionChunk as TheirChunk
from pydantic import BaseModel

from service.check.checks.schema import ChatCompletion, ChatCompletionChunk
from service.check.checks.validation import first_few, validate
from tests.check.good_server import MODEL
from tests.support.openai_fields import models_in

# The API reference requires `content`, which may be null. The official client does not.
STRICTER = {"choices[].message.content"}
# A voice agent does not use these.
NOT_LOOKED_INTO = ("moderation", "metadata")


@pytest.mark.parametrize(("ours", "theirs"), [(ChatCompletion, TheirCompletion), (ChatCompletionChunk, TheirChunk)])
def test_every_field_of_openai_is_known_and_as_required(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    mine, official = fields(ours), fields(theirs)
    assert mine.keys() == official.keys()
    assert {path for path in mine if mine[path] != official[path]} == STRICTER & mine.keys()


def test_a_valid_answer_has_no_faults() -> None:
    verdict = validate(ChatCompletion, json.dumps(answer()))
    assert (verdict.faults, verdict.absent, verdict.extra) == ((), (), ())


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("id", None, "id: input should be a valid string"),
        ("id", "", "id: string should have at least 1 character"),
        ("created", 1.5, "created: input should be a valid integer"),
        ("created", "1", "created: input should be a valid integer"),
        ("object", "text_completion", "object: input should be 'chat.completion'"),
        ("choices", [], "choices: list should have at least 1 item after validation, not 0"),
        ("choices.0.index", True, "choices[0].index: input should be a valid integer"),
        ("choices.0.finish_reason", None, "choices[0].finish_reason: input should be 'stop', 'length', 'tool_calls', "),
        ("choices.0.message.content", ["a"], "choices[0].message.content: input should be a valid string"),
        ("choices.0.message.tool_calls", [{"type": "function"}], "choices[0].message.tool_calls[0].function.id: field required"),
        ("usage.total_tokens", 4, "usage: value error, total_tokens is not the sum"),
        ("usage.prompt_tokens", -1, "usage.prompt_tokens: input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_told_by_its_path(path: str, value: Any, fault: str) -> None:
    faults = validate(ChatCompletion, json.dumps(answer({path: value}))).faults
    assert len(faults) >= 1
    assert faults[0].startswith(fault)


def test_what_is_absent_and_what_is_extra_is_told_by_its_path() -> None:
    document = answer({"choices.0.message.mood": "good", "x": 1})
    del document["choices"][0]["logprobs"]
    verdict = validate(ChatCompletion, json.dumps(document))
    assert verdict.faults == ()
    assert verdict.absent == ("choices[0].logprobs",)
    assert set(verdict.extra) == {"x", "choices[0].message.mood"}


def test_what_is_no_json_is_told_without_quoting_it() -> None:
    faults = validate(ChatCompletion, "I am no JSON").faults
    assert len(faults) == 1
    assert faults[0].startswith("(the whole body): invalid JSON")
    assert "I am" not in faults[0]


def test_only_the_first_few_are_told() -> None:
    assert first_few(["a", "b", "a", "c", "d", "e"]) == "a; b; c; and 2 more"


def answer(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hello", "refusal": None}
    document: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
    }
    for path, value in (changes or {}).items():
        *way, last = path.split(".")
        place: Any = document
        for step in way:
            place = place[int(step) if step.isdecimal() else step]
        place[last] = value
    return document


def fields(model: type[BaseModel], prefix: str = "") -> dict[str, bool]:
    """Each field's path, and whether it is required."""
    found: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        inner, brackets = models_in(field.annotation)
        path = f"{prefix}{name}"
        # Each of the two kinds of tool call requires fields that the other does not have.
        found[path] = found.get(path, True) and field.is_required()
        if name not in NOT_LOOKED_INTO:
            for each in inner:
                found |= fields(each, f"{path}{brackets}.")
    return found
