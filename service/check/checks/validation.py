"""What is wrong with a document, told by JSON paths and never by its values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.check.checks.schema import Expected

_MOST_TOLD = 3
_LONGEST = 128 * 2**10
"""Of one document, which answers some 60 tokens. Of a longer one the faults alone could fill the memory."""
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Verdict:
    """Of one document: JSON paths, and never a value."""

    faults: tuple[str, ...] = ()
    """`choices[0].message.content: field required`."""
    absent: tuple[str, ...] = ()
    """Required by the reference, read as null by clients."""
    extra: tuple[str, ...] = ()
    """Fields that OpenAI's reference does not know."""


def judge(model: type[BaseModel], document: bytes | str) -> Verdict:
    if len(document) > _LONGEST:
        return Verdict(faults=(f"(the whole body): longer than {_LONGEST // 2**10} KiB",))
    try:
        parsed = model.model_validate_json(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        return Verdict(faults=tuple(f"{_path(each['loc'])}: {_words(each)}" for each in errors))
    fields = list(_fields(parsed, ""))
    return Verdict(
        absent=tuple(path for path, kind in fields if kind == "absent"),
        extra=tuple(path for path, kind in fields if kind == "extra"),
    )


def some(paths: tuple[str, ...] | list[str]) -> str:
    """The first few, each once."""
    each_once = list(dict.fromkeys(paths))
    rest = len(each_once) - _MOST_TOLD
    return "; ".join(each_once[:_MOST_TOLD]) + (f"; and {rest} more" if rest > 0 else "")


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
    """What looks like a field's name: a server may use a caller's words for one."""
    return name if _NAME.fullmatch(name) else "?"


def _words(error: ErrorDetails) -> str:
    # The only message that quotes what was given.
    message = "Input should be a known type" if error["type"] == "union_tag_invalid" else error["msg"]
    return message[:1].lower() + message[1:]
