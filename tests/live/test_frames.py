"""Tokens that vLLM gathers itself: nothing is lost, nothing said twice, and every token counted."""

import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from service.engine.embedded import ensure_embedded_model
from service.engine.holding import holding
from service.frames import FRAMES_HEADER
from tests.live.conftest import ENGINE_START_S
from tests.process import ServiceProcess, service_process
from tests.service_under_test import sse_events

with warnings.catch_warnings(action="ignore"):
    from vllm.sampling_params import RequestOutputKind, SamplingParams
    from vllm.tokenizers import get_tokenizer
    from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest, FinishReason
    from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector

TEXT = "Grüße, 世界 👩‍🚀! It was a bright cold day in April, and the clocks were striking thirteen. " * 2
ALWAYS_BUSY = "import service.frames as frames; frames._FULL, frames._FREE = -1, -2; from service.cli import main; main()"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return get_tokenizer(str(ensure_embedded_model(print)))


class Turn:
    """One in vLLM's own output processor, which is told its tokens step by step."""

    def __init__(self, tokenizer: Any, **params: Any) -> None:
        self.processor = OutputProcessor(tokenizer, log_stats=False)
        self.collector = RequestOutputCollector(RequestOutputKind.DELTA, "inner")
        sampling = SamplingParams(output_kind=RequestOutputKind.DELTA, max_tokens=1000, **params)
        request = EngineCoreRequest("inner", [1], None, sampling, None, 0.0, None, None, None, external_req_id="turn")
        self.processor.add_request(request, "prompt", None, 0, self.collector)
        self.text = ""
        self.tokens: list[int] = []

    def step(self, *token_ids: int, is_last: bool = False) -> bool:
        """One step of the engine. Whether it gave an output."""
        reason = FinishReason.LENGTH if is_last else None
        self.processor.process_outputs([EngineCoreOutput("inner", list(token_ids), finish_reason=reason)])
        output: Any = self.collector.get_nowait()
        if output is not None:
            assert output.finished == is_last
            self.text += output.outputs[0].text
            self.tokens += output.outputs[0].token_ids
        return output is not None


def test_held_tokens_come_with_the_first_step_after_the_release(tokenizer: Any) -> None:
    turn, ids = Turn(tokenizer), iter(tokenizer.encode(TEXT))
    assert turn.step(next(ids))
    hold = holding(turn.processor, "turn")
    assert hold is not None
    hold(True)
    assert not any(turn.step(next(ids)) for _ in range(5))
    hold(False)
    assert turn.step(next(ids)) and len(turn.tokens) == 7
    hold(True)
    hold(False)  # Nothing came meanwhile: the next leaves by itself.
    assert turn.step(next(ids)) and len(turn.tokens) == 8
    assert turn.step(next(ids)) and len(turn.tokens) == 9


@pytest.mark.parametrize("seed", range(20))
def test_whenever_it_is_held_all_is_said_once(tokenizer: Any, seed: int) -> None:
    chance, ids = random.Random(seed), tokenizer.encode(TEXT)
    turn = Turn(tokenizer)
    turn.step(ids[0])
    hold = holding(turn.processor, "turn")
    assert hold is not None
    left = ids[1:]
    while left:
        if chance.random() < 0.5:
            hold(chance.random() < 0.6)
        count = chance.randint(1, 3)  # Several in one step, as with speculative decoding.
        now, left = left[:count], left[count:]
        turn.step(*now, is_last=not left)
    assert turn.tokens == ids
    assert turn.text == tokenizer.decode(ids, skip_special_tokens=True)
    assert holding(turn.processor, "turn") is None, "it has ended"


def test_a_stop_text_is_found_while_it_is_held(tokenizer: Any) -> None:
    turn, ids = Turn(tokenizer, stop=["cold"]), tokenizer.encode(TEXT)
    turn.step(ids[0])
    hold = holding(turn.processor, "turn")
    assert hold is not None
    hold(True)
    for token in ids[1:]:
        turn.processor.process_outputs([EngineCoreOutput("inner", [token])])
    output: Any = turn.collector.get_nowait()
    assert output.finished and output.outputs[0].finish_reason == "stop"
    assert turn.text + output.outputs[0].text == TEXT[: TEXT.index("cold")]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Its event loop always counts as full, and its window is longer than a slow machine's step."""
    log = tmp_path_factory.mktemp("busy") / "service.log"
    command = (sys.executable, "-c", ALWAYS_BUSY, "serve")
    with service_process(log, command, within_s=ENGINE_START_S, frame_window_s="0.5") as running:
        yield running


def told(service: ServiceProcess, **headers: str) -> tuple[str, int, Any]:
    """One story: what was said, in how many frames, and what it used."""
    body = service.body("Tell me a story.", stream=True, temperature=0, max_tokens=120, stream_options={"include_usage": True})
    *chunks, _ = sse_events(service.post(body, headers=headers).text)
    said = [delta for chunk in chunks for choice in chunk["choices"] if (delta := choice["delta"].get("content"))]
    return "".join(said), len(said), chunks[-1]["usage"]["completion_tokens"]


def test_under_load_the_same_is_said_in_fewer_frames(busy: ServiceProcess) -> None:
    told(busy)  # The window opens.
    each_token, token_frames, tokens = told(busy, **{FRAMES_HEADER: "token"})
    adaptive, frames, used = told(busy)
    assert (adaptive, used) == (each_token, tokens)
    assert frames < 0.8 * token_frames
    assert busy.get("/readyz").status_code == 200
