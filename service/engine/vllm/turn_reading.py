"""Makes the reader of a turn's outputs: our own for the model's format, or vLLM's parser where only that can read it."""

from dataclasses import dataclass
from typing import Any

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.sampling_params import SamplingParams

from service.domain import PreparedTurn
from service.engine.models.model_profile import ModelProfile
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.thinking import is_in_thought
from service.engine.models.token_texts import TokenTexts
from service.engine.vllm.forced_calls import offered_by
from service.engine.vllm.output_events import ChoiceReader, PartReader, TurnReader
from service.engine.vllm.vllm_reader import VllmReader
from service.errors import InvalidRequest

_PROMPT_END = 96
"""Tokens at the prompt's end that show whether it ends inside a thought: more than any template writes after the last message."""


@dataclass(frozen=True, slots=True)
class Prompting:
    """How the model, or an adapter with a chat template of its own, is prompted and read."""

    profile: ModelProfile
    renderer: OnlineRenderer
    renderer_at_once: OnlineRenderer
    """For small prompts: renders on the event loop."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The result of `prepare`, which `generate` needs."""

    engine_input: Any
    params: SamplingParams
    request: ChatCompletionRequest
    prompting: Prompting


def turn_reader(turn: PreparedTurn, texts: TokenTexts, model_config: Any) -> tuple[TurnReader, dict[str, Any]]:
    """Return the turn's reader, and the arguments with which vLLM finds the end of the model's thought."""
    payload, job = turn.payload, turn.job
    assert isinstance(payload, Payload)
    profile = payload.prompting.profile
    prompt_token_ids = payload.engine_input["prompt_token_ids"]
    offered = offered_by(job.tool_use, payload.request)
    marks = profile.answers.thoughts
    is_thinking = marks is not None and is_in_thought(texts.text(prompt_token_ids[-_PROMPT_END:]), marks)
    sampling = job.sampling

    def part_reader() -> PartReader:
        if profile.vllm_parsers is not None and payload.prompting.renderer.parser is not None:
            variables = payload.prompting.renderer.effective_chat_template_kwargs(payload.request)
            parser = payload.prompting.renderer.parser(
                texts.tokenizer, payload.request.tools, chat_template_kwargs=variables, model_config=model_config
            )
            return VllmReader(parser, payload.request, prompt_token_ids, offered)
        return AnswerReader(
            profile.answers, offered, is_in_thought=is_thinking, stops=sampling.stop, min_tokens=sampling.min_tokens
        )

    readers = [
        ChoiceReader(index, job, texts.stream(prompt_token_ids), part_reader(), texts.token) for index in range(sampling.n)
    ]
    constraint = "response_format" if job.response_format is not None else "tools" if job.tool_use is not None else None
    reader = TurnReader(readers, len(prompt_token_ids), turn.generated, constraint=constraint)
    if profile.thoughts is None or profile.thoughts.engine_parser is None:
        return reader, {}
    variables = payload.prompting.renderer.effective_chat_template_kwargs(payload.request)
    # A constraint begins where the thought ends.
    is_open = is_thinking or profile.thinking.may_think(variables)
    return reader, {"reasoning_ended": not is_open, "reasoning_parser_kwargs": {"chat_template_kwargs": variables}}


def as_invalid(error: Exception) -> InvalidRequest:
    """Convert vLLM's error to `InvalidRequest`. The value that vLLM appends is left out: it can be part of the conversation."""
    words = str(error.args[0]) if error.args else "The request is not valid."
    if words.startswith(("Failed to transform json schema", "The provided JSON schema")):
        # The message of the grammar compiler begins with a position in its own source code.
        reason = words.rpartition(": ")[2].strip()
        return InvalidRequest(f"The JSON schema cannot be enforced: {reason}.", param="response_format", code="invalid_value")
    return InvalidRequest(words, param=getattr(error, "parameter", None), code="invalid_value")
