"""Calls that are one JSON object of name and arguments, in the spellings that models use."""

from typing import Any

import regex

from service.engine.models.readers.brackets import BracketScanner, cut_arguments
from service.engine.models.readers.json_text import load_object, read_object

_NAME_KEYS, _ARGUMENT_KEYS = ("name", "tool_name", "function_name"), ("arguments", "parameters", "args", "kwargs", "input")
_ABOUT_CALL = frozenset({"type", "id", "tool_call_id", "index", "function", *_NAME_KEYS})
_LONE_KEY = r"""^\{\s*["'](?P<lone>[^"']+)["']\s*:\s*(?=\{)"""
_CUT_NAME = regex.compile(rf"""["'](?:tool_|function_)?name["']\s*:\s*["'](?P<name>[^"']+)["']|{_LONE_KEY}""")
_CUT_ARGUMENTS = regex.compile(rf"""["'](?:arguments|parameters|args|input)["']\s*:\s*(?=\{{)|{_LONE_KEY}""")


def has_arguments(value: dict[str, Any]) -> bool:
    """Return whether an object has arguments under a name of their own, so that it can only be a call."""
    function = value.get("function")
    return any(value.get(key) for key in _ARGUMENT_KEYS) or (isinstance(function, dict) and has_arguments(function))


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
    if given is None:  # Without a key of their own, the arguments stand beside the name.
        return name, {key: item for key, item in value.items() if key not in _ABOUT_CALL and key not in _ARGUMENT_KEYS}
    if given == []:
        return name, {}
    return name, given if isinstance(given, dict) else None


def cut_call(text: str) -> tuple[str, str] | None:
    """Return the name and the beginning of the arguments of a JSON object that was cut. None if the name is not in it."""
    name, arguments = _CUT_NAME.search(text), _CUT_ARGUMENTS.search(text)
    if name is not None and arguments is not None and name.start() > arguments.start():
        # The name comes after the arguments. A "name" within them is another one.
        end = BracketScanner(()).end(text[arguments.end() :])
        name = _CUT_NAME.search(text, arguments.end() + end) if end is not None else None
    if name is None:
        return None
    return name["name"] or name["lone"], "" if arguments is None else cut_arguments(text[arguments.end() :], read_object)
