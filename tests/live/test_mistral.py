"""A model as Mistral ships it (params.json and tekken.json), on the real engine. Its weights are random, so only form counts."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import ENGINE_START_S
from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import sse_events

PARAMS = {
    "dim": 64,
    "n_layers": 2,
    "head_dim": 32,
    "hidden_dim": 128,
    "n_heads": 2,
    "n_kv_heads": 1,
    "norm_eps": 1e-05,
    "vocab_size": 131072,
    "rope_theta": 1e6,
    "max_position_embeddings": 4096,
    "model_type": "transformer",
}
TOOL = {
    "type": "function",
    "function": {"name": "end_call", "description": "Hang up.", "parameters": {"type": "object", "properties": {}}},
}


def make_mistral(folder: Path) -> Path:
    mistral_common = pytest.importorskip("mistral_common")
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(PARAMS))
    shutil.copy(Path(mistral_common.__file__).parent / "data/tekken_240911.json", folder / "tekken.json")
    # vLLM takes a folder for Mistral's only if it has weights of this name. It reads their type, and nothing else of them here.
    safetensors.save_file({"norm.weight": torch.ones(64, dtype=torch.bfloat16)}, folder / "consolidated.safetensors")
    return folder


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("mistral")
    with service_process(
        folder / "log",
        within_s=ENGINE_START_S,
        model=str(make_mistral(folder / "acme-voice-4b")),
        engine_args='{"load_format": "dummy", "max_model_len": 2048}',
    ) as running:
        yield running


def heard(service: ServiceProcess, *, stream: bool, **fields: Any) -> tuple[str, list[tuple[str, str]], str]:
    """Return the content, the calls and the finish reason of an answer."""
    body = service.body("Hello 👋", stream=stream, **fields)
    response = service.post(body)
    assert response.status_code == 200, response.text
    if not stream:
        choice = json.loads(response.content)["choices"][0]
        deltas = [choice["message"]]
    else:
        choices = [chunk["choices"][0] for chunk in sse_events(response.text)[:-1]]
        deltas, choice = [each["delta"] for each in choices], choices[-1]
    calls = [each["function"] for delta in deltas for each in delta.get("tool_calls") or ()]
    content = "".join(delta.get("content") or "" for delta in deltas)
    return content, [(call["name"], call["arguments"]) for call in calls], choice["finish_reason"]


def test_it_streams_what_it_says_whole(mistral: ServiceProcess) -> None:
    for seed in range(3):
        fields = {"seed": seed, "temperature": 1.0, "max_tokens": 60, "tools": [TOOL]}
        assert heard(mistral, stream=True, **fields) == heard(mistral, stream=False, **fields)


def test_no_special_token_is_spoken(mistral: ServiceProcess) -> None:
    """Pushed to say `[INST]` and to end its answer, again and again."""
    content, _, _ = heard(mistral, stream=False, logit_bias={"3": 12.0, "2": 12.0}, ignore_eos=True, max_tokens=40, seed=1)
    assert "[INST]" not in content
    assert "</s>" not in content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "end_call"}}])
def test_a_forced_call(mistral: ServiceProcess, choice: Any, stream: bool) -> None:
    content, calls, _ = heard(
        mistral, stream=stream, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False, max_tokens=60, temperature=0
    )
    assert content == ""
    assert calls == [("end_call", "{}")]


def test_a_conversation_with_calls_renders(mistral: ServiceProcess) -> None:
    call = {"id": "call_0123456789", "type": "function", "function": {"name": "end_call", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief. 👋"},
        {"role": "user", "content": "Bye."},
        {"role": "assistant", "content": "Bye!", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0123456789", "content": "done"},
        {"role": "assistant", "content": "Done."},
    ]
    response = mistral.post({**mistral.body(max_tokens=4, tools=[TOOL]), "messages": messages})
    assert response.status_code == 200, response.text
