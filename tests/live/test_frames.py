"""Tokens that vLLM gathers itself: nothing is lost, nothing said twice, and every token counted."""

import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from service.engine.models.embedded import ensure_embedded_model
from service.engine.vllm.holding import holding, keep_tokens, tokens_made
from service.streaming.frames import FRAMES_HEADER
from tests.live.conftest import ENGINE_START_S
from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import sse_events

with warnings.catch_warnings(action="ignore"):
    from vllm.sampling_params import RequestOutputKind, SamplingParams
    from vllm.tokenizers import get_tokenizer
    from vllm.v1.engine import EngineCoreEvent, EngineCoreEventType, EngineCoreOutput, EngineCoreRequest, FinishReason
    from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
    from vllm.v1.metrics.stats import IterationStats

TEXT = "Grüße, 世界 👩‍🚀! It was a bright cold day in April, and the clocks were striking thirteen. " * 2
ALWAYS_BUSY = (
    "import service.streaming.frames as frames; frames._FULL, frames._FREE = -1, -2; from service.cli.main import main; main()"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return get_tokenizer(str(ensure_embedded_model(print)))


class Turn:
    """One in vLLM's own output processor, which is told its tokens step by step."""

    def __init__(self, tokenizer: Any, *, keeps: bool, **params: Any) -> None:
        self.processor: Any = OutputProcessor(tokenizer, log_stats=True)
        self.processor.released = []
        if keeps:
            keep_tokens(self.processor, EngineCoreOutput)
        self.collector = RequestOutputCollector(RequestOutputKind.DELTA, "inner")
        sampling = SamplingParams(output_kind=RequestOutputKind.DELTA, max_tokens=1000, **params)
        request = EngineCoreRequest("inner", [1], None, sampling, None, 0.0, None, None, None, external_req_id="turn")
        self.processor.add_request(request, "prompt", None, 0, self.collector)
        self.text = ""
        self.tokens: list[int] = []
        self.outputs = 0
        self.statistics: list[IterationStats] = []

    def step(self, *token_ids: int, is_last: bool = False, at_s: float = 0.0, **more: Any) -> bool:
        """One step of the engine. Whether it gave an output."""
        reason = FinishReason.LENGTH if is_last else None
        self.statistics.append(IterationStats())
        self.statistics[-1].iteration_timestamp = at_s
        step = EngineCoreOutput("inner", list(token_ids), finish_reason=reason, **more)
        self.processor.process_outputs([step], at_s, self.statistics[-1], weight_version="1")
        output: Any = self.collector.get_nowait()
        if output is not None:
            assert output.finished == is_last
            self.text += output.outputs[0].text
            self.tokens += output.outputs[0].token_ids
            self.outputs += 1
        return output is not None


@pytest.mark.parametrize("keeps", [False, True])
def test_held_tokens_come_with_the_first_step_after_the_release(tokenizer: Any, keeps: bool) -> None:
    turn, ids = Turn(tokenizer, keeps=keeps), iter(tokenizer.encode(TEXT))
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


@pytest.mark.parametrize("params", [{}, {"stop": ["nobody says this"]}])
def test_after_what_was_held_each_token_comes_by_itself_again(tokenizer: Any, params: dict[str, Any]) -> None:
    turn, ids = Turn(tokenizer, keeps=True, **params), iter(tokenizer.encode(TEXT))
    turn.step(next(ids))
    hold = holding(turn.processor, "turn")
    assert hold is not None
    hold(True)
    turn.step(next(ids))
    hold(False)  # The load has gone: nobody holds it again.
    assert turn.processor.released
    assert all(turn.step(next(ids)) for _ in range(10))
    assert not turn.processor.released
    hold(True)
    turn.step(next(ids))
    hold(False)
    turn.processor.abort_requests(["inner"], internal=True)
    turn.processor.process_outputs([])
    assert not turn.processor.released, "it has ended"


def test_what_nobody_has_taken_yet_is_counted(tokenizer: Any) -> None:
    turn, ids = Turn(tokenizer, keeps=True), iter(tokenizer.encode(TEXT))
    assert tokens_made(turn.processor, "turn") == 0
    turn.step(next(ids))
    hold = holding(turn.processor, "turn")
    assert hold is not None
    hold(True)
    for number in range(2, 6):
        turn.step(next(ids))
        assert tokens_made(turn.processor, "turn") == number
    assert len(turn.tokens) == 1
    assert tokens_made(turn.processor, "another") == 0


def told_by_chance(tokenizer: Any, ids: list[int], seed: int, *, keeps: bool, **params: Any) -> Turn:
    """A turn that is held and released by chance; whatever its seed, it is the same with tokens kept and without."""
    chance, turn = random.Random(seed), Turn(tokenizer, keeps=keeps, **params)
    turn.step(ids[0], at_s=1.0)
    hold = holding(turn.processor, "turn")
    assert hold is not None
    left, at_s = ids[1:], 1.0
    while left:
        if chance.random() < 0.5:
            hold(chance.random() < 0.6)
        count = chance.randint(1, 3)  # Several in one step, as with speculative decoding.
        at_s += chance.random()
        now, left = left[:count], left[count:]
        preempted = [EngineCoreEvent(EngineCoreEventType.PREEMPTED, at_s)] if chance.random() < 0.1 else None
        turn.step(*now, is_last=not left, at_s=at_s, events=preempted)
    assert holding(turn.processor, "turn") is None, "it has ended"
    return turn


@pytest.mark.parametrize("params", [{}, {"stop": ["nobody says this"]}])
@pytest.mark.parametrize("seed", range(20))
def test_whenever_it_is_held_all_is_said_once_and_counted_when_it_comes(
    tokenizer: Any, seed: int, params: dict[str, Any]
) -> None:
    ids = tokenizer.encode(TEXT)
    processed, kept = (told_by_chance(tokenizer, ids, seed, keeps=keeps, **params) for keeps in (False, True))
    for turn in (processed, kept):
        assert turn.tokens == ids
        assert turn.text == tokenizer.decode(ids, skip_special_tokens=True)
    assert [vars(each) for each in kept.statistics] == [vars(each) for each in processed.statistics]
    assert kept.statistics[-1].finished_requests[0].num_generation_tokens == len(ids)


def test_tokens_that_are_kept_do_not_cost_vllms_processing(tokenizer: Any) -> None:
    turn, ids = Turn(tokenizer, keeps=True), tokenizer.encode(TEXT)
    turn.step(ids[0])
    hold = holding(turn.processor, "turn")
    assert hold is not None
    hold(True)
    for token in ids[1:6]:
        turn.step(token)
    detokenizer = turn.processor.request_states["inner"].detokenizer
    assert detokenizer is not None and detokenizer.num_output_tokens() == 1
    hold(False)
    turn.step(ids[6])
    assert turn.outputs == 2 and turn.tokens == ids[:7]


def test_a_stop_text_is_found_while_it_is_held(tokenizer: Any) -> None:
    turn, ids = Turn(tokenizer, keeps=True, stop=["cold"]), tokenizer.encode(TEXT)
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
