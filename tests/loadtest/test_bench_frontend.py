"""`make bench`: what it counts on processes and services that run, and what it says of figures that are made up."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import typer
import uvloop

from loadtest.bench.bench import MODES, Plan, request
from loadtest.bench.cost import Meter, counted, measure_cost, peak_bytes, processes_of
from loadtest.bench.engines import ENGINE_ARGS, LONG, as_flags
from loadtest.bench.large import MONSTER, PROMPT, PROMPT_CHARS, SCHEMA, large_body, measure_large
from loadtest.bench.report import markdown, target_table, write_docs
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
    TOOLS,
    Cell,
    Figures,
    Results,
    read_results,
)
from loadtest.bench.served import prompts_for
from loadtest.bench.streams import stream_for
from loadtest.bench.targets import Verdict, verdicts
from loadtest.pages import BEGIN, END
from loadtest.servers import Endpoint
from service.engine.scripted.engine import Reply
from tests.loadtest.calls import endpoint_of
from tests.support.service_under_test import scripted_service, until

BURN = "while True: pass"
FAMILY = f"""
(exec -a VLLM::EngineCore {sys.executable} -c '{BURN}') &
{sys.executable} -c '{BURN}' &
wait
"""
"""A server that waits, a process of it that is busy, and an engine that is busy too."""


@contextmanager
def family(script: str) -> Iterator[psutil.Process]:
    with subprocess.Popen(["bash", "-c", script]) as process:
        server = psutil.Process(process.pid)
        try:
            yield server
        finally:
            for each in [*server.children(recursive=True), server]:
                each.kill()


def measured(*rows: tuple[str, str, str, int, Figures], of_round: int = 1) -> Results:
    return Results({"Machine": "made up"}, [Cell(*row[:4], of_round, row[4]) for row in rows])


def cost(values: dict[str, list[float]], mode: str = TOKEN, streams: int = 64, name: str = "cpu_us_per_token") -> Results:
    """A list of rounds for each server."""
    cells = [
        Cell(COST, server, mode, streams, number, {name: value})
        for server, of_rounds in values.items()
        for number, value in enumerate(of_rounds, start=1)
    ]
    return Results(cells=cells)


def verdict(results: Results, target: str) -> Verdict:
    (found,) = [each for each in verdicts(results) if each.target.startswith(target)]
    return found


# What is counted


def test_the_engines_time_is_not_the_servers() -> None:
    with family(FAMILY) as server:
        until(lambda: any(each.cmdline()[:1] == ["VLLM::EngineCore"] for each in server.children(recursive=True)))
        until(lambda: len(server.children()) == 2)
        processes, engine = processes_of(server.pid)
        (busy,) = [each for each in processes if each.pid != server.pid]
        assert [each.cmdline()[0] for each in engine] == ["VLLM::EngineCore"]
        meter = Meter(Endpoint("", 0, ""), processes)
        before, own = meter.cpu_s(), sum(busy.cpu_times()[:2])
        until(lambda: meter.cpu_s() >= before + 0.1)
        assert meter.cpu_s() - before == pytest.approx(sum(busy.cpu_times()[:2]) - own, abs=0.05)
        assert peak_bytes(processes) >= sum(each.memory_info().rss for each in processes)


def test_a_server_without_an_engine_to_be_seen_is_not_measured() -> None:
    with family("sleep 60 & wait") as server, pytest.raises(RuntimeError, match="No engine"):
        processes_of(server.pid)


def test_a_counter_is_the_sum_of_its_series() -> None:
    reported = '# TYPE x_total counter\nx_total{model="a b",engine="0"} 12.0\nx_total{model="c"} 3\nx_total_more 9\ny_total 5\n'
    assert counted(reported, "x_total") == 15
    assert counted(reported, "y_total") == 5
    with pytest.raises(RuntimeError, match="z_total"):
        counted(reported, "z_total")


def test_turns_tokens_and_time_of_a_service_are_counted() -> None:
    with scripted_service(engine_args={"step_s": 0.005}) as service:
        meter = Meter(endpoint_of(service), [psutil.Process()], "firstword_completion_tokens_total")
        service.post(service.body("one"))  # Not counted, but then the counter is there.
        until(lambda: service.metric(meter.counter) > 0)
        body = service.body("one two three", max_tokens=12, ignore_eos=True)
        figures = measure_cost(meter, body, streams=3, seconds=0.3, warm_up_s=0.1, headers={"x-firstword-frames": "token"})
    turns, tokens, frames, time_s = (figures[name] for name in ("turns", "tokens", "frames_per_token", "cpu_s"))
    assert turns is not None and tokens is not None and frames is not None and time_s is not None
    assert turns >= 3
    assert tokens == 12 * turns
    assert figures["failed"] == 0
    assert 1 <= frames < 1.5
    assert figures["cpu_us_per_token"] == pytest.approx(time_s / tokens * 1e6)
    assert figures["gap_p50_ms"] is not None and figures["ttft_p50_ms"] is not None


def test_the_client_counts_whole_turns_and_refusals_apart() -> None:
    with scripted_service() as service:
        body = service.body("one two three")
        good = uvloop.run(stream_for(endpoint_of(service), body, streams=2, seconds=0.2))
        until(lambda: service.metric("firstword_turns_total") >= good.turns)
        assert service.metric("firstword_turns_total") == good.turns
        wrong_key = Endpoint(service.host, service.port, service.model, "wrong")
        refused = uvloop.run(stream_for(wrong_key, body, streams=2, seconds=0.1))
    assert good.turns > 2 and good.failed == 0
    assert len(good.ttfts_s) == good.turns
    assert (refused.turns, refused.failed, refused.frames) == (0, 2, 0)


@pytest.mark.parametrize(("kind", "status"), [(PROMPT, 200), (SCHEMA, 200), (MONSTER, 400)])
def test_a_large_request_is_heard_beside_streams(kind: str, status: int) -> None:
    """The largest that we accept, and one that we refuse."""
    with scripted_service(engine_args={"step_s": 0.01, "max_model_len": 32768}) as service:
        body = service.body("word " * 50, max_tokens=50)
        large = [large_body(kind, f"seed{number}") for number in range(2)]
        figures = uvloop.run(measure_large(endpoint_of(service), body, large, streams=2, quiet_s=0.3, headers={}))
    assert figures["status"] == status
    assert figures["failed"] == 0
    assert all(figures[f"{when}_{which}_ms"] for when in ("quiet", "busy") for which in ("p50", "p99", "max"))


def test_large_requests_share_no_beginning() -> None:
    one, other = (large_body(PROMPT, seed)["messages"][0]["content"] for seed in ("1x0", "1x1"))
    assert len(one) == len(other) == PROMPT_CHARS
    assert one[:4] != other[:4]
    assert large_body(SCHEMA, "1x0")["response_format"] != large_body(SCHEMA, "1x1")["response_format"]


def test_a_stream_that_breaks_is_no_turn() -> None:
    with scripted_service() as service:
        service.engine.enqueue(Reply(steps=("word",) * 9, fail_after=3))
        heard = uvloop.run(stream_for(endpoint_of(service), service.body("one two three"), streams=1, seconds=0.2))
    assert (heard.turns, heard.failed) == (0, 1)


# What is asked


def test_only_ours_is_asked_for_a_frame_a_token() -> None:
    asked = {(server, mode): request(server, mode) for server in MODES for mode in MODES[server]}
    with_header = {place for place, (_, headers) in asked.items() if headers == {"x-firstword-frames": "token"}}
    assert with_header == {(OURS, TOKEN), (OURS, TOOLS)}
    assert {place for place, (body, _) in asked.items() if "tools" in body} == {(server, TOOLS) for server in MODES}
    assert asked[OURS, TOKEN][0] == asked[PEER, TOKEN][0] == asked[RUST, TOKEN][0]


def test_engine_arguments_as_flags() -> None:
    flags = list(as_flags(ENGINE_ARGS[LONG]))
    assert flags[:3] == ["--load-format", "dummy", "--hf-overrides"]
    assert json.loads(flags[3]) == ENGINE_ARGS[LONG]["hf_overrides"]
    assert flags[4:6] == ["--max-model-len", "32768"]


@pytest.mark.parametrize(("streams", "prompts"), [(1, 16), (8, 64), (32, 64)])
def test_prompts_come_in_whole_rounds_of_the_streams(streams: int, prompts: int) -> None:
    assert prompts_for(streams, 20) == prompts


def test_a_plan_knows_how_much_there_is_to_do() -> None:
    plan = Plan([COST, SERVED, MEMORY, START, LARGE], 2, [8, 64], [1], seconds=1, warm_up_s=1, served_s=1, repeats=1)
    assert plan.cells == 2 * (2 * (3 + 2) + 2 * 1 + 2 * 1 + 2 * 1 + 2 * 3)


# What is said of it


def test_a_ratio_is_of_each_round_and_then_the_middle_one() -> None:
    results = cost({OURS: [50, 60, 90], PEER: [100, 60, 100]})
    ratio = results.ratio(COST, TOKEN, 64, "cpu_us_per_token")
    assert ratio is not None
    assert (ratio.least, ratio.median, ratio.most) == (0.5, 0.9, 1.0)
    assert results.median(COST, OURS, TOKEN, 64, "cpu_us_per_token") == 60
    assert results.ratio(COST, TOKEN, 8, "cpu_us_per_token") is None


def test_a_round_that_one_server_lacks_gives_no_ratio() -> None:
    ratio = cost({OURS: [50, 70], PEER: [100]}).ratio(COST, TOKEN, 64, "cpu_us_per_token")
    assert ratio is not None
    assert (ratio.least, ratio.most) == (0.5, 0.5)


def test_adaptive_frames_are_measured_against_the_others_frame_a_token() -> None:
    results = cost({PEER: [100]})
    results.cells += cost({OURS: [40]}, mode=ADAPTIVE).cells
    assert verdict(results, "CPU time per token, adaptive frames").measured == pytest.approx(0.4)


@pytest.mark.parametrize(("ours", "is_met"), [(79, True), (80, True), (81, False)])
def test_a_frame_a_token_may_take_four_fifths(ours: float, is_met: bool) -> None:
    found = verdict(cost({OURS: [ours], PEER: [100]}), "CPU time per token, one frame per token, 64")
    assert (found.is_met, found.is_within_noise) == (is_met, is_met)


@pytest.mark.parametrize(("ours", "is_met", "is_within_noise"), [(101, True, True), (96, False, True), (94, False, False)])
def test_throughput_may_be_missed_by_noise(ours: float, is_met: bool, is_within_noise: bool) -> None:
    results = measured(
        (SERVED, OURS, "", 8, {"tokens_per_s": ours}),
        (SERVED, PEER, "", 8, {"tokens_per_s": 100}),
    )
    found = verdict(results, "tokens/s, real model, 8")
    assert (found.is_met, found.is_within_noise) == (is_met, is_within_noise)
    assert ("within noise" in target_table(results)) == (is_within_noise and not is_met)


@pytest.mark.parametrize(("rounds", "says_so"), [(2, True), (3, False)])
def test_fewer_than_three_rounds_are_said_to_be_too_few(rounds: int, says_so: bool) -> None:
    results = cost({OURS: [50] * rounds, PEER: [100] * rounds})
    (row,) = [line for line in target_table(results).splitlines() if "one frame per token, 64" in line]
    assert ("too few rounds" in row) == says_so
    assert "**0.500** (0.500–0.500)" in row


@pytest.mark.parametrize(("overslept_s", "is_told"), [(0.2, True), (0.01, False)])
def test_a_measure_that_held_the_client_up_in_each_try_is_told(overslept_s: float, is_told: bool) -> None:
    results = measured((COST, OURS, TOKEN, 8, {"cpu_us_per_token": 50.0, "client_overslept_s": overslept_s}))
    assert (f"{OURS} {TOKEN} 8 (round 1)" in markdown(results)) == is_told


def test_nothing_measured_meets_nothing() -> None:
    assert {each.is_met for each in verdicts(Results())} == {None}
    assert markdown(Results()).count("not measured") == len(list(verdicts(Results())))


def all_parts() -> Results:
    served = {"ttft_p50_ms": 100.0, "tpot_p50_ms": 20.0, "tokens_per_s": 200.0}
    gaps = {f"{when}_{which}_ms": value for when, value in (("quiet", 5.0), ("busy", 10.0)) for which in ("p50", "p99", "max")}
    rows: list[tuple[str, str, str, int, Figures]] = []
    for server in (OURS, PEER):
        rows += [
            (COST, server, mode, 64, {"cpu_us_per_token": 50.0, "gap_p50_ms": 9.0, "gap_p99_ms": 12.0}) for mode in MODES[server]
        ]
        rows += [(SERVED, server, "", 8, dict(served)), (MEMORY, server, "", 0, {"peak_bytes": 700 * 2.0**20})]
        rows += [(START, server, "", 0, {"first_turn_s": 31.5})]
        rows += [(LARGE, server, MONSTER, 32, {"status": 400, "answered_s": 0.04, "failed": 1, **gaps})]
    return measured(*rows)


def test_the_tables_say_raw_figures_and_ratios() -> None:
    reported = markdown(all_parts())
    assert "| one frame per token | 64 | 50.0 | 50.0 | **1.00** (1.00–1.00) |" in reported
    assert "| peak memory of the API process, MiB | 700 | 700 | **1.00** (1.00–1.00) |" in reported
    assert "| 400 | 0.04 | 5.0 / 5.0 / 5.0 | 10.0 / 10.0 / 10.0 | 2.0 / 2.0 / 2.0 |" in reported
    assert "Machine: made up." in reported
    assert "not quiet" not in reported
    assert "turns failed: firstword large monstrous schema 32, vllm large" in reported


def test_a_machine_that_was_not_quiet_is_told_of() -> None:
    reported = markdown(measured((COST, OURS, TOKEN, 8, {"cpu_us_per_token": 50.0, "others_processors": 1.26})))
    assert "not quiet" in reported and "1.3 CPUs" in reported


def test_a_part_that_is_measured_anew_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    results = all_parts()
    results.forget(COST, [8])
    assert len(results.cells) == len(all_parts().cells)
    results.forget(COST, [64])
    assert not list(results.places(COST)) and list(results.places(SERVED))
    results.put(Cell(START, OURS, "", 0, 1, {"first_turn_s": 9.0}))
    results.write(tmp_path / "bench.json")
    again = read_results(tmp_path / "bench.json")
    assert again == results
    assert again.median(START, OURS, "", 0, "first_turn_s") == 9.0


def test_the_command_reports_a_file_into_a_page(tmp_path: Path) -> None:
    file, page = tmp_path / "bench.json", tmp_path / "performance.md"
    all_parts().write(file)
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    command = [sys.executable, "-m", "loadtest.bench", "--no-measure", "--results", str(file), "--write-docs", str(page)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    reported = page.read_text()
    assert reported.startswith("Before.") and reported.endswith("After.\n") and "old" not in reported
    assert markdown(all_parts()) in reported
    assert all(file.with_suffix(suffix).stat().st_size for suffix in (".md", ".svg", ".png"))
    assert "performance.svg" in reported and (tmp_path / "performance.svg").exists()


def test_a_page_without_marks_is_refused_and_nothing_drawn(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("No marks.\n")
    with pytest.raises(typer.BadParameter, match="measured: begin"):
        write_docs(all_parts(), page)
    assert list(tmp_path.iterdir()) == [page]


def test_the_page_in_docs_can_be_written(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(Path("docs/performance.md").read_text())
    write_docs(all_parts(), page)
    assert "µs per token" in page.read_text()
