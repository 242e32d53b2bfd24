"""What hypothesis makes answers of: calls with arguments of all kinds, texts near to markup, and cuttings into tokens."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import cycle
from typing import Any

from hypothesis import strategies as st

from tests.engine.models.readers.reading import Token
from tests.engine.models.readers.writers import WRITERS

_WORDS = ["Paris", "5", "null", "NaN", "true", "é", "東京", "👋🏽", "don't", " ", "\n", "\t", ",", ":", "=", "\\", "\\n", "\\u12"]
_BRACKETS = ["{", "}", "[", "]", "(", ")", '"', "'", "`", "<", ">", "</", "<|", "|>", "```", "&"]
_TEXTS = [
    "Hello", "One moment", "See <tool", "[Laughs] Sure", '{"total": 5} euros', "<b>Hi</b>", "a < b", "f(x)", "```x```", "[1]",
    "{", "}", "[", "]", "(", "<", "</", "<|", "[[", "{{", '"', "'", ":", "…", "好的", "👋🏽", "é", " ", "  ", "\n", "\n\n", "\t",
]  # fmt: skip


@cache
def strings(kind: str, end: str) -> st.SearchStrategy[str]:
    """String arguments, of words that tempt a reader. `end` is the mark that ends a call's arguments."""
    words = [*_WORDS, *_BRACKETS, *([f" {end} "] if end else [])]
    texts = st.lists(st.sampled_from(words), max_size=8).map("".join)
    if kind in ("xml", "tags"):  # Line breaks on both sides are a frame, not part of the value.
        return texts.filter(lambda text: not (len(text) > 1 and text[0] == text[-1] == "\n"))
    return texts


@cache
def objects(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that stand in an argument."""
    keys = st.from_regex("[a-z][a-z_]{0,5}", fullmatch=True)
    if kind == "tags":  # Tags have no types: what looks like a number is one.
        return st.dictionaries(keys, st.sampled_from(["word", "two words", "a < b"]), max_size=3)
    numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = strings(kind, "") | numbers | st.booleans() | st.none()
    inner = st.recursive(leaves, lambda each: st.lists(each, max_size=3) | st.dictionaries(keys, each, max_size=3), max_leaves=5)
    return st.dictionaries(keys if kind == "gemma" else keys | strings(kind, ""), inner, max_size=3)


@cache
def calls(syntax: str, *, max_size: int = 3) -> st.SearchStrategy[list[tuple[str, dict[str, Any]]]]:
    """Calls of the functions of `families.TOOLS`, as the writer of this syntax can write them."""
    writer = WRITERS[syntax]
    weather = st.fixed_dictionaries(
        {"city": strings(writer.kind, writer.end)},
        optional={"days": st.integers(-5, 10**6), "units": st.sampled_from(["c", "f"])},
    )
    note = st.fixed_dictionaries(
        {"text": strings(writer.kind, writer.end)},
        optional={
            "tags": st.lists(strings(writer.kind, "") if writer.kind != "tags" else st.sampled_from(["a", "b c"]), max_size=3),
            "meta": objects(writer.kind),
            "done": st.booleans(),
            "score": st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False),
        },
    )
    each = st.tuples(st.just("get_weather"), weather) | st.tuples(st.just("note"), note) | st.just(("end_call", dict[str, Any]()))
    return st.lists(each, min_size=1, max_size=max_size)


def texts(*, min_size: int = 0) -> st.SearchStrategy[str]:
    """Prose with text near to markup, but no mark."""
    return st.lists(st.sampled_from(_TEXTS), min_size=min_size, max_size=8).map("".join)


def sentences() -> st.SearchStrategy[str]:
    """Prose that can stand beside a mark: no white space at its ends, and no bracket at the end."""
    return texts().map(lambda text: f"{text.lstrip()}." if text.strip() else "")


class Cutting:
    """A way of cutting text into tokens: sizes in characters, and whether the marks are tokens of their own."""

    def __init__(self, sizes: Sequence[int], marks: str) -> None:
        self._sizes, self._marks = sizes, marks

    def __repr__(self) -> str:
        return f"Cutting({self._sizes}, {self._marks})"

    def __call__(self, text: str, marks: Sequence[str] = ()) -> list[Token]:
        pieces = [text]
        if self._marks != "in pieces" and marks:
            pieces = re.split("(" + "|".join(map(re.escape, sorted(marks, key=len, reverse=True))) + ")", text)
        tokens: list[Token] = []
        sizes = cycle(self._sizes)
        for piece in filter(None, pieces):
            if piece in marks and self._marks != "in pieces":
                tokens.append((piece, self._marks == "special"))
                continue
            at = 0
            while at < len(piece):
                size = next(sizes)
                tokens.append((piece[at : at + size], False))
                at += size
        return tokens


def cuttings() -> st.SearchStrategy[Cutting]:
    sizes = st.lists(st.sampled_from([1, 1, 2, 3, 4, 5, 7, 12, 1000]), min_size=1, max_size=5)
    return st.builds(Cutting, sizes, st.sampled_from(["in pieces", "tokens", "special"]))


@cache
def marks_of(syntax: str) -> tuple[str, ...]:
    """The marks of a syntax that can be tokens of its vocabulary."""
    example: list[tuple[str, Mapping[str, Any]]] = [("fn", {"KEY": "v"}), ("fn", {})]
    found = re.findall(r"\]<\]minimax\[>\[|<\|\"\|>|<[^<>\s=]+>|\[[A-Z_]+\]", WRITERS[syntax].write(example))
    return tuple(dict.fromkeys(mark for mark in found if "KEY" not in mark))
