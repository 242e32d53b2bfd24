"""Counts by kind and second. They are exact for runs of any length, even where rows are a sample."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

TURN_KINDS = ("tenant", "agent", "outcome", "standing", "reason")
CALL_KINDS = ("tenant", "agent", "outcome")
MOST_REASONS = 100
"""Most distinct reasons. Reasons contain the server's own codes; after this many, each new one counts as `others`."""


class Tally:
    """Counts by kind and second. Its size grows with the kinds and seconds of a run, not with the counts."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)
        self._of: dict[tuple[str, ...], Counter[int]] = {}

    def add(self, kind: tuple[str, ...], at_s: float) -> None:
        self._of.setdefault(kind, Counter())[int(at_s)] += 1

    def as_dict(self) -> dict[str, Any]:
        rows = [[*kind, list(seconds), list(seconds.values())] for kind, seconds in sorted(self._of.items())]
        return {"columns": [*self.kinds, "seconds", "counts"], "rows": rows}


def counted(tally: dict[str, Any]) -> Iterator[tuple[dict[str, str], dict[int, int]]]:
    """Yield each kind of a record's tally, and its counts by second."""
    for row in tally["rows"]:
        *kind, seconds, counts = row
        yield dict(zip(tally["columns"], kind, strict=False)), dict(zip(seconds, counts, strict=True))


def totals(tally: dict[str, Any], name: str, **only: str) -> dict[str, int]:
    """Totals of the whole run by the column `name`, most frequent first. `only`: count only kinds with these values."""
    found: Counter[str] = Counter()
    for kind, counts in counted(tally):
        if all(kind[column] == value for column, value in only.items()):
            found[kind[name]] += sum(counts.values())
    return dict(found.most_common())
