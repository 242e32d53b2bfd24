"""One trace from the caller through our stages into vLLM's own span, as a real OTLP receiver gets it."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import openai
import pytest

from tests.live.conftest import ENGINE_START_S
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.support.process import service_process

CALLER = "b7ad6b7169203331"
TRACE, UNSAMPLED_TRACE = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"
STAGES = ["auth", "read", "normalize", "render", "wait", "prefill", "answer"]


@dataclass(frozen=True)
class Traced:
    receiver: OtlpReceiver
    log: str

    def children(self, parent: ReceivedSpan) -> list[ReceivedSpan]:
        return [span for span in self.receiver.spans if span.parent_id == parent.span_id]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A service that has answered three turns and ended at once: sampled by its caller, not sampled, and left to us."""
    log = tmp_path_factory.mktemp("traces") / "service.log"
    with otlp_receiver() as receiver:
        settings = {"otlp_endpoint": receiver.endpoint, "otlp_protocol": "http/protobuf"}
        with service_process(log, within_s=ENGINE_START_S, **settings) as service:
            with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
                for traceparent in (f"00-{TRACE}-{CALLER}-01", f"00-{UNSAMPLED_TRACE}-{CALLER}-00", None):
                    stream = client.chat.completions.create(
                        model=service.model,
                        messages=[{"role": "user", "content": "Tell me about the canary."}],
                        max_tokens=8,
                        stream=True,
                        extra_headers={"traceparent": traceparent} if traceparent else {},
                    )
                    assert list(stream)
            service.process.send_signal(signal.SIGTERM)
            assert service.wait() == 0
            yield Traced(receiver, service.output)


def test_one_trace_from_the_caller_to_the_engine(traced: Traced) -> None:
    spans = [span for span in traced.receiver.spans if span.trace_id == TRACE]
    assert sorted(span.name for span in spans) == sorted(["turn", "llm_request", *STAGES])
    (turn,) = [span for span in spans if span.name == "turn"]
    assert turn.parent_id == CALLER
    assert {span.parent_id for span in spans if span is not turn} == {turn.span_id}
    assert {span.resource["service.name"] for span in spans} == {"firstword"}


def test_the_engines_span_lies_within_the_turn_and_tells_of_the_same_tokens(traced: Traced) -> None:
    spans = {span.name: span for span in traced.receiver.spans if span.trace_id == TRACE}
    turn, engine = spans["turn"], spans["llm_request"]
    # vLLM counts from when it began to render the prompt.
    assert spans["render"].start_ns <= engine.start_ns <= spans["render"].end_ns
    assert spans["answer"].start_ns <= engine.end_ns <= turn.end_ns
    assert engine.attributes["gen_ai.request.id"] == turn.attributes["firstword.turn_id"]
    for theirs, ours in (("prompt", "input"), ("completion", "output")):
        assert engine.attributes[f"gen_ai.usage.{theirs}_tokens"] == turn.attributes[f"gen_ai.usage.{ours}_tokens"]


def test_an_unsampled_turn_is_unsampled_in_the_engine_too(traced: Traced) -> None:
    assert not [span for span in traced.receiver.spans if span.trace_id == UNSAMPLED_TRACE]


def test_a_turn_without_a_caller_is_a_trace_of_its_own_and_warm_up_turns_are_none(traced: Traced) -> None:
    (turn,) = [turn for turn in traced.receiver.named("turn") if turn.trace_id != TRACE]
    assert turn.parent_id == ""
    assert sorted(span.name for span in traced.children(turn)) == sorted(["llm_request", *STAGES])
    assert len(traced.receiver.named("llm_request")) == 2


def test_the_log_line_names_the_trace(traced: Traced) -> None:
    lines = [json.loads(line) for line in traced.log.splitlines() if line.startswith("{")]
    assert [line["trace_id"] is not None for line in lines if line["event"] == "turn"] == [True, False, True]
    assert lines[[line["event"] for line in lines].index("turn")]["trace_id"] == TRACE


def test_no_content_and_no_key_is_in_any_span(traced: Traced) -> None:
    everything = b"".join(traced.receiver.raw)
    assert b"canary" not in everything
    assert b"test-key-1" not in everything
