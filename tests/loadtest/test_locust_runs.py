"""`locust -f loadtest/locustfile.py`, as a user runs it, against services whose every step is scripted."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from loadtest.calls.plans import Schedule
from loadtest.calls.scenarios import SCENARIOS
from tests.loadtest.locust_runs import LocustRun, command, locust, locust_process, web_page
from tests.loadtest.raw_endpoint import DONE, chunk, raw_endpoint
from tests.support.process import free_port
from tests.support.service_under_test import KEY, OTHER_KEY, ScriptedService, scripted_service, until

BATCHING = {"is_batching": True, "step_s": 0.01, "prompt_token_s": 0.00001}
QUICK = ("--pause-scale", "0.1")


def planned(rate: float, run_s: float, **about: Any) -> dict[int, tuple[str, float]]:
    """Number -> agent and time of every call that is to begin well before the end."""
    schedule = Schedule(SCENARIOS["steady"], **{"seed": 1, "rate": rate, "run_s": run_s, **about})
    return {
        number: (schedule.call(number, tenant, due_s).agent.name, round(due_s, 5))
        for number, tenant, due_s in schedule.arrivals()
        if due_s < run_s - 0.5
    }


def placed(run: LocustRun) -> dict[int, tuple[str, float]]:
    return {call["call"]: (call["agent"], call["due_s"]) for call in run.calls}


def test_a_run_places_its_calls_on_time_and_ends_on_time(tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING, ttft_budget_s=1) as service:
        run = locust(service.url, tmp_path, "-u", "200", "-r", "5", "-t", "5s", *QUICK)
        until(lambda: service.engine.running == 0)
        assert run.exit_code in (0, 2), run.words  # 2: a machine so busy that no client could have kept up.
        assert planned(5, 5).items() <= placed(run).items()
        assert run.record["run_s"] == pytest.approx(5, abs=0.5)
        assert {call["outcome"] for call in run.calls} <= {"good", "cut"}
        assert_entries_are_the_record(run)
        assert_server_agrees(run, service)
        assert "goodput" in run.words and KEY not in run.words + run.tables + str(run.record)


def assert_entries_are_the_record(run: LocustRun) -> None:
    entries = run.entries()
    of = {kind: sum(entry["num_requests"] for (one, _), entry in entries.items() if one == kind) for kind, _ in entries}
    turns = run.turns
    assert of["TTFT"] == sum(turn["ttft_s"] is not None for turn in turns) > 10
    assert of["on time"] == sum(turn["on_time"] for turn in turns)
    assert of["turn"] == sum(turn["outcome"] == "answered" for turn in turns)
    assert of["ITL"] == run.record["itl"]["count"] and of["call"] == len(run.calls)
    assert not any(entry["num_failures"] for entry in entries.values())


def assert_server_agrees(run: LocustRun, service: ScriptedService) -> None:
    assert run.record["server"]["disagreements"] == []
    assert run.record["server"]["client"]["heard"] == run.record["summary"]["times"]["ttft_s"]["count"]
    # One turn tried the endpoint before the run began: it counts nowhere.
    assert run.record["server"]["server"]["heard"] == service.metric("firstword_ttft_seconds_count") - 1


def test_two_workers_share_the_calls_and_the_schedule_is_the_same(tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING) as service:
        run = locust(service.url, tmp_path, "-u", "200", "-r", "6", "-t", "4s", "--processes", "2", *QUICK)
    assert planned(6, 4).items() <= placed(run).items()
    assert len(run.record["client"]) == run.record["environment"]["processes_that_call"] == 2
    for watch in run.record["client"].values():
        assert max(calls for _, calls in watch["in_progress"]) > 0, "each has calls of its own"
    assert len({(turn["call"], turn["position"]) for turn in run.turns}) == len(run.turns)
    assert "lost during the run" not in run.doubts


def test_a_server_that_stalls_does_not_slow_arrivals_down(tmp_path: Path) -> None:
    with raw_endpoint((0.0, chunk({"content": "Yes."}) + DONE), stalls_after=1) as endpoint:
        stalled = locust(endpoint.url, tmp_path, "-r", "5", "-t", "3s", "--seed", "7")
    assert planned(5, 3, seed=7).items() <= placed(stalled).items()
    assert {turn["outcome"] for turn in stalled.turns} == {"cut"}
    assert stalled.record["summary"]["late"] > 0, "who had waited longer than the budget was late"


def test_refusals_are_no_failures_and_no_samples(tmp_path: Path) -> None:
    with scripted_service(engine_args={"prefill_s": 0.3, "step_s": 0.02}, max_turns=2) as service:
        run = locust(service.url, tmp_path, "-r", "12", "-t", "4s", *QUICK)
    refused = [turn for turn in run.turns if turn["outcome"] == "refused"]
    assert len(refused) > 5 and all(turn["ttft_s"] is None and not turn["on_time"] for turn in refused)
    assert run.record["summary"]["refusals"] == {"503 overloaded (capacity)": len(refused)}
    entries = run.entries()
    assert entries["refused", "503 overloaded (capacity)"]["num_requests"] == len(refused)
    assert all(entry["min_response_time"] >= 300 for (kind, _), entry in entries.items() if kind == "TTFT")
    assert not any(entry["num_failures"] for entry in entries.values())
    lost = {turn["call"] for turn in refused if turn["position"] == 0}
    assert {call["call"] for call in run.calls if call["outcome"] == "lost"} == lost


def test_failures_are_failures_by_kind(tmp_path: Path) -> None:
    with raw_endpoint((0.0, chunk({"content": "Yes"}))) as endpoint:  # Never a [DONE].
        run = locust(endpoint.url, tmp_path, "-r", "5", "-t", "2s")
    assert run.record["summary"]["errors"] == {"no [DONE]": len(run.turns)}
    assert all(entry["num_failures"] == entry["num_requests"] for (kind, _), entry in run.entries().items() if kind == "failed")
    assert run.exit_code in (1, 2) and {call["outcome"] for call in run.calls} == {"spoiled"}


def test_calls_beyond_the_cap_are_not_placed_and_the_run_is_invalid(tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING) as service:
        run = locust(service.url, tmp_path, "-u", "3", "-r", "5", "-t", "3s")
    count = sum(call["outcome"] == "not placed" for call in run.calls)
    assert count > 3 and len(run.calls) == count + 3
    assert run.exit_code == 2 and "INVALID" in run.words and f"{count} calls were not placed" in run.words


def test_a_rate_that_one_process_cannot_place_makes_the_run_invalid(tmp_path: Path) -> None:
    # Answers of hundreds of pieces at once: more than one process can read, and no work for the server.
    flood = b"".join(chunk({"content": f"word{number} "}) for number in range(400)) + DONE
    with raw_endpoint((0.0, flood)) as endpoint:
        run = locust(endpoint.url, tmp_path, "-r", "300", "-t", "4s", "--pause-scale", "0")
    assert run.exit_code == 2 and "INVALID: this run says nothing about the server" in run.words
    assert "turns were sent late" in run.doubts


def test_a_noisy_tenant_has_a_key_and_figures_of_its_own(tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING) as service:
        options = ("--scenario", "noisy-tenant", "-r", "1", "-t", "4s", *QUICK)
        keys = {"FIRSTWORD_API_KEY": KEY, "FIRSTWORD_NOISY_API_KEY": OTHER_KEY}
        run = locust(service.url, tmp_path, *options, variables=keys)
        assert set(run.record["summary"]["by_tenant"]) == {"quiet", "noisy"}
        exposed = service.get("/metrics").text
        assert 'firstword_turns_offered_total{model="scripted",tenant="other"}' in exposed
        noisy = [turn for turn in run.turns if turn["tenant"] == "noisy"]
        offered = [line for line in exposed.splitlines() if line.startswith("firstword_turns_offered_total") and "other" in line]
        assert float(offered[0].rsplit(" ", 1)[1]) == pytest.approx(len(noisy) + 1, abs=3)


def interrupt(process: psutil.Process) -> None:
    """Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "with workers"])
def test_an_interrupted_run_has_its_record_too(processes: tuple[str, ...], tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING) as service:
        run = locust(service.url, tmp_path, "-r", "5", "-t", "60s", *processes, after_s=8, then=interrupt)
    assert len(run.turns) > 5 and run.record["run_s"] < 30
    assert "lost during the run" not in run.doubts
    assert "Traceback" not in run.words


def test_a_lost_worker_makes_the_run_invalid(tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING) as service:
        options = ("-r", "5", "-t", "8s", "--processes", "2")
        run = locust(service.url, tmp_path, *options, after_s=5, then=lambda process: process.children()[0].kill())
    assert run.exit_code == 2 and "was lost during the run" in run.doubts
    assert len(run.turns) > 5


def test_the_web_page_starts_changes_and_stops_runs(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    with scripted_service(engine_args=BATCHING) as service, web_page(service.url, file, *QUICK) as (process, page):
        for rate, for_s in ((3, 2.5), (9, 2.5)):
            form = {"user_count": 100, "spawn_rate": rate, "scenario": "barge-in", "host": service.url, "run_time": "60s"}
            assert httpx.post(f"{page}/swarm", data=form).json()["success"]
            time.sleep(for_s)
        assert httpx.get(f"{page}/stats/requests").json()["user_count"] > 0, "it shows the calls in progress"
        assert httpx.post(f"{page}/stop").json()["success"]
        until(file.exists, within_s=20)
        process.terminate()
        process.communicate(timeout=20)
    record = json.loads(file.read_text())
    assert (record["scenario"], record["settings"]["rate"], record["settings"]["cap"]) == ("barge-in", 3, 100)
    (change,) = record["schedule"]["changes"]
    assert change["rate"] == 9 and 2 < change["at_s"] < 5
    due = [row[3] for row in record["calls"]["rows"]]
    assert sum(due_s >= change["at_s"] for due_s in due) > sum(due_s < change["at_s"] for due_s in due)


def test_a_run_from_the_web_page_lasts_as_long_as_its_scenario(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    with scripted_service(engine_args=BATCHING) as service, web_page(service.url, file, *QUICK) as (process, page):
        form = {"user_count": 100, "spawn_rate": 1, "scenario": "smoke", "host": service.url, "run_time": ""}
        assert httpx.post(f"{page}/swarm", data=form).json()["success"]
        until(file.exists, within_s=SCENARIOS["smoke"].run_s + 15)
        record = json.loads(file.read_text())
        assert record["run_s"] == pytest.approx(SCENARIOS["smoke"].run_s, abs=1)
        process.terminate()
        process.communicate(timeout=20)


def test_a_worker_with_another_key_is_refused_and_ends_the_run(tmp_path: Path) -> None:
    port = str(free_port())
    with scripted_service(engine_args=BATCHING) as service:
        words = command(service.url, "--worker", "--master-port", port)
        keys = {"FIRSTWORD_API_KEY": OTHER_KEY, "FIRSTWORD_MODEL": "another"}
        with locust_process(words, keys) as worker:
            options = ("--master", "--master-bind-port", port, "--expect-workers", "1", "-r", "5", "-t", "60s")
            run = locust(service.url, tmp_path, *options)
            _, reported = worker.communicate(timeout=20)
    assert run.exit_code == 2 and run.record["run_s"] < 30 and not run.calls
    assert "placed no calls: its FIRSTWORD_API_KEY differs from the master's" in run.doubts
    assert "FIRSTWORD_MODEL is another here, but calls use the master's model: scripted" in reported
    assert not any(key in text for key in (KEY, OTHER_KEY) for text in (reported, run.words, str(run.record)))


def test_a_process_that_runs_alone_holds_no_turns_until_the_end(tmp_path: Path) -> None:
    with raw_endpoint((0.0, chunk({"content": "Yes."}) + DONE)) as endpoint:
        options = ("--locustfile", "tests/loadtest/held_locustfile.py", "-r", "5", "-t", "10s", "--pause-scale", "0")
        run = locust(endpoint.url, tmp_path, *options)
    (held,) = [int(line.rsplit(" ", 1)[1]) for line in run.words.splitlines() if "turns held at the end: " in line]
    assert held < len(run.turns) / 2


def test_server_metrics_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with scripted_service(engine_args=BATCHING) as service:
        options = ("--server-metrics", f"{service.url}/nowhere?token=hidden", "-r", "5", "-t", "2s", *QUICK)
        run = locust(service.url, tmp_path, *options)
    reported = "server metrics could not be read: the answer has status 404"
    assert run.record["server"]["problem"] == reported
    assert run.words.count(reported) == 2 and "hidden" not in run.words, "in the log, and below the table"


WRONG_USE: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "nobody there": (("--host", "http://127.0.0.1:1"), {}, "http://127.0.0.1:1 cannot be reached"),
    "no URL": (("--host", "localhost:8000"), {}, "--host must be the URL"),
    "a key in the URL": (("--host", "http://me:hidden@127.0.0.1"), {}, "--host must not contain credentials"),
    "a wrong key": ((), {"FIRSTWORD_API_KEY": "wrong"}, "rejects the key in FIRSTWORD_API_KEY (status 401)"),
    "a wrong key, workers": (
        ("--processes", "2"),
        {"FIRSTWORD_API_KEY": "wrong"},
        "rejects the key in FIRSTWORD_API_KEY (status 401)",
    ),
    "an unknown model": ((), {"FIRSTWORD_MODEL": "nope"}, "404 model_not_found. Correct the path (--path) or the model 'nope'"),
    "a wrong key of the second tenant": (
        ("--scenario", "noisy-tenant"),
        {"FIRSTWORD_NOISY_API_KEY": "wrong"},
        "rejects the key in FIRSTWORD_NOISY_API_KEY (status 401)",
    ),
    "one key for both tenants": (
        ("--scenario", "noisy-tenant"),
        {"FIRSTWORD_NOISY_API_KEY": KEY},
        "FIRSTWORD_NOISY_API_KEY and FIRSTWORD_API_KEY hold the same key",
    ),
    "no key": ((), {"FIRSTWORD_API_KEY": ""}, "FIRSTWORD_API_KEY is not set"),
    "no budget": (("--ttft-budget-s", "0"), {}, "--ttft-budget-s must be above 0, given 0."),
    "no time for a turn": (("--turn-timeout-s", "0"), {}, "--turn-timeout-s must be above 0, given 0."),
    "pauses before they began": (("--pause-scale", "-1"), {}, "--pause-scale must be 0 or more, given -1."),
    "endless pauses": (("--pause-scale", "inf"), {}, "--pause-scale must be 0 or more, given inf."),
    "no calls": (("-u", "0"), {}, "-u must be 1 or more, given 0."),
    "a wrong path": (("--path", "/v2/chat"), {}, "POST /v2/chat answers 404"),
    "one tenant where two are needed": (
        ("--scenario", "noisy-tenant"),
        {},
        "needs a second tenant. Set FIRSTWORD_NOISY_API_KEY",
    ),
    "a file that cannot be": (("--record", "/proc/nowhere/record.json"), {}, "the file cannot be written"),
}


@pytest.mark.parametrize("name", WRONG_USE)
def test_wrong_use_is_told_in_one_sentence_and_ends_with_2(name: str, tmp_path: Path) -> None:
    options, env, words = WRONG_USE[name]
    with scripted_service() as service:
        run = locust(service.url, tmp_path, "-t", "30s", *options, variables={"FIRSTWORD_API_KEY": KEY, **env})
        assert (run.exit_code, run.record) == (2, {})
        assert words in run.words.splitlines()[-1]
        assert "Traceback" not in run.words and "hidden" not in run.words
    until(lambda: not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(one.info["cmdline"])])


def test_an_endpoint_that_does_not_stream_is_told(tmp_path: Path) -> None:
    with raw_endpoint((0.0, b"{}"), headers={"Content-Type": "application/json"}) as endpoint:
        run = locust(endpoint.url, tmp_path, "-t", "30s")
    assert run.exit_code == 2 and "does not stream: its answer to stream: true has Content-Type application/json" in run.words


def test_an_unknown_scenario_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    run = locust("http://127.0.0.1:1", tmp_path, "--scenario", "quiet")
    assert run.exit_code == 2 and all(name in run.words for name in SCENARIOS)
