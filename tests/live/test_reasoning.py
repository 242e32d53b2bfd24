"""A model that thinks aloud, on the real engine: its thoughts are shown as such, and never spoken.

No such model is at hand, so one is made of the embedded model: two unused tokens of its vocabulary become `<think>` and
`</think>`, and its template opens a thought unless `enable_thinking` is false, as Qwen 3's does. It never closes one by itself.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.engine.models.embedded import model_folder
from service.schema.response import ChatCompletion
from tests.live.conftest import ENGINE_START_S
from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import sse_events

UNUSED = {"<repo_name>": "<think>", "<file_sep>": "</think>"}


def make_thinker(folder: Path) -> Path:
    folder.mkdir()
    for file in model_folder().iterdir():
        os.link(file, folder / file.name) if file.suffix == ".safetensors" else shutil.copy(file, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text()
        for unused, thought in UNUSED.items():
            text = text.replace(json.dumps(unused), json.dumps(thought))
        (folder / name).write_text(text)
    template = folder / "chat_template.jinja"
    opening = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"
    prompt = "{{ '<|im_start|>assistant\n' }}"
    assert prompt in template.read_text()
    template.write_text(template.read_text().replace(prompt, prompt + opening))
    return folder


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("thinker")
    with service_process(
        folder / "log", within_s=ENGINE_START_S, model=str(make_thinker(folder / "Thinker-135M")), thinking="on"
    ) as running:
        yield running


def test_thoughts_are_not_content(thinker: ServiceProcess) -> None:
    answer = ChatCompletion.model_validate_json(thinker.post(thinker.body("Hello!", max_tokens=20, min_tokens=20)).content)
    message = answer.choices[0].message
    assert message.reasoning_content
    assert not message.content
    assert "think>" not in message.reasoning_content
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def test_streamed_thoughts_are_not_a_first_word(thinker: ServiceProcess) -> None:
    heard = thinker.metric("firstword_ttft_seconds_count")
    *chunks, done = sse_events(thinker.post(thinker.body("Hello!", max_tokens=20, min_tokens=20, stream=True)).text)
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert not any(delta.get("content") for delta in deltas)
    assert thinker.metric("firstword_ttft_seconds_count") == heard


def test_the_marks_of_a_thought_are_never_seen(thinker: ServiceProcess) -> None:
    """Pushed to close its thought sooner or later, and again and again."""
    closing = thinker.body("Tell me about the sea.", max_tokens=60, ignore_eos=True)
    pushes = [{"logit_bias": {str(closing_token()): bias}, "seed": seed} for bias in (14.0, 9.0) for seed in range(6)]
    messages = [
        ChatCompletion.model_validate_json(thinker.post({**closing, **push}).content).choices[0].message for push in pushes
    ]
    assert any(message.reasoning_content for message in messages)
    assert any(message.content for message in messages)
    assert not any("think>" in (message.content or "") + (message.reasoning_content or "") for message in messages)


def closing_token() -> int:
    tokenizer = json.loads((model_folder() / "tokenizer.json").read_text())
    unused = {thought: unused for unused, thought in UNUSED.items()}["</think>"]
    return next(int(token["id"]) for token in tokenizer["added_tokens"] if token["content"] == unused)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("quiet", [{"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}}])
def test_a_request_turns_thoughts_off(thinker: ServiceProcess, quiet: dict[str, Any], stream: bool) -> None:
    body = thinker.body("Hello!", max_tokens=16, min_tokens=16, temperature=0, stream=stream, **quiet)
    thought, said, usage = heard(thinker, body)
    assert not thought
    assert said
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_tokens_are_those_of_the_thought(thinker: ServiceProcess, stream: bool) -> None:
    body = thinker.body("Hello!", max_tokens=20, min_tokens=20, temperature=0, stream=stream)
    thought, said, usage = heard(thinker, body)
    assert thought
    assert not said
    # White space alone at the end of a thought is not shown, and its token is counted.
    assert usage["completion_tokens_details"]["reasoning_tokens"] == usage["completion_tokens"] == 20


def test_a_stream_and_a_whole_answer_are_the_same(thinker: ServiceProcess) -> None:
    """With a thought that is closed: the closing token is pushed."""
    bias = {str(closing_token()): 9.0}
    body = thinker.body("Tell me about the sea.", max_tokens=48, seed=3, logit_bias=bias)
    whole = heard(thinker, {**body, "stream": False})
    assert whole[:2] == heard(thinker, {**body, "stream": True})[:2]


def test_a_required_call_comes_after_the_thought_or_without_one(thinker: ServiceProcess) -> None:
    tool = {"type": "function", "function": {"name": "end_call", "parameters": {"type": "object", "properties": {}}}}
    body = thinker.body("Bye!", tools=[tool], tool_choice="required", reasoning_effort="none", max_tokens=60, temperature=0)
    message = ChatCompletion.model_validate_json(thinker.post(body).content).choices[0].message
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls or ()] == [("end_call", "{}")]
    assert not message.content


def heard(thinker: ServiceProcess, body: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return the thought, the content and the usage of an answer."""
    if not body.get("stream"):
        answer = json.loads(thinker.post(body).content)
        message = answer["choices"][0]["message"]
        return message.get("reasoning_content") or "", message["content"] or "", answer["usage"]
    *chunks, done = sse_events(thinker.post({**body, "stream_options": {"include_usage": True}}).text)
    assert done == "[DONE]"
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    usage = next(chunk["usage"] for chunk in chunks if chunk.get("usage"))
    thought, said = ("".join(delta.get(field) or "" for delta in deltas) for field in ("reasoning_content", "content"))
    return thought, said, usage
