"""Reads answers with vLLM's own parser: for a format that no reader of ours knows, where the operator insists on serving it."""

from typing import Any, Protocol

from service.engine.models.readers.json_text import dump_object, load_object
from service.engine.models.readers.parts import Call, Content, Drop, Dropped, End, Offered, Part, Thought


class Parser(Protocol):
    """vLLM's `Parser`: one for each choice, since it keeps state."""

    def parse_delta(
        self, *, delta_text: str, delta_token_ids: list[int], request: Any, prompt_token_ids: list[int] | None, finished: bool
    ) -> Any: ...


class VllmReader:
    """Gives vLLM's parser one token at a time, and passes on each call when it is whole."""

    def __init__(self, parser: Parser, request: Any, prompt_token_ids: list[int], offered: Offered) -> None:
        self._parser = parser
        self._request = request
        self._prompt_token_ids = prompt_token_ids
        self._offered = offered
        self._calls: dict[int, tuple[str, str]] = {}
        self.mode = "content"
        self.tokens = self.thought_tokens = 0
        self.has_said = self.has_called = self.has_withheld = False

    @property
    def is_over(self) -> bool:
        return False

    def read(self, text: str, *, is_special: bool = False, token_id: int = 0) -> list[Part]:
        self.tokens += 1
        parts = self._parse(text, [token_id], is_finished=False)
        self.thought_tokens += any(isinstance(part, Thought) for part in parts)
        return parts

    def finish(self, end: End) -> list[Part]:
        parts = self._parse("", [], is_finished=True)
        for name, arguments in self._calls.values():
            value = load_object(arguments or "{}")
            known = self._offered.resolve(name)
            if end == "length" and known is not None and value is None:
                parts.append(Call(known, arguments, is_cut=True))
            elif known is None or value is None or (text := dump_object(value)) is None:
                self.has_withheld = True
                parts.append(Dropped(Drop.UNKNOWN_FUNCTION if known is None else Drop.MALFORMED))
                continue
            else:
                parts.append(Call(known, text))
            self.has_called = True
        return parts

    def _parse(self, text: str, token_ids: list[int], *, is_finished: bool) -> list[Part]:
        delta = self._parser.parse_delta(
            delta_text=text,
            delta_token_ids=token_ids,
            request=self._request,
            prompt_token_ids=self._prompt_token_ids,
            finished=is_finished,
        )
        if delta is None:
            return []
        parts: list[Part] = []
        if delta.reasoning:
            self.has_withheld = True
            parts.append(Thought(delta.reasoning))
        if delta.content:
            self.has_said = True
            parts.append(Content(delta.content))
        for call in delta.tool_calls or ():
            name, arguments = self._calls.get(call.index, ("", ""))
            function = call.function
            added = ((function.name or ""), (function.arguments or "")) if function is not None else ("", "")
            self._calls[call.index] = name + added[0], arguments + added[1]
        return parts
