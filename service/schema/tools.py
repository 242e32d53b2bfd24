"""Tools and response formats in a request."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, GetPydanticSchema, Tag

from service.schema.base import JSON_OBJECT, JSON_SCHEMA, NO_FORMAT, OBJECT, PLAIN_TEXT, WORD, Wire


class FunctionSpec(Wire):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(Wire):
    type: Literal["function"]
    function: FunctionSpec


class FunctionName(Wire):
    name: str


class NamedTool(Wire):
    type: Literal["function"]
    function: FunctionName


def _form(value: object) -> str:
    return WORD if isinstance(value, str) else OBJECT


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(WORD)] | Annotated[NamedTool, Tag(OBJECT)], Discriminator(_form)
]
FunctionCallChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag(WORD)] | Annotated[FunctionName, Tag(OBJECT)], Discriminator(_form)
]


class TextFormat(Wire):
    type: Literal["text"]


class JsonObjectFormat(Wire):
    type: Literal["json_object"]


class JsonSchema(Wire):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Wire):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class _NoFormat(Wire):
    """Never valid. Its error lists the formats, for any other format."""

    type: Literal["text", "json_object", "json_schema"]


_FORMAT_TAGS: dict[Any, str] = {"text": PLAIN_TEXT, "json_object": JSON_OBJECT, "json_schema": JSON_SCHEMA}


def _format(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return _FORMAT_TAGS.get(kind, NO_FORMAT) if isinstance(kind, str) else NO_FORMAT


ResponseFormatSpec = Annotated[
    Annotated[TextFormat, Tag(PLAIN_TEXT)]
    | Annotated[JsonObjectFormat, Tag(JSON_OBJECT)]
    | Annotated[JsonSchemaFormat, Tag(JSON_SCHEMA)]
    # For a type checker this adds no fourth type: validation as `_NoFormat` always fails.
    | Annotated[TextFormat, GetPydanticSchema(lambda _, handler: handler(_NoFormat)), Tag(NO_FORMAT)],
    Discriminator(_format),
]
