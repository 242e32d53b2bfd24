"""The results, as a JSON file. It is written after every cell, and a run that measures only a part adds to it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from loadtest.overload.measures import Bounds, Measures

OURS, PLAIN, TUNED = "firstword", "vllm", "vllm-tuned"
FLOOD = "flood"
"""Workload that only our server is measured with: uniform turns of two tenants. Its loads are multiples of a fair share."""


@dataclass(frozen=True)
class Cell:
    """One server under one load of one workload."""

    server: str
    workload: str
    load: float
    """Offered load as a multiple of capacity. For `flood`: as a multiple of a tenant's fair share."""
    measures: Measures

    @property
    def key(self) -> tuple[str, str, float]:
        return self.server, self.workload, self.load


@dataclass
class Results:
    """All cells, and the conditions of their measurement."""

    about: dict[str, Any] = field(default_factory=dict)
    """Machine, versions, seed, lengths."""
    bounds: Bounds = field(default_factory=Bounds)
    capacity: dict[str, float] = field(default_factory=dict)
    """Capacity in turns per second, by workload."""
    cells: list[Cell] = field(default_factory=list)

    def put(self, cell: Cell) -> None:
        """Add a cell. It replaces an earlier cell with the same server, workload and load."""
        self.cells = [each for each in self.cells if each.key != cell.key] + [cell]

    def set_capacity(self, workload: str, turns_per_s: float) -> None:
        """Set the capacity. If it changes, drop the workload's cells: they are multiples of another capacity."""
        if self.capacity.get(workload, turns_per_s) != turns_per_s:
            self.cells = [each for each in self.cells if each.workload != workload]
        self.capacity[workload] = turns_per_s

    def of(self, server: str, workload: str, load: float) -> Measures | None:
        return next((cell.measures for cell in self.cells if cell.key == (server, workload, load)), None)

    def line(self, server: str, workload: str) -> list[Cell]:
        """A server's cells of a workload, in order of load."""
        return sorted((cell for cell in self.cells if cell.key[:2] == (server, workload)), key=lambda cell: cell.load)

    def in_order(self) -> Iterator[Cell]:
        """Cells in the order of the table: by workload, load, server."""
        yield from sorted(self.cells, key=lambda cell: (cell.workload == FLOOD, cell.workload, cell.load, cell.server))

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))


def read_results(file: Path) -> Results:
    """Read the results of earlier runs. Empty if there is no file."""
    if not file.exists():
        return Results()
    reported = orjson.loads(file.read_bytes())
    cells = [Cell(**{**cell, "measures": _measures(cell["measures"])}) for cell in reported["cells"]]
    return Results(reported["about"], Bounds(**reported["bounds"]), reported["capacity"], cells)


def _measures(reported: dict[str, Any]) -> Measures:
    return Measures(**{**reported, "failures": tuple(reported["failures"])})
