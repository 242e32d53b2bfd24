"""Arguments that are not JSON: those of a Python call, and those in Gemma's form. Text of the bracketed value -> the object."""

import ast
import keyword
from typing import Any

import regex

from service.engine.models.readers.brackets import BracketScanner, ValueParser
from service.engine.models.readers.json_text import escaped_for_python, load_value

_CONSTANTS = {"true": True, "false": False, "null": None, "none": None, "nan": None}
_KEYWORD_ARGUMENT = regex.compile(rf"(?<=[(,]\s*)({'|'.join(keyword.kwlist)})(?=\s*=[^=])")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


def python_arguments(text: str) -> dict[str, Any] | None:
    """Return the keyword arguments of a Python call, from text such as `(city="Paris", days=2)`. None if it is no such call."""
    text = escaped_for_python(text)
    for mended in (text, _mended_python(text)):
        try:
            call = ast.parse(f"f{mended}", mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        if not isinstance(call, ast.Call):
            return None
        try:
            return _keywords(call)
        except (ValueError, RecursionError):
            return None
    return None


def _keywords(call: ast.Call) -> dict[str, Any]:
    if call.args:
        value = _python_value(call.args[0])
        if len(call.args) > 1 or call.keywords or not isinstance(value, dict):
            raise ValueError
        return value
    values: dict[str, Any] = {}
    for each in call.keywords:
        value = _python_value(each.value)
        values |= value if each.arg is None else {each.arg.removesuffix("__"): value}
    return values


def _python_value(node: ast.expr) -> Any:
    """Raises `ValueError` for anything that is not a literal."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, (bytes, complex)) or node.value is ...:
            raise ValueError
        return node.value
    if isinstance(node, ast.Name) and node.id.lower() in _CONSTANTS:
        return _CONSTANTS[node.id.lower()]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_python_value(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        keys = [None if key is None else _python_value(key) for key in node.keys]
        return {str(key): _python_value(value) for key, value in zip(keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _python_value(node.operand)
        if isinstance(value, (int, float)):
            return -value if isinstance(node.op, ast.USub) else value
    raise ValueError


def _mended_python(text: str) -> str:
    """Mend what models write: argument names that are Python's keywords, line breaks in strings, missing brackets."""
    text = _KEYWORD_ARGUMENT.sub(r"\1__", text)
    opened: list[str] = []
    quote, parts, at = "", [], 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                parts.append(text[at : at + 2])
                at += 2
                continue
            quote = "" if char == quote else quote
            char = "\\n" if char == "\n" else char
        elif char in "\"'":
            quote = char
        elif char in _CLOSERS:
            opened.append(_CLOSERS[char])
        elif opened and char == opened[-1]:
            opened.pop()
        parts.append(char)
        at += 1
    return "".join([*parts, quote, *reversed(opened)])


class _Gemma:
    """Reads `{city:<mark>Paris<mark>,days:2}`: strings stand between marks, and have no escapes."""

    def __init__(self, text: str, mark: str) -> None:
        self._text, self._mark, self._at = text, mark, 0
        self._word = regex.compile(rf"(?:(?!{regex.escape(mark)})[^,{{}}\[\]:()])+")

    def object(self) -> dict[str, Any]:
        """Raises `ValueError` where the text is not of this form."""
        self._at += 1
        found: dict[str, Any] = {}
        while not self._is_at("})"):
            key = self._string() or self._bare()
            self._expect(":=")
            found[str(key)] = self._value()
            if not self._is_at("})"):
                self._expect(",")
        self._at += 1
        return found

    def _value(self) -> Any:
        self._skip()
        if (string := self._string()) is not None:
            return string
        if self._is_at("{"):
            return self.object()
        if self._is_at("["):
            self._at += 1
            items = []
            while not self._is_at("]"):
                items.append(self._value())
                if not self._is_at("]"):
                    self._expect(",")
            self._at += 1
            return items
        word = self._bare()
        try:
            return load_value(word)
        except ValueError:
            return _CONSTANTS.get(word.lower(), word)

    def _string(self) -> str | None:
        self._skip()
        for mark in (self._mark, '"'):
            if self._text.startswith(mark, self._at):
                end = self._text.find(mark, self._at + len(mark))
                if end < 0:
                    raise ValueError
                value = self._text[self._at + len(mark) : end]
                self._at = end + len(mark)
                return value
        return None

    def _bare(self) -> str:
        self._skip()
        word = self._word.match(self._text, self._at)
        if word is None:
            raise ValueError
        self._at = word.end()
        return str(word[0]).strip()

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _is_at(self, chars: str) -> bool:
        self._skip()
        if self._at >= len(self._text):
            raise ValueError
        return self._text[self._at] in chars

    def _expect(self, chars: str) -> None:
        if not self._is_at(chars):
            raise ValueError
        self._at += 1


def gemma_arguments(mark: str) -> ValueParser:
    """Return the parser of arguments whose strings stand between two of these marks."""

    def parse(text: str) -> dict[str, Any] | None:
        for mended in (text, _closed(text, mark)):
            try:
                return _Gemma(mended, mark).object()
            except (ValueError, RecursionError):
                continue
        return None

    return parse


def _closed(text: str, mark: str) -> str:
    """Add the brackets, and the end of a string, that are missing at the end."""
    scanner = BracketScanner((), quotes=(mark,))
    return text if scanner.end(text) is not None else text + scanner.missing
