"""A model that thinks aloud, on the real engine: its thoughts are shown as such, and never spoken.

No such model is at hand, so one is made of the embedded model: two unused tokens of its vocabulary become `<think>` and
`</think>`, and its template opens a thought, as those of DeepSeek R1 and Qwen 3 do. It never closes one by itself.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

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
    template.write_text(template.read_text().replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n"))
    return folder


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("thinker")
    with service_process(
        folder / "log", within_s=ENGINE_START_S, model=str(make_thinker(folder / "Thinker-135M")), reasoning_parser="deepseek_r1"
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
    closing = thinker.body("Tell me about the sea.", max_tokens=60, logit_bias={str(closing_token()): 14.0}, ignore_eos=True)
    messages = [
        ChatCompletion.model_validate_json(thinker.post({**closing, "seed": seed}).content).choices[0].message
        for seed in range(6)
    ]
    assert any(message.reasoning_content for message in messages)
    assert not any("think>" in (message.content or "") + (message.reasoning_content or "") for message in messages)


def closing_token() -> int:
    tokenizer = json.loads((model_folder() / "tokenizer.json").read_text())
    unused = {thought: unused for unused, thought in UNUSED.items()}["</think>"]
    return next(int(token["id"]) for token in tokenizer["added_tokens"] if token["content"] == unused)
