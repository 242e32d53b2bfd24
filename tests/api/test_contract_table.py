"""Compares each row of docs/contract.md with the official client's types, our schema, the tests it names and a service."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain import ChatJob
from service.errors import TurnError
from service.schema.response import ErrorBody
from tests.support.documents import table_rows_under
from tests.support.openai_fields import (
    request_fields_of_openai,
    request_fields_of_ours,
    response_fields_of_openai,
    response_fields_of_ours,
)
from tests.support.service_under_test import ScriptedService

TESTS = Path(__file__).parents[1]
HONOURED, IGNORED, REFUSED, NOT_SENT = "honoured", "ignored safely", "refused", "not sent"

# For each ignored field, a value that would change the answer if the field had an effect.
IGNORED_VALUES: dict[str, Any] = {
    "metadata": {"call": "42"},
    "store": True,
    "prediction": {"type": "content", "content": "Count from"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "user": "u",
    "verbosity": "high",
    "stream_options.include_obfuscation": True,
    "priority": -9,
    "cache_salt": "another tenant's",
    "request_id": "r",
    "session_id": "s",
    "kv_transfer_params": {"do_remote_prefill": True, "remote_host": "10.0.0.1"},
    "vllm_xargs": {"x": 1},
    "mm_processor_kwargs": {"x": 1},
    "include_stop_str_in_output": True,
    "skip_special_tokens": False,
    "truncate_prompt_tokens": 1,
    "include_reasoning": False,
    "thinking_token_budget": 1,
    "return_token_ids": True,
}
REFUSED_VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "modalities": ["text", "audio"],
    "moderation": {"model": "omni-moderation-latest"},
    "web_search_options": {},
    "chat_template": "{{ messages }}",
    "add_generation_prompt": False,
    "continue_final_message": True,
    "documents": [{"text": "x"}],
    "echo": True,
    "use_beam_search": True,
    "prompt_logprobs": 1,
    "bad_words": ["x"],
    "allowed_token_ids": [1],
    "structured_outputs": {"regex": "x"},
    "guided_json": {"type": "object"},
    "guided_regex": "x",
    "guided_choice": ["x"],
    "guided_grammar": "x",
}


def rows_under(heading: str) -> dict[str, tuple[str, str]]:
    """Map each field to its status and the test that the row names, without backquotes."""
    rows = table_rows_under("contract.md", heading)
    fields = [field.strip("`") for field, *_ in rows]
    assert len(set(fields)) == len(fields), "a field has two rows"
    return {field: (here, test.strip("`")) for field, (_, here, _, test) in zip(fields, rows, strict=True)}


OPENAI = rows_under("## The request: OpenAI's fields")
VLLM = rows_under("## The request: vLLM's fields")
ANSWER = rows_under("## The answer")


def said(rows: dict[str, tuple[str, str]], *words: str) -> set[str]:
    return {field for field, (here, _) in rows.items() if here in words}


def body_with(service: ScriptedService, field: str, value: Any) -> dict[str, Any]:
    """Return a body with this field. `a.b` is the field b inside a."""
    whole, _, part = field.partition(".")
    fields: dict[str, Any] = {"stream": bool(part), whole: {part: value} if part else value}
    return service.body(**fields)


def test_every_field_of_openais_request_has_a_row() -> None:
    assert set(OPENAI) == request_fields_of_openai()


def test_every_field_of_our_schema_has_a_row_and_is_honoured_or_refused() -> None:
    assert said(OPENAI | VLLM, HONOURED, REFUSED) == request_fields_of_ours()
    assert said(OPENAI | VLLM, HONOURED, REFUSED, IGNORED) == OPENAI.keys() | VLLM.keys()
    assert not OPENAI.keys() & VLLM.keys()


def test_every_field_of_the_answer_has_a_row() -> None:
    assert set(ANSWER) == response_fields_of_openai() | response_fields_of_ours()


def test_the_answers_rows_say_what_the_schema_sends() -> None:
    assert said(ANSWER, HONOURED) == response_fields_of_ours()
    assert said(ANSWER, NOT_SENT) == response_fields_of_openai() - response_fields_of_ours()


@pytest.mark.parametrize("test", sorted({test for _, test in (OPENAI | VLLM | ANSWER).values()}))
def test_the_test_that_a_row_names_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    functions = [node.name for node in ast.parse((TESTS / path).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert name in functions


def test_what_is_ignored_or_refused_is_tried_here_each() -> None:
    assert said(OPENAI | VLLM, IGNORED) == set(IGNORED_VALUES)
    assert said(OPENAI | VLLM, REFUSED) == set(REFUSED_VALUES)


@pytest.mark.parametrize(("field", "value"), IGNORED_VALUES.items(), ids=list(IGNORED_VALUES))
def test_what_is_ignored_changes_nothing(service: ScriptedService, field: str, value: object) -> None:
    """The engine's job and the answer are the same with and without the field."""
    asked, plain = body_with(service, field, value), body_with(service, field, None)
    answers = [service.post(body) for body in (asked, plain)]
    jobs: Sequence[ChatJob] = [replace(job, turn_id="", created=0) for job in service.engine.jobs[-2:]]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert jobs[0] == jobs[1]
    said_with, said_without = (_without_ids(answer.text, service.engine.jobs[-2:]) for answer in answers)
    assert said_with == said_without


def _without_ids(text: str, jobs: Sequence[ChatJob]) -> str:
    for job in jobs:
        text = text.replace(job.turn_id, "").replace(f'"created":{job.created}', "")
    return text


@pytest.mark.parametrize(("field", "value"), REFUSED_VALUES.items(), ids=list(REFUSED_VALUES))
def test_what_is_refused_is_named(service: ScriptedService, field: str, value: object) -> None:
    response = service.post(body_with(service, field, value))
    error = ErrorBody.model_validate_json(response.content).error
    assert (response.status_code, error.param, error.code) == (400, field, "unsupported_value")
    assert field in error.message
    assert service.post(body_with(service, field, None)).status_code == 200


def test_every_error_with_a_code_has_a_row() -> None:
    rows = [
        (status, code.strip("` "))
        for status, codes, *_ in table_rows_under("contract.md", "## Errors")
        for code in codes.split(",")
    ]
    ours = [error for error in _below(TurnError) if error.code]
    assert {(str(error.status), error.code) for error in ours} <= set(rows)


def _below(error: type[TurnError]) -> list[type[TurnError]]:
    return [each for child in error.__subclasses__() for each in (child, *_below(child))]
