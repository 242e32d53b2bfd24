"""What was measured, as a JSON file: written after every cell, and added to by a run that measures only a part."""

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
"""How turns are streamed: a frame for each token; adaptive frames, which are ours alone; a frame for each token, with tools."""
PEERS_MODE = {ADAPTIVE: TOKEN}
"""What a mode of ours is measured against, where the other servers have no such mode."""

Figures = dict[str, float | None]
"""By name, the unit at its end. None: there was nothing to measure."""


@dataclass(frozen=True)
class Cell:
    """One server, measured once."""

    part: str
    server: str
    mode: str
    """How turns are streamed; of `large`, what the large request is; else empty."""
    streams: int
    """0 where it has no meaning."""
    round: int
    figures: Figures

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        return self.part, self.server, self.mode, self.streams, self.round


@dataclass(frozen=True)
class Spread:
    """What each round gave: the middle one, the ends, and how many there were."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Collection[float]) -> "Spread | None":
        """None without any."""
        return cls(statistics.median(values), min(values), max(values), len(values)) if values else None


@dataclass
class Results:
    """All cells, and what they rest on."""

    about: dict[str, str] = field(default_factory=dict)
    """Machine, versions, lengths."""
    cells: list[Cell] = field(default_factory=list)

    def put(self, cell: Cell) -> None:
        """Add a cell, in place of an earlier one of the same place and round."""
        self.cells = [each for each in self.cells if each.key != cell.key] + [cell]

    def forget(self, part: str, streams: Container[int]) -> None:
        """Before it is measured anew: a median over two states of the code would be of neither."""
        self.cells = [each for each in self.cells if each.part != part or each.streams not in streams]

    def figures(self, part: str, server: str, mode: str, streams: int, name: str) -> dict[int, float]:
        """By round."""
        cells = [cell for cell in self.cells if cell.key[:4] == (part, server, mode, streams)]
        told = {cell.round: cell.figures.get(name) for cell in cells}
        return {number: value for number, value in sorted(told.items()) if value is not None}

    def spread(self, part: str, server: str, mode: str, streams: int, name: str) -> Spread | None:
        return Spread.of(self.figures(part, server, mode, streams, name).values())

    def median(self, part: str, server: str, mode: str, streams: int, name: str) -> float | None:
        spread = self.spread(part, server, mode, streams, name)
        return None if spread is None else spread.median

    @property
    def peers(self) -> tuple[str, ...]:
        """The servers that ours is measured against. The Rust front end only where it was measured."""
        return (PEER, RUST) if any(cell.server == RUST for cell in self.cells) else (PEER,)

    def ratio(self, part: str, mode: str, streams: int, name: str, *, peer: str = PEER) -> Spread | None:
        """Ours over the peer's, of each round in which both were measured."""
        ours = self.figures(part, OURS, mode, streams, name)
        theirs = self.figures(part, peer, PEERS_MODE.get(mode, mode), streams, name)
        return Spread.of([ours[number] / theirs[number] for number in ours if theirs.get(number)])

    def places(self, part: str) -> Iterator[tuple[str, int]]:
        """The modes and streams of a part that were measured, as a table shows them."""
        order = {TOKEN: 0, ADAPTIVE: 1, TOOLS: 2}
        found = dict.fromkeys((cell.mode, cell.streams) for cell in self.cells if cell.part == part)
        yield from sorted(found, key=lambda place: (order.get(place[0], 3), place[1]))  # Others as they were measured.

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))


def read_results(file: Path) -> Results:
    """What an earlier run wrote; empty where there is no file."""
    if not file.exists():
        return Results()
    told: dict[str, Any] = orjson.loads(file.read_bytes())
    return Results(told["about"], [Cell(**cell) for cell in told["cells"]])


def percentile_ms(values_s: Sequence[float], percent: float) -> float | None:
    """Of values in seconds."""
    found = percentile(values_s, percent)
    return None if found is None else found * 1000
