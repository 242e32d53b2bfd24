"""Sections that several families open with the same mark: models mix the syntaxes, so the section's first words decide."""

from dataclasses import dataclass, field

from service.engine.models.readers.parts import End, Offered
from service.engine.models.readers.section import CallSyntax, Found, SectionReader


@dataclass(frozen=True)
class MixedCalls:
    """A family's own syntax, and others that begin with the same mark."""

    native: CallSyntax
    others: tuple[tuple[str, CallSyntax], ...]
    """How a section of each other syntax begins, after white space."""
    words: tuple[str, ...] = field(init=False)
    """All regular expressions and marks, by which the format knows its special tokens."""

    def __post_init__(self) -> None:
        values = [value for syntax in (self.native, *(each for _, each in self.others)) for value in vars(syntax).values()]
        words = [word for value in values for word in (value if isinstance(value, tuple) else (value,)) if isinstance(word, str)]
        object.__setattr__(self, "words", tuple(words))

    @property
    def opens(self) -> str:
        return self.native.opens

    @property
    def bare_opens(self) -> str:
        return self.native.bare_opens

    @property
    def endings(self) -> str:
        return self.native.endings

    @property
    def noise(self) -> str:
        return self.native.noise

    def reader(self, mark: str, offered: Offered, *, is_bare: bool) -> SectionReader:
        return self.native.reader(mark, offered, is_bare=True) if is_bare else _MixedSection(self, mark, offered)


class _MixedSection:
    def __init__(self, syntax: MixedCalls, mark: str, offered: Offered) -> None:
        self._syntax, self._mark, self._offered = syntax, mark, offered
        self._reader: SectionReader | None = None

    def read(self, text: str, end: End | None) -> Found:
        if self._reader is None:
            start = text.lstrip()
            if end is None and (not start or any(begins.startswith(start) for begins, _ in self._syntax.others)):
                return Found()
            fitting = [syntax for begins, syntax in self._syntax.others if start.startswith(begins)]
            chosen = fitting[0] if fitting else self._syntax.native
            self._reader = chosen.reader(self._mark, self._offered, is_bare=False)
        return self._reader.read(text, end)
