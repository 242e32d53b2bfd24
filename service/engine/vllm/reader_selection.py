"""Chooses the reader of a turn's outputs: vLLM's parser if the turn has tools or the model reasons, otherwise plain text."""

from dataclasses import dataclass
from typing import Any

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.sampling_params import SamplingParams

from service.domain import ChatJob
from service.engine.vllm.configuration import Configuration
from service.engine.vllm.output_events import ChoiceReader, ParsedReader, TurnReader
from service.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Payload:
    """The result of `prepare`, which `generate` needs."""

    engine_input: Any
    params: SamplingParams
    request: ChatCompletionRequest


def turn_reader(
    configured: Configuration, renderer: OnlineRenderer, job: ChatJob, payload: Payload
) -> tuple[TurnReader, dict[str, Any]]:
    """Return the turn's reader, and the arguments with which vLLM finds the end of the model's reasoning."""
    decode, prompt_token_ids = configured.tokenizer.decode, payload.engine_input["prompt_token_ids"]
    constraint = "response_format" if job.response_format is not None else "tools" if job.tool_use is not None else None
    uses_tools = job.tool_use is not None and job.tool_use.choice != "none"
    parser_class = renderer.parser
    if parser_class is None or not (uses_tools or configured.parsers.reasoning):
        readers = [ChoiceReader(index, job, decode) for index in range(job.sampling.n)]
        return TurnReader(readers, len(prompt_token_ids), constraint=constraint), {}
    template_kwargs = renderer.effective_chat_template_kwargs(payload.request)
    given = {"chat_template_kwargs": template_kwargs, "model_config": configured.vllm.model_config}
    parsers = [parser_class(configured.tokenizer, payload.request.tools, **given) for _ in range(job.sampling.n)]
    readers = [
        ParsedReader(index, job, decode, parser=parser, request=payload.request, prompt_token_ids=prompt_token_ids)
        for index, parser in enumerate(parsers)
    ]
    reasoning: dict[str, Any] = {"reasoning_ended": payload.request.resolve_reasoning_ended(parsers[0], prompt_token_ids)}
    if parsers[0].reasoning_parser is not None:
        reasoning["reasoning_parser_kwargs"] = {"chat_template_kwargs": template_kwargs}
    return TurnReader(readers, len(prompt_token_ids), constraint=constraint), reasoning


def as_invalid(error: Exception) -> InvalidRequest:
    """Convert vLLM's error to `InvalidRequest`. The value that vLLM appends is left out: it can be part of the conversation."""
    words = str(error.args[0]) if error.args else "The request is not valid."
    if words.startswith(("Failed to transform json schema", "The provided JSON schema")):
        # The message of the grammar compiler begins with a position in its own source code.
        reason = words.rpartition(": ")[2].strip()
        return InvalidRequest(f"The JSON schema cannot be enforced: {reason}.", param="response_format", code="invalid_value")
    return InvalidRequest(words, param=getattr(error, "parameter", None), code="invalid_value")
