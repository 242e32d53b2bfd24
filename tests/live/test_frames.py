"""Tokens that vLLM gathers itself: nothing is lost, nothing said twice, and every token counted."""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from service.engine.models.embedded import ensure_embedded_model
from service.streaming.frames import FRAMES_HEADER
from tests.live.conftest import ENGINE_START_S
from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import sse_events

with warnings.catch_warnings(action="ignore"):
    from vllm.sampling_params import RequestOutputKind, SamplingParams
    from vllm.tokenizers import get_tokenizer
    from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest
    from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector

    from service.engine.vllm.engine import tokens_waiting

TEXT = "Grüße, 世界 👩‍🚀! It was a bright cold day in April, and the clocks were striking thirteen. " * 2
ALWAYS_BUSY = (
    "import service.streaming.frames as frames; frames._FULL, frames._FREE = -1, -2; from service.cli.main import main; main()"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return get_tokenizer(str(ensure_embedded_model(print)))


def test_tokens_that_were_made_and_not_read_are_counted(tokenizer: Any) -> None:
    processor: Any = OutputProcessor(tokenizer, log_stats=True)
    collector = RequestOutputCollector(RequestOutputKind.DELTA, "inner")
    sampling = SamplingParams(output_kind=RequestOutputKind.DELTA, max_tokens=1000)
    request = EngineCoreRequest("inner", [1], None, sampling, None, 0.0, None, None, None, external_req_id="turn")
    processor.add_request(request, "prompt", None, 0, collector)
    assert tokens_waiting(collector) == 0
    for token in tokenizer.encode(TEXT)[:5]:
        processor.process_outputs([EngineCoreOutput("inner", [token])])
    assert tokens_waiting(collector) == 5
    assert tokens_waiting(collector) == 0, "read"
    collector.put(RuntimeError("the engine died"))
    assert tokens_waiting(collector) == 0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Its event loop always counts as full, and its window is longer than a slow machine's step."""
    log = tmp_path_factory.mktemp("busy") / "service.log"
    command = (sys.executable, "-c", ALWAYS_BUSY, "serve")
    with service_process(log, command, within_s=ENGINE_START_S, frame_window_s="0.5") as running:
        yield running


def reported(service: ServiceProcess, **headers: str) -> tuple[str, int, Any]:
    """One story: what was said, in how many frames, and what it used."""
    body = service.body("Tell me a story.", stream=True, temperature=0, max_tokens=120, stream_options={"include_usage": True})
    *chunks, _ = sse_events(service.post(body, headers=headers).text)
    said = [delta for chunk in chunks for choice in chunk["choices"] if (delta := choice["delta"].get("content"))]
    return "".join(said), len(said), chunks[-1]["usage"]["completion_tokens"]


def test_under_load_the_same_is_said_in_fewer_frames(busy: ServiceProcess) -> None:
    reported(busy)  # The window opens.
    each_token, token_frames, tokens = reported(busy, **{FRAMES_HEADER: "token"})
    adaptive, frames, used = reported(busy)
    assert (adaptive, used) == (each_token, tokens)
    assert frames < 0.8 * token_frames
    assert busy.get("/readyz").status_code == 200
