"""What was measured, as a JSON file. Written after every cell, and added to by a run that measures only a part."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from loadtest.overload.measures import Bounds, Measures

OURS, PLAIN, TUNED = "firstword", "vllm", "vllm-tuned"
FLOOD = "flood"
"""A workload of ours alone: uniform turns of two tenants. Its loads are multiples of a tenant's fair share."""


@dataclass(frozen=True)
class Cell:
    """One server under one load of one workload."""

    server: str
    workload: str
    load: float
    """Offered turns per second over capacity."""
    measures: Measures

    @property
    def key(self) -> tuple[str, str, float]:
        return self.server, self.workload, self.load


@dataclass
class Results:
    """All cells, and what they rest on."""

    about: dict[str, Any] = field(default_factory=dict)
    """Machine, versions, seed, lengths."""
    bounds: Bounds = field(default_factory=Bounds)
    capacity: dict[str, float] = field(default_factory=dict)
    """Turns per second, by workload."""
    cells: list[Cell] = field(default_factory=list)

    def put(self, cell: Cell) -> None:
        """Add a cell, in place of an earlier one of the same server, workload and load."""
        self.cells = [each for each in self.cells if each.key != cell.key] + [cell]

    def set_capacity(self, workload: str, turns_per_s: float) -> None:
        """Cells measured at multiples of another capacity are dropped: they would not compare."""
        if self.capacity.get(workload, turns_per_s) != turns_per_s:
            self.cells = [each for each in self.cells if each.workload != workload]
        self.capacity[workload] = turns_per_s

    def of(self, server: str, workload: str, load: float) -> Measures | None:
        return next((cell.measures for cell in self.cells if cell.key == (server, workload, load)), None)

    def line(self, server: str, workload: str) -> list[Cell]:
        """A server's cells of a workload, by rising load."""
        return sorted((cell for cell in self.cells if cell.key[:2] == (server, workload)), key=lambda cell: cell.load)

    def in_order(self) -> Iterator[Cell]:
        """By workload, load, server: as a table shows them."""
        yield from sorted(self.cells, key=lambda cell: (cell.workload == FLOOD, cell.workload, cell.load, cell.server))

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))


def read_results(file: Path) -> Results:
    """What an earlier run wrote; empty where there is no file."""
    if not file.exists():
        return Results()
    told = orjson.loads(file.read_bytes())
    cells = [Cell(**{**cell, "measures": _measures(cell["measures"])}) for cell in told["cells"]]
    return Results(told["about"], Bounds(**told["bounds"]), told["capacity"], cells)


def _measures(told: dict[str, Any]) -> Measures:
    return Measures(**{**told, "failures": tuple(told["failures"])})
