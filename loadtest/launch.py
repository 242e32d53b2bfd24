"""`python -m loadtest.launch` (`make loadtest`): runs a ramp of calls against the embedded model, and writes the launch report.

For your own endpoint, run Locust and `python -m loadtest.report`: docs/launch.md.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from loadtest.calls.agents import AGENTS
from loadtest.calls.forecast import can_be_judged, shortest_ramp_s, turns_of_steps
from loadtest.report.ending import INTERRUPTED, NO_STATEMENT, with_a_verdict
from loadtest.report.thresholds import DEFAULT_FILE, Thresholds, WrongThresholds, load
from loadtest.servers import Endpoint, firstword_serve

console = Console(highlight=False, soft_wrap=True)
NAME = "launch"
_END_S = 20.0
"""Seconds that Locust gets to write the record when it is stopped."""
_TELL_EVERY_S = 30.0


@with_a_verdict
def main(  # noqa: PLR0917  # typer's way to declare options
    rate: Annotated[float, typer.Option(help="Calls per second at the end of the ramp.", min=0.1)] = 0.8,
    ttft_budget_s: Annotated[
        float,
        typer.Option(
            help="TTFT budget of the service and of the run, in seconds. A turn with its first token within it is on time.",
            min=0.001,
        ),
    ] = 1.0,
    duration: Annotated[
        int,
        typer.Option(
            help="Duration in seconds. At --rate 0.8, the verdict needs 150 or more; at half that rate, twice as many.", min=20
        ),
    ] = 300,
    seed: Annotated[int, typer.Option(help="Random seed. The same seed gives the same calls.")] = 1,
    thresholds: Annotated[Path, typer.Option(help="YAML file with the thresholds of the verdict.")] = DEFAULT_FILE,
    out: Annotated[Path, typer.Option(help="Folder for the record, the report and the logs.")] = Path("reports"),
) -> None:
    """Serve the embedded model, run a ramp of calls against it, and write the launch report.

    The exit status is the verdict: 0 go, 1 no-go, 2 invalid or wrong use.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Like Ctrl-C, so that the service is stopped too.
    record = out / f"{NAME}.json"
    try:
        _make_room(out, record)
        wanted = load(thresholds)  # Before the run, so that a wrong file does not cost five minutes.
        if doubt := doubt_of_length(duration, rate, seed, wanted):
            console.print(doubt, style="yellow", markup=False)
        ramp = ["-r", str(rate), "-t", str(duration), "--seed", str(seed), "--ttft-budget-s", str(ttft_budget_s)]
        _load(out, record, ramp, duration, ttft_budget_s)
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise typer.Exit(INTERRUPTED) from None
    except (RuntimeError, WrongThresholds, OSError) as error:
        reported = f"{error.filename or out}: {error.strerror}." if isinstance(error, OSError) else str(error)
        console.print(reported, markup=False)
        raise typer.Exit(NO_STATEMENT) from None
    console.print("[3/3] Writing the report", markup=False)
    command = [sys.executable, "-m", "loadtest.report", str(record), "--thresholds", str(thresholds), "--out", str(out)]
    raise typer.Exit(subprocess.run([*command, "--of-launch"], check=False).returncode)


def _make_room(out: Path, record: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)  # An older record must not be reported as this run.
    except OSError as error:
        raise RuntimeError(f"--out {out}: the folder cannot be written ({error.strerror}). Choose another folder.") from None


def doubt_of_length(duration: int, rate: float, seed: int, wanted: Thresholds) -> str:
    """A warning that the ramp is too short to be judged. Empty: it is long enough."""
    enough = {"of_a_step": wanted.step_turns_min, "of_all": wanted.turns_min}
    turns = turns_of_steps("ramp", seed, rate, duration)
    if can_be_judged(turns, **enough):
        return ""
    least_s = shortest_ramp_s(seed, rate, **enough)
    mend = f"Use --duration {least_s} or more" if least_s else "Raise --rate"
    return (
        f"{duration} s at {rate:g} calls/s may be too short for a verdict. The ten steps will have about"
        f" {', '.join(map(str, turns))} turns. A step needs {wanted.step_turns_min} turns, and the steps up to the knee need"
        f" {wanted.turns_min} together. {mend}."
    )


def _load(out: Path, record: Path, ramp: Sequence[str], duration: int, ttft_budget_s: float) -> None:
    key = secrets.token_urlsafe(16)
    log = out / f"{NAME}-service.log"
    console.print(f"[1/3] Starting firstword serve on the embedded model: about half a minute (log: {log})", markup=False)
    config = out / f"{NAME}-service.yaml"
    # Configure prefix warm-up (docs/warmup.md), as in production: no call then pays for its agent's system prompt.
    config.write_bytes(orjson.dumps({"system_prompts": [{"system": agent.system_prompt} for agent in AGENTS]}))  # JSON is YAML.
    settings = {"api_keys": f"loadtest={key}", "ttft_budget_s": str(ttft_budget_s), "config": str(config)}
    with firstword_serve(log, **settings) as endpoint:
        console.print(f"[2/3] Running the ramp of calls, for {duration} s", markup=False)
        call_it(endpoint, key, ["--scenario", "ramp", "--record", str(record), *ramp], duration, out / f"{NAME}-locust.log")
    if not record.exists():
        raise RuntimeError(f"Locust wrote no record. The end of its log:\n{_last_words(out / f'{NAME}-locust.log')}")


def call_it(endpoint: Endpoint, key: str, options: Sequence[str], duration: int, log: Path) -> None:
    """Run Locust against the endpoint. Its exit status is ignored, because the record says whether the run is valid."""
    locustfile = Path(__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--host", endpoint.url, *options]
    env = os.environ | {"FIRSTWORD_API_KEY": key, "FIRSTWORD_MODEL": endpoint.model}
    with log.open("w") as words:
        # A separate session: the terminal sends Ctrl-C to us alone, and we stop Locust once.
        process = subprocess.Popen(command, env=env, stdout=words, stderr=words, start_new_session=True)
        try:
            _show_progress(process, duration)
        finally:
            _end(process)


def _show_progress(process: "subprocess.Popen[bytes]", duration: int) -> None:
    bar = Progress(TextColumn("  {task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True)
    with bar:
        task, began_at, told_s = bar.add_task("calls", total=duration), time.monotonic(), 0.0
        while process.poll() is None:
            passed_s = min(time.monotonic() - began_at, duration)
            bar.update(task, completed=passed_s)
            if not console.is_terminal and passed_s >= told_s + _TELL_EVERY_S:  # rich shows no bar there.
                told_s = passed_s
                console.print(f"  {passed_s:.0f} of {duration} s")
            time.sleep(0.5)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


if __name__ == "__main__":
    typer.run(main)
