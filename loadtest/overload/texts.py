"""Texts with an exact number of tokens. Each of their words is one token, both at the start of a message and after a space."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from tokenizers import Tokenizer

_SPACE = "Ġ"  # How a byte-level vocabulary writes the space before a word.


@dataclass(frozen=True)
class Texts:
    """Makes texts from one-token words."""

    words: Sequence[str]
    overhead: int
    """Tokens that the chat template adds to a single user message."""

    def of(self, tokens: int, chance: random.Random) -> str:
        return " ".join(chance.choices(self.words, k=tokens))

    def prompt_of(self, tokens: int, chance: random.Random) -> str:
        """A user message that alone makes a prompt of `tokens` tokens, chat template included."""
        return self.of(tokens - self.overhead, chance)


def texts_of(model: Path) -> Texts:
    """The texts for the model in a Hugging Face folder."""
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    words = sorted(
        word
        for token in vocabulary
        if (word := token.removeprefix(_SPACE)) != token
        and len(word) >= 3
        and word.isascii()
        and word.islower()
        and word in vocabulary
    )
    template = jinja2.Template((model / "chat_template.jinja").read_text())
    alone = template.render(messages=[{"role": "user", "content": "\0"}], add_generation_prompt=True)
    before, after = alone.split("\0")
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    overhead = count(before + words[0] + after) - 1
    probe = Texts(words, overhead).of(500, random.Random(0))
    assert count(before + probe + after) == overhead + 500, "these words are not one token each"
    return Texts(words, overhead)
