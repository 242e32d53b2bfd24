"""A broken server: one fault, and the check that must report it."""

from collections.abc import Callable
from dataclasses import dataclass

from service.console.report import Outcome
from tests.check.good_server import GoodHandler


@dataclass(frozen=True)
class Broken:
    """A server, the check that must report its fault, and the other results that follow from the same fault."""

    handler: type[GoodHandler]
    check: str
    outcome: Outcome
    follows: dict[str, Outcome]

    @property
    def expected(self) -> dict[str, Outcome]:
        return {self.check: self.outcome, **self.follows}


BROKEN: list[Broken] = []


def breaks(
    check: str, outcome: Outcome, follows: dict[str, Outcome] | None = None
) -> Callable[[type[GoodHandler]], type[GoodHandler]]:
    def register(handler: type[GoodHandler]) -> type[GoodHandler]:
        BROKEN.append(Broken(handler, check, outcome, follows or {}))
        return handler

    return register
