"""The base of all request models. Types are strict. Unknown fields are ignored, as OpenAI's SDKs expect."""

from pydantic import BaseModel, ConfigDict

# Discriminator tags. pydantic puts them into an error's location, although they are not in the request.
_SHAPE_TAGS = ("<text>", "<parts>", "<one>", "<many>", "<word>", "<object>")
TEXT, PARTS, ONE, MANY, WORD, OBJECT = _SHAPE_TAGS
_ROLE_TAGS = ("<developer>", "<system>", "<user>", "<assistant>", "<tool>", "<function>", "<no role>")
DEVELOPER, SYSTEM, USER, ASSISTANT, TOOL, FUNCTION, NO_ROLE = _ROLE_TAGS
_PART_TAGS = ("<text part>", "<refusal part>")
TEXT_PART, REFUSAL_PART = _PART_TAGS
_FORMAT_TAGS = ("<plain text>", "<json object>", "<json schema>", "<no format>")
PLAIN_TEXT, JSON_OBJECT, JSON_SCHEMA, NO_FORMAT = _FORMAT_TAGS
TAGS = frozenset(_SHAPE_TAGS + _ROLE_TAGS + _PART_TAGS + _FORMAT_TAGS)


class Wire(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, protected_namespaces=()
    )
