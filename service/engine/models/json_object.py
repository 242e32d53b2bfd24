"""The arguments of a call as templates want them: some read an object, others join a JSON string to other text."""

import json
from typing import Any


class JsonObject(dict[str, Any]):
    """A JSON object that also acts as its own JSON text.

    A template can iterate over it or dump it, as over any `dict`. It can also print it (`{{ x }}`), or add it to a string
    (`"a" + x`, `x + "a"`, `"a" ~ x`), and then gets its JSON text.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)

    def __bool__(self) -> bool:
        """Return True, also for `{}`: its text is not empty. vLLM would replace an object that is false by a plain `dict`."""
        return True

    def __add__(self, other: str) -> str:
        return str(self) + other if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str) -> str:
        return other + str(self) if isinstance(other, str) else NotImplemented
