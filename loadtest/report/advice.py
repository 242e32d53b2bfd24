"""The next steps, derived from the numbers."""

import math
from typing import Any

from loadtest.report.capacity import AUTOSCALE_SHARE, HEADROOM, Capacity, Plan
from loadtest.report.flags import LOCUST, Flags
from loadtest.report.reading import Reading
from loadtest.report.verdict import GO, INVALID, Verdict

KNOBS = {
    "goodput": "Too few turns were on time. Look below at the outcomes of the others. If they were late or refused for capacity,"
    " add replicas, or send fewer calls to these. If they failed, correct the failures first.",
    "ttft": "TTFT is too high. Set FIRSTWORD_TTFT_BUDGET_S to the longest wait that callers accept, so that the service refuses"
    " turns that would be late. Add replicas, or configure prefix warm-up of the system prompts (docs/warmup.md).",
    "first_sentence": "The first sentence ends too late. Ask for shorter first sentences in the system prompt, or lower"
    " FIRSTWORD_TPOT_BOUND_S, so that fewer turns run at once and each runs faster.",
    "tpot": "TPOT is too high. Lower FIRSTWORD_TPOT_BOUND_S, so that fewer turns run at once, or use a faster GPU.",
    "failed": "Too many turns failed. Read the failures by reason below and the service's log first.",
    "refused": "Too many turns were refused. Add replicas, or send fewer calls to these.",
    "spoiled": "Too many calls were spoiled: a turn was late, failed or refused, and the caller heard silence. If fewer first"
    " turns are admitted, more capacity remains for calls in progress: docs/overload.md, step 2.",
    "recovery": "Recovery from the spike took too long. Add replicas before a peak (KEDA's minReplicaCount). Check whether a"
    " proxy in front of the service queues turns whose callers have already gone.",
    "calls_at_once": "The endpoint carried fewer calls at once than calls_at_once_min. Add replicas (and give their number to the"
    " report with --replicas), or lower calls_at_once_min to the load carried.",
}
"""Advice by the beginning of the missed threshold's name."""


def advise(reading: Reading, verdict: Verdict, capacity: Capacity, plan: Plan, flags: Flags = LOCUST) -> list[str]:
    if verdict.word == INVALID:
        again = "Then run the test again. This run says nothing about the endpoint, good or bad."
        return [*_mend_the_run(reading, verdict, flags), again, *_not_sized(reading, capacity, plan)]
    missed = [row for row in verdict.rows if not row.is_met]
    reported = [words for part, words in KNOBS.items() if any(row.threshold.startswith(part) for row in missed)]
    if any(row.threshold == "tpot_p99_s_max" and row.measured is None for row in missed):
        reported.append(
            "No usage came with the answers, so TPOT is unknown. Make the endpoint send usage, or set tpot_p99_s_max: null."
        )
    reported += [*_disturbed(verdict), *_size(reading, capacity, plan, flags), *_not_sized(reading, capacity, plan)]
    if limited := verdict.figures.counts.get("limited"):
        reported.append(
            f"{limited} turns exceeded the tenant's own limit (429). Raise the limits of the load test's key (docs/tenants.md)."
        )
    reported += _beside_the_server(reading.raw["server"] or {})
    if flags.is_launch:
        reported.append(
            "This run used the embedded model, as an example of a report. For your own endpoint, follow docs/launch.md."
        )
    elif verdict.word == GO:
        reported.append(
            "Before launch, repeat the test with --scenario spike and --scenario soak, and with the mix of calls that you expect."
        )
    return reported


def _beside_the_server(server: dict[str, Any]) -> list[str]:
    reported = [f"{remark[:1].upper()}{remark[1:]}." for remark in server.get("remarks", ())]
    if apart := server.get("disagreements"):
        reported.append(f"Client and server disagree: {'; '.join(apart)}. Find the cause before you trust either.")
    return reported


def _not_sized(reading: Reading, capacity: Capacity, plan: Plan) -> list[str]:
    """Options of the command line for which this run has no answer."""
    asked = {"--calls": plan.calls, "--gpu-hour-price": plan.gpu_hour_price}
    names = [name for name, value in asked.items() if value is not None]
    reported = []
    if names and capacity.carried is None and reading.scenario != "ramp":
        reported.append(f"{' and '.join(names)}: replicas and price need --scenario ramp, but this run was {reading.scenario}.")
    if plan.gpus_per_replica > 1 and plan.gpu_hour_price is None:
        reported.append("--gpus-per-replica has an effect only on the price, which needs --gpu-hour-price.")
    return reported


def _mend_the_run(reading: Reading, verdict: Verdict, flags: Flags) -> list[str]:
    doubts = " ".join(reading.raw["validity"]["doubts"])
    if doubts and flags.is_launch:
        return [f"The client shares this machine with the service. Run nothing else during the test, or lower {flags.rate}."]
    if "not placed" in doubts:
        return ["Raise -u, the cap on calls at once, above the number that the arrivals need."]
    if doubts:
        return ["Give the client more processes (--processes) and its own machine, apart from the endpoint."]
    if verdict.knee.broke_at:
        return [
            f"Spend more of the run below the knee: run a longer ramp ({flags.longer}), or end it at a lower rate ({flags.rate})."
        ]
    return [f"Send more turns: run longer ({flags.longer}), or at a higher rate ({flags.rate})."]


def _disturbed(verdict: Verdict) -> list[str]:
    """Advice if a step broke at a lower load than another held: then something else than the load broke it."""
    broke_at = verdict.knee.broke_at
    if broke_at is None or broke_at.calls_at_once is None:
        return []
    held = [step.calls_at_once or 0.0 for step in verdict.knee.steps if step.state == "held"]
    if max(held, default=0.0) <= broke_at.calls_at_once:
        return []
    reported = f"A step with {max(held):.1f} calls at once held, although one with {broke_at.calls_at_once:.1f} broke."
    return [f"{reported} Either the endpoint was not warmed up (docs/warmup.md), or something disturbed it. Run it again."]


def _size(reading: Reading, capacity: Capacity, plan: Plan, flags: Flags) -> list[str]:
    carried = capacity.carried
    if carried is None:
        return [f"No load met the thresholds. Run a ramp at a lower rate ({flags.rate})."] if reading.scenario == "ramp" else []
    reported = []
    if not carried.is_knee:
        again = f"run a ramp with a higher {flags.rate}" if reading.scenario == "ramp" else "run --scenario ramp"
        reported.append(f"The knee was not reached: {again} to find it. Until then, treat the load carried as the capacity.")
    if capacity.turns_per_s_per_replica and capacity.autoscale_turns_per_s:
        reported.append(
            f"Autoscale on turns offered per second, at {capacity.autoscale_turns_per_s:.2f} for each replica"
            f" ({AUTOSCALE_SHARE * 100:g} % of the {capacity.turns_per_s_per_replica:.2f} that it carried)."
            " A target above the load that it carried would add replicas too late."
        )
    if capacity.replicas_needed and plan.calls:
        reported.append(
            f"Set maxReplicas to {capacity.replicas_needed} or more, for {plan.calls} calls at once"
            f" (headroom included: {HEADROOM})."
        )
    elif capacity.calls_per_replica:
        reported.append(
            "Set maxReplicas to the calls that you expect at once, divided by"
            f" {math.floor(capacity.calls_per_replica * 10) / 10:g}, plus headroom ({HEADROOM}). --calls N calculates it."
        )
    budget = f"Set FIRSTWORD_TTFT_BUDGET_S to {reading.ttft_budget_s:g}, the TTFT budget of this run."
    return [*reported, budget]
