"""Text of tokens, one at a time. Special tokens are told apart by their ID, not by their text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

_REPLACEMENT = "\ufffd"
_CONTEXT = 16
"""Tokens of the prompt that a stream is given: enough for a tokenizer whose text of a token depends on the one before."""
_LONGEST_CHARACTER = 8
"""Tokens that can be part of one character. Text that still ends in U+FFFD after so many does hold that character."""

Piece = tuple[str, bool]
"""Text, and whether it is a special token."""


class TokenStream(Protocol):
    """Decodes one answer. A token can be half a character: then it has no text, and the next one has both."""

    def next(self, token_id: int) -> Sequence[Piece]: ...


class TokenTexts:
    """The texts of one tokenizer's tokens: a Hugging Face tokenizer, or mistral-common's as vLLM wraps it."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special = special_tokens(tokenizer)
        self._fast = getattr(tokenizer, "backend_tokenizer", None)
        self._bytes = _byte_table(self._fast)

    def stream(self, prompt_token_ids: Sequence[int]) -> TokenStream:
        """Return the decoder of an answer to this prompt."""
        if self._fast is not None:
            return _FastStream(self._fast, self.special, prompt_token_ids)
        return _WindowStream(self.tokenizer, self.special)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text that may spell special tokens. mistral-common finds none in a text, so it is split."""
        if not getattr(self.tokenizer, "IS_MISTRAL_TOKENIZER", False):
            return list(self.tokenizer.encode(text, add_special_tokens=False))
        by_text = {special: token_id for token_id, special in self.special.items()}
        token_ids: list[int] = []
        for piece in re.split(f"({'|'.join(map(re.escape, by_text))})", text):
            if piece in by_text:
                token_ids.append(by_text[piece])
            elif piece:
                token_ids += self.tokenizer.encode(piece, add_special_tokens=False)
        return token_ids

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text of all these tokens, special tokens included."""
        stream = self.stream(())
        return "".join(text for token_id in token_ids for text, _ in stream.next(token_id))

    def token(self, token_id: int) -> tuple[str, bytes]:
        """Return one token's text and bytes. The bytes of half a character are exact; its text is U+FFFD."""
        if (text := self.special.get(token_id)) is not None:
            return text, text.encode()
        if getattr(self.tokenizer, "is_spm", False):
            piece = str(self.tokenizer.convert_ids_to_tokens([token_id])[0]).replace("▁", " ")
            byte = _bytes_of(piece, None)
            return (_REPLACEMENT, byte) if byte is not None else (piece, piece.encode())
        text = str(self.tokenizer.decode([token_id]))
        if _REPLACEMENT not in text:
            return text, text.encode(errors="replace")
        if self._fast is None:
            tekken = getattr(getattr(self.tokenizer, "tokenizer", None), "id_to_byte_piece", None)
            exact = tekken(token_id) if tekken is not None else None
        else:
            piece = self._fast.id_to_token(token_id) or ""
            exact = _bytes_of(piece, self._bytes)
        return text, exact if exact is not None else text.encode()


def special_tokens(tokenizer: Any) -> Mapping[int, str]:
    """Return the special tokens of a tokenizer, by ID."""
    decoder = getattr(tokenizer, "added_tokens_decoder", None)
    if decoder is not None:
        special = {token_id: str(token) for token_id, token in decoder.items() if token.special}
        # Some are special only by name, as an end of sequence that the vocabulary itself has.
        for token_id, text in zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True):
            special.setdefault(token_id, text)
        return special
    return dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))


class _FastStream:
    def __init__(self, fast: Any, special: Mapping[int, str], prompt_token_ids: Sequence[int]) -> None:
        # Imported late: `firstword preflight` knows token texts only by type.
        from tokenizers.decoders import DecodeStream

        self._new = DecodeStream
        self._fast, self._special = fast, special
        self._stream = DecodeStream(ids=list(prompt_token_ids[-_CONTEXT:]), skip_special_tokens=False)

    def next(self, token_id: int) -> Sequence[Piece]:
        text = self._step(token_id)
        special = self._special.get(token_id)
        if special is None:
            return ((text, False),) if text else ()
        before = text.removesuffix(special).strip(" ") if text.endswith(special) else ""
        return ((before, False), (special, True)) if before else ((special, True),)

    def _step(self, token_id: int) -> str:
        try:
            return self._stream.step(self._fast, token_id) or ""
        except (OverflowError, TypeError):  # A token ID outside the vocabulary: padded embeddings have some.
            return ""
        except Exception:
            # The library refuses to go on where bytes are no UTF-8 and the text of the window shrinks.
            self._stream = self._new(skip_special_tokens=False)
            return self._stream.step(self._fast, token_id) or ""


class _WindowStream:
    """For a tokenizer without a decoder of its own: decodes the tokens of a window with and without the new one."""

    def __init__(self, tokenizer: Any, special: Mapping[int, str]) -> None:
        self._tokenizer, self._special = tokenizer, special
        self._ids: list[int] = []
        self._read = 0

    def next(self, token_id: int) -> Sequence[Piece]:
        if (special := self._special.get(token_id)) is not None:
            self._ids, self._read = [], 0
            return ((special, True),)
        self._ids.append(token_id)
        before = self._decode(self._ids[: self._read])
        text = self._decode(self._ids)
        if text.endswith(_REPLACEMENT) and len(self._ids) - self._read < _LONGEST_CHARACTER:
            return ()
        self._ids = self._ids[self._read :] if self._read else self._ids
        self._read = len(self._ids)
        return ((text[len(before) :], False),) if len(text) > len(before) else ()

    def _decode(self, token_ids: Sequence[int]) -> str:
        # The window has no special tokens. Without this, mistral-common joins SentencePiece's pieces as they are: `▁Hi<0x0A>`.
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True)) if token_ids else ""


def _byte_table(fast: Any) -> Mapping[str, int] | None:
    """Return the characters that stand for bytes in a byte-level vocabulary, as GPT-2's. None for another vocabulary."""
    if fast is None or "ByteLevel" not in str(fast.decoder):
        return None
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _bytes_of(piece: str, table: Mapping[str, int] | None) -> bytes | None:
    if table is not None and all(char in table for char in piece):
        return bytes(table[char] for char in piece)
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):  # SentencePiece's form.
        return bytes([int(piece[3:5], 16)])
    return None
