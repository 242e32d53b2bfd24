"""The messages of a request, by role, as in OpenAI's reference but with text only."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, GetPydanticSchema, Tag
from pydantic_core import PydanticKnownError

from service.schema.base import (
    ASSISTANT,
    DEVELOPER,
    FUNCTION,
    NO_ROLE,
    PARTS,
    REFUSAL_PART,
    SYSTEM,
    TEXT,
    TEXT_PART,
    TOOL,
    USER,
    Wire,
)

# Types of parts that clients of other models send. Only these are repeated in an error, because any other word may be content.
_KNOWN_PARTS = frozenset(
    {
        "audio", "audio_url", "custom", "document", "file", "image", "image_url", "input_audio", "input_file", "input_image",
        "input_text", "output_text", "refusal", "thinking", "tool_result", "tool_use", "video", "video_url",
    }
)  # fmt: skip


def _must_be_text(value: object) -> object:
    if not isinstance(value, str) or value == "text":
        return value
    given = f", not {value}" if value in _KNOWN_PARTS else ""
    raise PydanticKnownError("literal_error", {"expected": f"'text': only text is supported here{given}"})


def _must_be_null(value: object) -> None:
    if value is not None:
        raise PydanticKnownError("literal_error", {"expected": "null: only text is supported here, not audio"})


def _as_json(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


class TextPart(Wire):
    """A content part. Only text is supported."""

    type: Annotated[Literal["text"], BeforeValidator(_must_be_text)]
    text: str


class RefusalPart(Wire):
    """A part of an assistant's content: what the assistant said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


def _shape(value: object) -> str:
    return PARTS if isinstance(value, list) else TEXT


def _part(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return REFUSAL_PART if kind == "refusal" else TEXT_PART


AssistantPart = Annotated[Annotated[TextPart, Tag(TEXT_PART)] | Annotated[RefusalPart, Tag(REFUSAL_PART)], Discriminator(_part)]
# The first wrong part is enough to refuse the request.
Content = Annotated[
    Annotated[str, Tag(TEXT)] | Annotated[list[TextPart], Field(fail_fast=True), Tag(PARTS)],
    Discriminator(_shape),
]
AssistantContent = Annotated[
    Annotated[str, Tag(TEXT)] | Annotated[list[AssistantPart], Field(fail_fast=True), Tag(PARTS)],
    Discriminator(_shape),
]


class CalledFunction(Wire):
    """A call that the model made. `arguments` is JSON text. An object, which some clients send, is converted to JSON text."""

    name: str
    arguments: Annotated[str, BeforeValidator(_as_json)]


class CalledTool(Wire):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class DeveloperMessage(Wire):
    role: Literal["developer"]
    content: Content
    name: str | None = None


class SystemMessage(Wire):
    role: Literal["system"]
    content: Content
    name: str | None = None


class UserMessage(Wire):
    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(Wire):
    """An assistant's message. Content may be null or missing, even without a call.

    Reasoning is no field of OpenAI's. Servers return it as `reasoning_content` or `reasoning`, and clients send it back. Another
    type than text is ignored, because `reasoning` has other meanings elsewhere.
    """

    role: Literal["assistant"]
    content: AssistantContent | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[CalledTool], Field(fail_fast=True)] | None = None
    function_call: CalledFunction | None = None
    audio: Annotated[None, BeforeValidator(_must_be_null)] = None
    reasoning_content: Annotated[str | None, BeforeValidator(_text_or_none)] = None
    reasoning: Annotated[str | None, BeforeValidator(_text_or_none)] = None


class ToolMessage(Wire):
    role: Literal["tool"]
    tool_call_id: str
    content: Content
    name: str | None = None


class FunctionMessage(Wire):
    """The result of a function call, in OpenAI's legacy form."""

    role: Literal["function"]
    name: str
    content: Content | None = None


class _NoRole(Wire):
    """Never valid. Its error lists the roles, for a message with any other role."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]


_ROLE_TAGS: dict[Any, str] = {
    "developer": DEVELOPER,
    "system": SYSTEM,
    "user": USER,
    "assistant": ASSISTANT,
    "tool": TOOL,
    "function": FUNCTION,
}


def _role(value: object) -> str:
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    return _ROLE_TAGS.get(role, NO_ROLE) if isinstance(role, str) else NO_ROLE


ChatMessage = Annotated[
    Annotated[DeveloperMessage, Tag(DEVELOPER)]
    | Annotated[SystemMessage, Tag(SYSTEM)]
    | Annotated[UserMessage, Tag(USER)]
    | Annotated[AssistantMessage, Tag(ASSISTANT)]
    | Annotated[ToolMessage, Tag(TOOL)]
    | Annotated[FunctionMessage, Tag(FUNCTION)]
    # For a type checker this adds no seventh type: validation as `_NoRole` always fails.
    | Annotated[UserMessage, GetPydanticSchema(lambda _, handler: handler(_NoRole)), Tag(NO_ROLE)],
    Discriminator(_role),
]
