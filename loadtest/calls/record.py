"""The record of a run: one JSON file, the input of every report. docs/loadtest.md describes its fields."""

import math
import os
import random
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import orjson

from loadtest.calls.rows import CALL_COLUMNS, TURN_COLUMNS, Row
from loadtest.calls.summary import standing_of
from loadtest.calls.tally import CALL_KINDS, MOST_REASONS, TURN_KINDS, Tally

VERSION = 1
KEYS = {
    "version": "version of this layout: 1",
    "scenario": "name of the scenario",
    "settings": "command-line options and the model; no key",
    "environment": "client, versions, CPUs, date",
    "schedule": "`stages` of each tenant: `begin_s`, `end_s`, `rate`; `changes`: time and new values of rate, cap or processes",
    "run_s": "duration of the run",
    "validity": "`is_valid`; `doubts`: the reasons why it is not",
    "summary": "measures of the whole run, as in the table at the end",
    "turns": "`columns`, `rows`, `seen`: number of turns; if it is above the number of rows, the rows are a random sample",
    "calls": "the same for calls",
    "counts": "`turns`, `calls`: counts by kind and second; they include all, even if the rows are a sample",
    "totals": "over all turns: tokens, turns with a first token (`heard`), the sum of their TTFT",
    "seconds": "`columns`, `rows`: counts in each second, by send time of turns and due time of calls; over all turns",
    "itl": "histogram of the gaps between chunks: `edges_s`, `counts`; `sum_s`, `count`",
    "client": "per process and second: CPUs used, calls in progress; per process: lags of the event loop",
    "server": "`server`, `client`: counts of both; `disagreements` between them; `remarks`: settings that differ; `problem`: why"
    " there are no counts. null: the server has none",
}
SECOND_COLUMNS = ("second", "calls", "not_placed", "turns", "on_time", "refused", "failed", "completion_tokens")
_ITL_LEAST_S, _ITL_GROWTH = 0.0001, 1.05


class Gaps:
    """Histogram of the gaps between chunks. Each bucket's upper edge is 5 % above the previous one."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.sum_s = 0.0

    def add(self, gaps: list[float]) -> None:
        for gap in gaps:
            place = math.ceil(math.log(max(gap, _ITL_LEAST_S) / _ITL_LEAST_S) / math.log(_ITL_GROWTH))
            self.counts[place] = self.counts.get(place, 0) + 1
            self.sum_s += gap

    def merge(self, counts: dict[int, int], sum_s: float) -> None:
        for place, count in counts.items():
            self.counts[place] = self.counts.get(place, 0) + count
        self.sum_s += sum_s

    def as_dict(self) -> dict[str, Any]:
        places = range(max(self.counts, default=-1) + 1)
        return {
            "edges_s": [round(_ITL_LEAST_S * _ITL_GROWTH**place, 6) for place in places],
            "counts": [self.counts.get(place, 0) for place in places],
            "sum_s": round(self.sum_s, 5),
            "count": sum(self.counts.values()),
        }


class Sample:
    """Keeps at most `most` rows. If there are more, each row has the same chance to be kept (reservoir sampling)."""

    def __init__(self, most: int, seed: int) -> None:
        self.rows: list[Row] = []
        self.seen = 0
        self._most = most
        self._chance = random.Random(seed)

    def add(self, row: Row) -> None:
        self.seen += 1
        if len(self.rows) < self._most:
            self.rows.append(row)
        elif (place := self._chance.randrange(self.seen)) < self._most:
            self.rows[place] = row

    def as_dict(self, columns: dict[str, str]) -> dict[str, Any]:
        return {"columns": list(columns), "rows": sorted(self.rows, key=lambda row: (row[0], row[3])), "seen": self.seen}


class Seen:
    """Merged reports of the processes that place calls. Rows may be a sample; all counts are exact."""

    def __init__(self, most_rows: int, seed: int, ttft_budget_s: float) -> None:
        self.turns, self.calls = Sample(most_rows, seed), Sample(most_rows, seed)
        self.gaps = Gaps()
        self.watches: dict[str, dict[str, Any]] = {}
        self.not_placed = 0
        self.totals = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "heard": 0, "ttft_sum_s": 0.0}
        self._ttft_budget_s = ttft_budget_s
        self._tallies = {"turns": Tally(TURN_KINDS), "calls": Tally(CALL_KINDS)}
        self._reasons: set[str] = set()
        self._seconds: dict[int, list[int]] = {}

    def merge(self, worker: str, report: dict[str, Any]) -> None:
        """Add one process's report: its results since its last report."""
        for row in report["turns"]:
            self.turns.add(row)
            self._turn(dict(zip(TURN_COLUMNS, row, strict=True)))
        for row in report["calls"]:
            self.calls.add(row)
            self._call(dict(zip(CALL_COLUMNS, row, strict=True)))
        self.gaps.merge(report["gaps"], report["gaps_sum_s"])
        self._watched(worker, report["watch"])

    def _turn(self, turn: dict[str, Any]) -> None:
        outcome, sent_s = turn["outcome"], turn["due_s"] + turn["late_s"]
        tokens = turn["completion_tokens"]
        self._count(sent_s, 0, 0, 1, turn["on_time"], int(outcome == "refused"), int(outcome == "failed"), tokens)
        reason = self._known(turn["reason"] or "unknown") if outcome in ("refused", "failed") else ""
        standing = standing_of(turn, self._ttft_budget_s)
        self._tallies["turns"].add((turn["tenant"], turn["agent"], outcome, standing, reason), sent_s)
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens"):
            self.totals[name] += turn[name]
        if turn["ttft_s"] is not None:
            self.totals["heard"] += 1
            self.totals["ttft_sum_s"] += turn["ttft_s"]

    def _call(self, call: dict[str, Any]) -> None:
        is_placed = call["outcome"] != "not placed"
        self.not_placed += not is_placed
        self._count(call["due_s"], int(is_placed), int(not is_placed), 0, 0, 0, 0, 0)
        self._tallies["calls"].add((call["tenant"], call["agent"], call["outcome"]), call["due_s"])

    def _watched(self, worker: str, watch: dict[str, Any]) -> None:
        """Merge a process's measurements of itself. Lists hold new seconds and are appended; sums are totals and are replaced."""
        whole = self.watches.setdefault(worker, {"cpu": [], "in_progress": []})
        for name, reported in watch.items():
            if isinstance(reported, list):
                whole[name] += reported
            else:
                whole[name] = reported

    def _known(self, reason: str) -> str:
        if len(self._reasons) < MOST_REASONS:
            self._reasons.add(reason)
        return reason if reason in self._reasons else "others"

    def _count(self, at_s: float, *counts: int) -> None:
        second = self._seconds.setdefault(int(at_s), [0] * len(counts))
        for place, count in enumerate(counts):
            second[place] += count

    def as_dict(self) -> dict[str, Any]:
        return {
            "turns": self.turns.as_dict(TURN_COLUMNS),
            "calls": self.calls.as_dict(CALL_COLUMNS),
            "counts": {name: tally.as_dict() for name, tally in self._tallies.items()},
            "totals": self.totals,
            "seconds": {
                "columns": list(SECOND_COLUMNS),
                "rows": [[second, *counts] for second, counts in sorted(self._seconds.items())],
            },
            "itl": self.gaps.as_dict(),
            "client": self.watches,
        }


def can_write(path: Path) -> bool:
    """Whether the file can be written. Creates its folder. Called before the run, so that no run is lost."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path.parent, os.W_OK) and not path.is_dir()


def numbered(path: Path, number: int) -> Path:
    """Path of a run's record. The first run has `path`; later runs have their number appended, so that none is overwritten."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def write(record: dict[str, Any], path: Path) -> None:
    """Write atomically: to a draft, then rename."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(orjson.dumps(record))
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read a record. Raises `ValueError` if it is not a record of this layout."""
    record = orjson.loads(path.read_bytes())
    if not isinstance(record, dict) or "version" not in record or "verdict" in record:  # A report's JSON file has a verdict.
        raise ValueError(f"{path} is not a record. Give a file that `locust … --record FILE` wrote.")
    if record["version"] != VERSION:
        raise ValueError(
            f"{path} has version {shortened(record['version'])}, but only version {VERSION} can be read. Run the load test again."
        )
    return record
