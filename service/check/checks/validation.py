"""Validate a document against a strict model. Faults are reported by JSON path, never by value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.check.checks.schema import Expected

_MOST_SHOWN = 3
_LONGEST = 128 * 2**10
"""Most bytes of one document. An answer here has some 60 tokens. The faults of a huge document could fill the memory."""
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class ValidationResult:
    """The findings in one document, as JSON paths without values."""

    faults: tuple[str, ...] = ()
    """`choices[0].message.content: field required`."""
    absent: tuple[str, ...] = ()
    """Missing fields that the reference requires and clients read as null."""
    extra: tuple[str, ...] = ()
    """Fields that OpenAI's reference does not have."""


def validate(model: type[BaseModel], document: bytes | str) -> ValidationResult:
    if len(document) > _LONGEST:
        return ValidationResult(faults=(f"(the whole body): longer than {_LONGEST // 2**10} KiB",))
    try:
        parsed = model.model_validate_json(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        return ValidationResult(faults=tuple(f"{_path(each['loc'])}: {_words(each)}" for each in errors))
    fields = list(_fields(parsed, ""))
    return ValidationResult(
        absent=tuple(path for path, kind in fields if kind == "absent"),
        extra=tuple(path for path, kind in fields if kind == "extra"),
    )


def first_few(paths: tuple[str, ...] | list[str]) -> str:
    """The first few paths without duplicates, and how many more there are."""
    each_once = list(dict.fromkeys(paths))
    rest = len(each_once) - _MOST_SHOWN
    return "; ".join(each_once[:_MOST_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _fields(value: Any, path: str) -> Iterator[tuple[str, Literal["absent", "extra"]]]:
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _fields(item, f"{path}[{position}]")
    elif isinstance(value, BaseModel):
        head = f"{path}." if path else ""
        for name in value.model_extra or ():
            yield f"{head}{_name(name)}", "extra"
        for name, field in type(value).model_fields.items():
            if name in value.model_fields_set:
                yield from _fields(getattr(value, name), f"{head}{name}")
            elif Expected in field.metadata:
                yield f"{head}{name}", "absent"


def _path(loc: tuple[int | str, ...]) -> str:
    """`("choices", 0, "message")` -> `choices[0].message`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_name(part)}" for part in loc)
    return text.removeprefix(".") or "(the whole body)"


def _name(name: str) -> str:
    """The name if it looks like a field's name, else `?`: a server may use a caller's words as a name."""
    return name if _NAME.fullmatch(name) else "?"


def _words(error: ErrorDetails) -> str:
    # This is the only message that quotes the value.
    message = "Input should be a known type" if error["type"] == "union_tag_invalid" else error["msg"]
    return message[:1].lower() + message[1:]
