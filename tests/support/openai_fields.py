"""OpenAI's current fields, read out of the installed official client; and ours, out of the schema, in the same words."""

import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionStreamOptionsParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from pydantic import BaseModel

from service.schema import response
from service.schema.request import ChatRequest, StreamOptions


def request_fields_of_openai() -> set[str]:
    """`stream_options` by its parts."""
    fields = {*_keys(CompletionCreateParamsNonStreaming), *_keys(CompletionCreateParamsStreaming)}
    parts = {f"stream_options.{part}" for part in _keys(ChatCompletionStreamOptionsParam)}
    return fields - {"stream_options"} | parts


def request_fields_of_ours() -> set[str]:
    parts = {f"stream_options.{part}" for part in StreamOptions.model_fields}
    return set(ChatRequest.model_fields) - {"stream_options"} | parts


def response_fields_of_openai() -> set[str]:
    """Of a whole answer and of a stream's chunks: `choices[].delta.content`. Below a field that we don't have, nothing."""
    ours = response_fields_of_ours()
    given = {path for model in (ChatCompletion, ChatCompletionChunk) for path in _leaves(model)}
    return {_as_far_as_known(path, ours) for path in given}


def response_fields_of_ours() -> set[str]:
    return {path for model in (response.ChatCompletion, response.ChatCompletionChunk) for path in _leaves(model)}


def _keys(params: Any) -> set[str]:
    return set(typing.get_type_hints(params))


def _leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner, brackets = models_in(field.annotation)
        path = f"{prefix}{name}{brackets if inner else ''}"
        found |= {leaf for each in inner for leaf in _leaves(each, f"{path}.")} if inner else {path}
    return found


def models_in(annotation: Any) -> tuple[list[type[BaseModel]], str]:
    """The models that a field's type holds, and `[]` where in a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return models_in(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [models_in(each) for each in get_args(annotation)]
        return [model for models, _ in inner for model in models], max(brackets for _, brackets in inner)
    if origin is list:
        return models_in(get_args(annotation)[0])[0], "[]"
    is_model = origin is not Literal and isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return ([annotation], "") if is_model else ([], "")


def _as_far_as_known(path: str, ours: set[str]) -> str:
    """`a.b.c` -> `a.b` where we have an `a` but no `b`."""
    parts = path.split(".")
    for length in range(1, len(parts)):
        head = ".".join(parts[:length])
        if not any(each.startswith(f"{head}.") for each in ours):
            return head.removesuffix("[]")
    return path
