"""`make bench` with three servers, and with two where the Rust front end cannot be had: the order, the tables, the picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.bench import bench
from loadtest.bench.bench import MODES, Bench, Plan
from loadtest.bench.large import PROMPT
from loadtest.bench.plot import draw
from loadtest.bench.report import markdown, target_table
from loadtest.bench.results import (
    ADAPTIVE,
    COST,
    LARGE,
    MEMORY,
    OURS,
    PEER,
    RUST,
    SERVED,
    START,
    TOKEN,
    Cell,
    Figures,
    Results,
    read_results,
)
from loadtest.servers import Endpoint

BINARY = Path("vllm-rs")
TWO, THREE = (OURS, PEER), (OURS, PEER, RUST)
COST_US = {OURS: 30.0, PEER: 60.0, RUST: 20.0}


def plan(rust_frontend: Path | None, *, rounds: int = 3) -> Plan:
    parts = [COST, SERVED, MEMORY, START, LARGE]
    return Plan(parts, rounds, [8, 64], [1], seconds=1, warm_up_s=1, served_s=1, repeats=1, rust_frontend=rust_frontend)


def results_of(servers: tuple[str, ...]) -> Results:
    """A round of every part."""
    results = Results()
    for server in servers:
        cost: Figures = {"cpu_us_per_token": COST_US[server], "tokens_per_s": 4000.0, "frames_per_token": 1.0}
        served: Figures = {"ttft_p50_ms": 100.0, "tpot_p50_ms": 20.0, "tokens_per_s": 200.0}
        rows: list[tuple[str, str, int, Figures]] = [(COST, mode, 64, cost) for mode in MODES[server]]
        rows += [(SERVED, "", 8, served), (MEMORY, "", 0, {"peak_bytes": 7e8}), (START, "", 0, {"first_turn_s": 30.0})]
        rows += [(LARGE, PROMPT, 32, {"status": 200, "answered_s": 1.0})]
        results.cells += [Cell(part, server, mode, streams, 1, figures) for part, mode, streams, figures in rows]
    return results


def rows_of(reported: str, title: str) -> list[list[str]]:
    """A table's cells, heads first, without the line below them."""
    lines = reported.split(f"**{title}**")[1].strip().split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize(("rust_frontend", "servers"), [(None, TWO), (BINARY, THREE)])
def test_each_server_goes_first_in_turn(rust_frontend: Path | None, servers: tuple[str, ...]) -> None:
    orders = [plan(rust_frontend).order(number) for number in range(1, len(servers) + 1)]
    assert orders[0] == servers
    assert {order[0] for order in orders} == set(servers)
    assert all(set(order) == set(servers) for order in orders)


def test_a_third_server_has_cells_of_its_own() -> None:
    with_rust, without = (plan(binary, rounds=1).cells for binary in (BINARY, None))
    assert with_rust - without == 2 * len(MODES[RUST]) + 1 + 1 + 1 + 3


@pytest.mark.parametrize("rust_frontend", [None, BINARY])
def test_a_run_starts_every_server_in_every_round(
    rust_frontend: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Path | None]] = []

    @contextmanager
    def serving(server: str, engine: str, logs: Path, binary: Path | None) -> Iterator[Endpoint]:
        started.append((server, binary))
        yield Endpoint("", 0, "")

    monkeypatch.setattr(bench, "serving", serving)
    monkeypatch.setattr(bench, "first_turn_s", lambda endpoint: 1.0)
    results = Results()
    only_starts = Plan([START], 2, [8], [1], seconds=1, warm_up_s=1, served_s=1, repeats=1, rust_frontend=rust_frontend)
    Bench(only_starts, results, tmp_path, on_cell=lambda _: None, say=lambda _: None).run()
    assert started == [(server, rust_frontend) for number in (1, 2) for server in only_starts.order(number)]
    assert len(results.cells) == only_starts.cells


def test_tables_of_three_servers_have_the_rust_front_end_and_our_ratio_to_it() -> None:
    heads, *rows = rows_of(markdown(results_of(THREE)), "CPU time per token")
    assert heads[2:10] == ["µs per token: ours", PEER, "ratio", RUST, "ratio", "tokens/s: ours", PEER, RUST]
    by_mode = {row[0]: row for row in rows}
    assert by_mode["one frame per token"][2:7] == ["30.0", "60.0", "**0.50** (0.50–0.50)", "20.0", "**1.50** (1.50–1.50)"]
    assert by_mode["adaptive frames"][5:7] == by_mode["one frame per token"][5:7]  # Compared with its one frame per token.
    assert all(len(row) == len(heads) for row in rows)


@pytest.mark.parametrize(("servers", "columns"), [(TWO, (11, 10, 4, 7)), (THREE, (16, 16, 6, 7))])
def test_each_table_has_a_column_for_each_server_that_was_measured(servers: tuple[str, ...], columns: tuple[int, ...]) -> None:
    reported = markdown(results_of(servers))
    titles = (
        "CPU time per token",
        "The real model, by `vllm bench serve`",
        "Memory and start",
        "Streams during a large request",
    )
    for title, count in zip(titles, columns, strict=True):
        assert {len(row) for row in rows_of(reported, title)} == {count}, title
    assert [row[1] for row in rows_of(reported, titles[3])[1:]] == list(servers)
    assert (RUST in reported) == (RUST in servers)


def test_targets_are_ratios_to_vllm_serve_whatever_else_was_measured() -> None:
    assert target_table(results_of(TWO)) == target_table(results_of(THREE))


def test_a_ratio_to_the_rust_front_end_is_of_rounds_that_both_have() -> None:
    results = results_of(THREE)
    results.put(Cell(COST, OURS, ADAPTIVE, 64, 2, {"cpu_us_per_token": 10.0}))
    ratio = results.ratio(COST, ADAPTIVE, 64, "cpu_us_per_token", peer=RUST)
    assert ratio is not None and (ratio.rounds, ratio.median) == (1, 1.5)


def test_results_with_three_servers_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    results_of(THREE).write(file)
    again = read_results(file)
    assert again.peers == (PEER, RUST)
    assert again.median(COST, RUST, TOKEN, 64, "cpu_us_per_token") == COST_US[RUST]


@pytest.mark.parametrize(("servers", "is_shown"), [(TWO, False), (THREE, True)])
def test_the_picture_shows_the_servers_that_were_measured(servers: tuple[str, ...], is_shown: bool, tmp_path: Path) -> None:
    draw(results_of(servers), tmp_path / "bench.svg")
    assert ("Rust front end" in (tmp_path / "bench.svg").read_text()) == is_shown
    draw(results_of(servers), tmp_path / "bench.png")
