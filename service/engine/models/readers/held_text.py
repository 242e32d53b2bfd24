"""Text of an answer that was not read yet, because it can be the beginning of a mark."""


class HeldText:
    """Text, and where in it special tokens stand. They are marks, or nothing: none is ever text."""

    def __init__(self) -> None:
        self.text = ""
        self._special: list[tuple[int, int]] = []

    @property
    def has_special(self) -> bool:
        """Whether a special token is in the text."""
        return bool(self._special)

    def add(self, text: str, *, is_special: bool) -> None:
        """Add a token at the end."""
        if is_special and text:
            self._special.append((len(self.text), len(self.text) + len(text)))
        self.text += text

    def take(self, size: int) -> str:
        """Remove so many characters from the beginning. Returns them without special tokens."""
        taken, self.text = self.text[:size], self.text[size:]
        for begin, end in reversed(self._special):
            if begin < size:
                taken = taken[:begin] + taken[end:]
        self._special = [(begin - size, end - size) for begin, end in self._special if begin >= size]
        return taken

    def put_back(self, text: str) -> None:
        """Add text at the beginning: it is to be read again."""
        self.text = text + self.text
        self._special = [(begin + len(text), end + len(text)) for begin, end in self._special]
