"""Texts of tokens one by one, for a byte-level vocabulary and for mistral-common's."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# torch warns while vLLM is imported.
pytestmark = [pytest.mark.needs_vllm, pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")]
pytest.importorskip("transformers")

from service.engine.models.token_texts import TokenTexts  # noqa: E402
from tests.engine.models.families import family  # noqa: E402
from tests.engine.models.family_models import tokenizer_of  # noqa: E402

TEXTS = [
    "Grüße, 世界! 👋🏽 👩‍👩‍👧 — ok",
    "  two  spaces\n\n\ttab ",
    '<tool_call>{"a": 1}</tool_call>',
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
]


@cache
def mistral() -> Any:
    mistral_common = pytest.importorskip("mistral_common")
    tokenizers = pytest.importorskip("vllm.tokenizers.mistral")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(mistral_common.__file__).parent / "data/tekken_240911.json", Path(folder) / "tekken.json")
        return tokenizers.MistralTokenizer.from_pretrained(folder)


def byte_level() -> Any:
    return tokenizer_of(family("qwen3"))


def streamed(texts: TokenTexts, token_ids: list[int]) -> list[tuple[str, bool]]:
    stream = texts.stream([])
    return [piece for token_id in token_ids for piece in stream.next(token_id)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("make", [byte_level, mistral])
def test_the_pieces_are_the_text(make: Any, text: str) -> None:
    tokenizer = make()
    token_ids = tokenizer.encode(text, add_special_tokens=False)
    pieces = streamed(TokenTexts(tokenizer), token_ids)
    assert "".join(piece for piece, _ in pieces) == text
    assert not any("\ufffd" in piece for piece, _ in pieces)


def test_a_special_token_is_told_apart_between_halves_of_characters() -> None:
    tokenizer = byte_level()
    texts = TokenTexts(tokenizer)
    wave = tokenizer.encode("👋", add_special_tokens=False)
    assert len(wave) > 1
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert streamed(texts, [*wave, end, *wave]) == [("👋", False), ("<|im_end|>", True), ("👋", False)]
    assert texts.text([*wave, end]) == "👋<|im_end|>"
    cut = streamed(texts, [*wave[:-1], end, *wave])
    assert [piece for piece in cut if piece[1]] == [("<|im_end|>", True)]
    assert cut[-1] == ("👋", False)


@pytest.mark.parametrize("make", [byte_level, mistral])
def test_half_a_character_has_exact_bytes(make: Any) -> None:
    tokenizer = make()
    texts = TokenTexts(tokenizer)
    token_ids = tokenizer.encode("👋🏽", add_special_tokens=False)
    assert b"".join(texts.token(token_id)[1] for token_id in token_ids) == "👋🏽".encode()


def test_a_token_outside_the_vocabulary_has_no_text() -> None:
    assert streamed(TokenTexts(byte_level()), [10**6]) == []
