"""Maps a `ChatJob` to the fields of vLLM's own chat request. The result is plain data, so this module does not import vLLM."""

from collections.abc import Mapping
from typing import Any

from service.domain import ChatJob, Message, Sampling, ToolUse

# Sampling fields with the same name in vLLM's request.
_SAME_NAME = (
    "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias",
    "min_tokens", "ignore_eos", "n",
)  # fmt: skip
# vLLM raises a smaller temperature to this (`_MAX_TEMP` in its sampling_params.py), and prints a line for each such request.
_LEAST_TEMPERATURE = 0.01


# Levels that vLLM's own encoder of gpt-oss takes; it refuses others.
_HARMONY_EFFORTS = ("low", "medium", "high")


def request_fields(job: ChatJob, default_sampling: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of vLLM's request. `priority`, and other fields that could favour a client, are never set.

    `default_sampling` has the parameters that vLLM uses where the job sets none. A field that the job does not set stays unset.
    `variables` are the chat template's: the request's `reasoning_effort` is among them in the form that the template wants. Stop
    strings are not set: our reader looks for them in the content only.
    """
    fields = {
        "model": job.model,
        "messages": [message_fields(message) for message in job.messages],
        "stream": True,  # vLLM must return deltas, also for an answer that is not streamed.
        **_sampling_fields(job.sampling, default_sampling),
    }
    if job.tool_use is not None:
        fields |= _tool_fields(job.tool_use)
    if job.response_format is not None:
        schema = job.response_format.json_schema
        fields["response_format"] = (
            {"type": "json_object"}
            if schema is None
            else {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        )
    optional = {
        "chat_template_kwargs": dict(variables) if variables else None,
        "cache_salt": job.cache_salt,
    }
    if (effort := variables.get("reasoning_effort")) in _HARMONY_EFFORTS and "enable_thinking" not in variables:
        fields |= {"reasoning_effort": effort}
    return fields | {name: value for name, value in optional.items() if value is not None}


def message_fields(message: Message) -> dict[str, Any]:
    """Return one message in the form that templates expect. vLLM gives `reasoning` to them as `reasoning_content` too."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        fields["name"] = message.name
    if message.reasoning:
        fields["reasoning"] = message.reasoning
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def tool_list(tool_use: ToolUse) -> list[dict[str, Any]]:
    """Return the tools in OpenAI's form, which is what templates show.

    A required call must be usable. So if the choice is `required` or named, arguments are constrained to their schema, unless a
    tool has `strict: false`. (vLLM alone would accept a bare string from a weak model.)
    """
    is_forced = tool_use.choice in ("required", "named")
    tools = []
    for tool in tool_use.tools:
        function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        strict = True if tool.strict is None and is_forced else tool.strict
        if strict is not None:
            function["strict"] = strict
        tools.append({"type": "function", "function": {name: value for name, value in function.items() if value is not None}})
    return tools


def _tool_fields(tool_use: ToolUse) -> dict[str, Any]:
    choice: Any = tool_use.choice
    if choice == "named":
        choice = {"type": "function", "function": {"name": tool_use.named}}
    return {"tools": tool_list(tool_use), "tool_choice": choice, "parallel_tool_calls": tool_use.is_parallel}


def _sampling_fields(sampling: Sampling, defaults: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name in _SAME_NAME if (value := getattr(sampling, name)) is not None}
    temperature = fields.get("temperature", defaults.get("temperature", 1.0))
    if sampling.n > 1 and temperature == 0:  # vLLM refuses several greedy choices. OpenAI returns the same one n times.
        fields |= {"temperature": 1.0, "top_k": 1}
    elif 0 < temperature < _LEAST_TEMPERATURE:
        fields["temperature"] = _LEAST_TEMPERATURE
    fields["stop_token_ids"] = list(sampling.stop_token_ids)
    if sampling.top_logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
    return fields
