"""Calls that are one JSON object of name and arguments, in the spellings that models use."""

from typing import Any

import regex

from service.engine.models.readers.brackets import cut_arguments
from service.engine.models.readers.json_text import load_object, read_object

_NAME_KEYS, _ARGUMENT_KEYS = ("name", "tool_name", "function_name"), ("arguments", "parameters", "args", "input")
_LONE_KEY = r"""^\{\s*["'](?P<lone>[^"']+)["']\s*:\s*(?=\{)"""
_CUT_NAME = regex.compile(rf"""["'](?:tool_|function_)?name["']\s*:\s*["'](?P<name>[^"']+)["']|{_LONE_KEY}""")
_CUT_ARGUMENTS = regex.compile(rf"""["'](?:arguments|parameters|args|input)["']\s*:\s*(?=\{{)|{_LONE_KEY}""")


def named(value: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return name and arguments of a call that is one JSON object. The arguments are None if they are not an object."""
    function = value.get("function")
    if isinstance(function, dict):  # {"type": "function", "function": {"name": …, "parameters": …}}
        return named(function)
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if name is None and isinstance(function, str):
        name = function
    if name is None:  # {"get_weather": {…}}
        lone = next(iter(value.items()), None) if len(value) == 1 else None
        return (lone[0], lone[1]) if lone and isinstance(lone[1], dict) else ("", None)
    given = next((value[key] for key in _ARGUMENT_KEYS if key in value), None)
    if isinstance(given, str):
        return name, load_object(given) if given.strip() else {}
    if given is None or given == []:
        return name, {}
    return name, given if isinstance(given, dict) else None


def cut_call(text: str) -> tuple[str, str] | None:
    """Return the name and the beginning of the arguments of a JSON object that was cut. None if the name is not in it."""
    name = _CUT_NAME.search(text)
    if name is None:
        return None
    arguments = _CUT_ARGUMENTS.search(text)
    return name["name"] or name["lone"], "" if arguments is None else cut_arguments(text[arguments.end() :], read_object)
