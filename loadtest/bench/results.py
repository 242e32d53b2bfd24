"""The results, as a JSON file. It is written after every cell, and a run that measures only a part adds to it."""

import statistics
from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from loadtest.overload.measures import percentile

OURS, PEER, RUST = "firstword", "vllm", "vllm-rs"
"""The servers: ours; `vllm serve`; and `vllm serve` with vLLM's front end in Rust."""
COST, SERVED, MEMORY, START, LARGE = "cost", "served", "memory", "start", "large"
TOKEN, ADAPTIVE, TOOLS = "token", "adaptive", "tools"
"""How turns are streamed: one frame per token; adaptive frames, which only our server has; one frame per token, with tools."""
PEERS_MODE = {ADAPTIVE: TOKEN}
"""The peers' mode that a mode of ours is compared with, if they do not have that mode."""

Figures = dict[str, float | None]
"""Measured values by name. The name ends with the unit. None: there was nothing to measure."""


@dataclass(frozen=True)
class Cell:
    """One server, measured once."""

    part: str
    server: str
    mode: str
    """How turns are streamed. For `large`: the kind of the large request. Empty for parts without a mode."""
    streams: int
    """Number of concurrent streams. 0 for parts without streams."""
    round: int
    figures: Figures

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        return self.part, self.server, self.mode, self.streams, self.round


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest value of the rounds, and their number."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Collection[float]) -> "Spread | None":
        """The spread of the values. None if there are none."""
        return cls(statistics.median(values), min(values), max(values), len(values)) if values else None


@dataclass
class Results:
    """All cells, and the conditions of their measurement."""

    about: dict[str, str] = field(default_factory=dict)
    """Machine, versions, lengths."""
    cells: list[Cell] = field(default_factory=list)

    def put(self, cell: Cell) -> None:
        """Add a cell. It replaces an earlier cell with the same key."""
        self.cells = [each for each in self.cells if each.key != cell.key] + [cell]

    def forget(self, part: str, streams: Container[int]) -> None:
        """Remove a part's cells before it is measured again. A median must not mix two versions of the code."""
        self.cells = [each for each in self.cells if each.part != part or each.streams not in streams]

    def figures(self, part: str, server: str, mode: str, streams: int, name: str) -> dict[int, float]:
        """Values of one figure, by round."""
        cells = [cell for cell in self.cells if cell.key[:4] == (part, server, mode, streams)]
        reported = {cell.round: cell.figures.get(name) for cell in cells}
        return {number: value for number, value in sorted(reported.items()) if value is not None}

    def spread(self, part: str, server: str, mode: str, streams: int, name: str) -> Spread | None:
        return Spread.of(self.figures(part, server, mode, streams, name).values())

    def median(self, part: str, server: str, mode: str, streams: int, name: str) -> float | None:
        spread = self.spread(part, server, mode, streams, name)
        return None if spread is None else spread.median

    @property
    def peers(self) -> tuple[str, ...]:
        """The servers that ours is compared with. The Rust front end is included only if it was measured."""
        return (PEER, RUST) if any(cell.server == RUST for cell in self.cells) else (PEER,)

    def ratio(self, part: str, mode: str, streams: int, name: str, *, peer: str = PEER) -> Spread | None:
        """Ratio ours / peer, over the rounds in which both were measured."""
        ours = self.figures(part, OURS, mode, streams, name)
        theirs = self.figures(part, peer, PEERS_MODE.get(mode, mode), streams, name)
        return Spread.of([ours[number] / theirs[number] for number in ours if theirs.get(number)])

    def places(self, part: str) -> Iterator[tuple[str, int]]:
        """Yield the measured modes and stream numbers of a part, in the order of the table."""
        order = {TOKEN: 0, ADAPTIVE: 1, TOOLS: 2}
        found = dict.fromkeys((cell.mode, cell.streams) for cell in self.cells if cell.part == part)
        yield from sorted(found, key=lambda place: (order.get(place[0], 3), place[1]))  # Other modes keep their order.

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))


def read_results(file: Path) -> Results:
    """Read the results of earlier runs. Empty if there is no file."""
    if not file.exists():
        return Results()
    reported: dict[str, Any] = orjson.loads(file.read_bytes())
    return Results(reported["about"], [Cell(**cell) for cell in reported["cells"]])


def percentile_ms(values_s: Sequence[float], percent: float) -> float | None:
    """Percentile in milliseconds, of values in seconds. None if there are no values."""
    found = percentile(values_s, percent)
    return None if found is None else found * 1000
