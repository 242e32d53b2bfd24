"""The texts that a model reads as structure and not as words: special tokens, and a template's own marks around messages."""

import re
from collections.abc import Iterable
from typing import Any

# What opens a mark in the vocabularies of all families: `<s>`, `[INST]`, `]~b]`, `|||EMAIL|||`, `｜DSML｜`, `◁think▷`.
_OPENERS = frozenset("<[]|｜◁")
# One mark in the source or the output of a template. A bracketed word is a mark only if it has no lower case letter (`[INST]`,
# `[/TOOL_CALLS]`) or bars (`[|user|]`): otherwise it is code of the template (`messages[0]`) or JSON.
_MARK = re.compile(
    r"""
      <[\w:｜]{1,64}(?:\ name)?=            # <function=, <parameter name=
    | <<[^\s<>"'{}()\[\]]{1,64}>>          # <<SYS>>
    | <[^\s<>"'{}()\[\]]{1,64}>            # <|im_start|>, </think>, <start_of_turn>
    | \[/?[A-Z][A-Z0-9_]{1,63}\]            # [INST]
    | \[\|[^\s\[\]|]{1,64}\|\]              # [|assistant|]
    | ◁[^\s◁▷]{1,64}▷                       # ◁think▷
    """,
    re.VERBOSE,
)


def control_marks(added_tokens: Iterable[str], special_tokens: Iterable[str], template: str | None) -> frozenset[str]:
    """Return every text that must not stand in the text of a message.

    `added_tokens` are the tokens that the tokenizer finds in a text before it splits it; only those that look like marks are
    taken, because words and white space can be among them. Of the template's tags of one plain word, only those that frame turns,
    thoughts, tools and results are taken. All of `special_tokens` are taken but single characters, which are
    words like any other: some models pad with `!`. `template` is the source of the chat template; None if there is none.
    """
    special = {token for token in special_tokens if len(token.strip()) > 1}
    of_template = set(filter(_is_frame, marks_in(template or "")))
    return frozenset(special | set(filter(_looks_like_a_mark, added_tokens)) | of_template)


def marks_in(text: str) -> frozenset[str]:
    """Return the marks in the source of a template, or in a prompt that it rendered."""
    return frozenset(mark for match in _MARK.finditer(text) if _looks_like_a_mark(mark := match[0]) or "=" in mark)


def added_and_special_tokens(tokenizer: Any) -> tuple[frozenset[str], frozenset[str]]:
    """Return the first two arguments of `control_marks` for a tokenizer of Hugging Face or of vLLM."""
    decoder: dict[int, Any] = getattr(tokenizer, "added_tokens_decoder", None) or {}
    special = {token.content for token in decoder.values() if token.special}
    return frozenset(tokenizer.get_added_vocab()), frozenset(special.union(tokenizer.all_special_tokens))


# Tags of one plain word that frame turns, thoughts, tools and their results. Other plain words, such as the `<name>` and `<type>`
# with which a template describes tools, are ordinary XML in the text of a message.
_FRAMES = frozenset(
    {
        "s", "bos", "eos", "pad", "unk", "system", "user", "assistant", "human", "model", "bot", "think", "thinking", "thought",
        "answer", "response", "tool", "tools", "tool_call",
    }
)  # fmt: skip
_PLAIN_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9\-]*)>")


def _is_frame(mark: str) -> bool:
    tag = _PLAIN_TAG.fullmatch(mark)
    return tag is None or tag[1].lower() in _FRAMES


def _looks_like_a_mark(token: str) -> bool:
    return token[:1] in _OPENERS and not any(map(str.isspace, token)) and any(map(str.isalnum, token))
