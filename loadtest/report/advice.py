"""What to do next, in words that follow from the numbers."""

import math
from typing import Any

from loadtest.report.capacity import AUTOSCALE_SHARE, HEADROOM, Capacity, Plan
from loadtest.report.flags import LOCUST, Flags
from loadtest.report.reading import Reading
from loadtest.report.verdict import GO, INVALID, Verdict

KNOBS = {
    "goodput": "Too few turns were on time. See below what became of the others: where they were late or refused for capacity,"
    " add replicas, or offer fewer calls to these; where they failed, look at the failures first.",
    "ttft": "The first word comes too late: set FIRSTWORD_TTFT_BUDGET_S to what callers bear, so that the service refuses what"
    " would be late; add replicas, or configure the system prompts ahead (docs/warmup.md).",
    "first_sentence": "The first sentence comes too late: shorter first sentences (the prompt can ask for them), or a lower"
    " FIRSTWORD_TPOT_BOUND_S, so that fewer turns run at once and each runs faster.",
    "tpot": "Answers come too slowly: lower FIRSTWORD_TPOT_BOUND_S, so that fewer turns run at once, or take a faster GPU.",
    "failed": "Turns broke: look at the failures by reason below and at the service's log before anything else.",
    "refused": "Turns were refused: add replicas, or offer fewer calls to these.",
    "spoiled": "Calls were spoiled: callers heard a silence. Fewer first turns let in leave more room for calls in progress:"
    " docs/overload.md, step 2.",
    "recovery": "It took too long to recover from the spike: add replicas before a peak (KEDA's minReplicaCount), and look for"
    " a queue in front of the service that keeps what nobody waits for any more.",
    "calls_at_once": "Fewer calls at once were carried than calls_at_once_min asks for: add replicas (and tell the report how"
    " many, with --replicas), or ask for what was carried.",
}
"""By the beginnings of the thresholds' names."""


def advise(reading: Reading, verdict: Verdict, capacity: Capacity, plan: Plan, flags: Flags = LOCUST) -> list[str]:
    if verdict.word == INVALID:
        again = "Then run it again: this one says nothing about the endpoint, good or bad."
        return [*_mend_the_run(reading, verdict, flags), again, *_not_sized(reading, capacity, plan)]
    missed = [row for row in verdict.rows if not row.is_met]
    told = [words for part, words in KNOBS.items() if any(row.threshold.startswith(part) for row in missed)]
    if any(row.threshold == "tpot_p99_s_max" and row.measured is None for row in missed):
        told.append(
            "No usage came with the answers, so no TPOT is known: have the endpoint send it, or set tpot_p99_s_max: null."
        )
    told += [*_disturbed(verdict), *_size(reading, capacity, plan, flags), *_not_sized(reading, capacity, plan)]
    if limited := verdict.figures.counts.get("limited"):
        told.append(
            f"{limited} turns were over the tenant's own limit (429): raise the limit of the load test's key (docs/tenants.md)."
        )
    told += _beside_the_server(reading.raw["server"] or {})
    if flags.is_launch:
        told.append("This was the embedded model, to show what a report looks like: for your own endpoint go by docs/launch.md.")
    elif verdict.word == GO:
        told.append(
            "Before the day: repeat it with --scenario spike and --scenario soak, and with the mix of calls that you expect."
        )
    return told


def _beside_the_server(server: dict[str, Any]) -> list[str]:
    told = [f"{remark[:1].upper()}{remark[1:]}." for remark in server.get("remarks", ())]
    if apart := server.get("disagreements"):
        told.append(f"Client and server disagree: {'; '.join(apart)}. Find out why before you trust either.")
    return told


def _not_sized(reading: Reading, capacity: Capacity, plan: Plan) -> list[str]:
    """What was asked for on the command line, and cannot be told from this run."""
    asked = {"--calls": plan.calls, "--gpu-hour-price": plan.gpu_hour_price}
    names = [name for name, value in asked.items() if value is not None]
    told = []
    if names and capacity.carried is None and reading.scenario != "ramp":
        told.append(f"{' and '.join(names)}: replicas and price need --scenario ramp; this run was {reading.scenario}.")
    if plan.gpus_per_replica > 1 and plan.gpu_hour_price is None:
        told.append("--gpus-per-replica: it is for the price, which needs --gpu-hour-price.")
    return told


def _mend_the_run(reading: Reading, verdict: Verdict, flags: Flags) -> list[str]:
    doubts = " ".join(reading.raw["validity"]["doubts"])
    if doubts and flags.is_launch:
        return [f"Here the client shares the machine with the service: leave it alone meanwhile, or lower {flags.rate}."]
    if "not placed" in doubts:
        return ["Raise -u, the cap on calls at once, above what the arrivals need."]
    if doubts:
        return ["Give the client more processes (--processes) and a machine of its own, away from the endpoint."]
    if verdict.knee.broke_at:
        return [f"Give the load below the knee more time: a longer ramp ({flags.longer}), or one that ends lower ({flags.rate})."]
    return [f"Offer more: a longer run ({flags.longer}), or a higher rate ({flags.rate})."]


def _disturbed(verdict: Verdict) -> list[str]:
    """A load is not what broke a step where a higher one did not."""
    broke_at = verdict.knee.broke_at
    if broke_at is None or broke_at.calls_at_once is None:
        return []
    held = [step.calls_at_once or 0.0 for step in verdict.knee.steps if step.state == "held"]
    if max(held, default=0.0) <= broke_at.calls_at_once:
        return []
    told = f"A step with {max(held):.1f} calls at once held after one with {broke_at.calls_at_once:.1f} broke:"
    return [f"{told} the endpoint was still cold (docs/warmup.md), or something disturbed it. Run it again."]


def _size(reading: Reading, capacity: Capacity, plan: Plan, flags: Flags) -> list[str]:
    carried = capacity.carried
    if carried is None:
        return (
            [f"No load within the thresholds is known yet: begin a ramp at a lower rate ({flags.rate})."]
            if reading.scenario == "ramp"
            else []
        )
    told = []
    if not carried.is_knee:
        again = f"run a ramp with a higher {flags.rate}" if reading.scenario == "ramp" else "run --scenario ramp"
        told.append(f"The knee was not reached: {again} to find it. Until then, take what was carried for all there is.")
    if capacity.turns_per_s_per_replica and capacity.autoscale_turns_per_s:
        told.append(
            f"Autoscale on turns offered per second, at {capacity.autoscale_turns_per_s:.2f} for each replica"
            f" ({AUTOSCALE_SHARE * 100:g} % of the {capacity.turns_per_s_per_replica:.2f} that it carried)."
            " A target above what it carries would never add a replica in time."
        )
    if capacity.replicas_needed and plan.calls:
        told.append(f"Set maxReplicas to {capacity.replicas_needed} or more, for {plan.calls} calls at once ({HEADROOM}).")
    elif capacity.calls_per_replica:
        told.append(
            "Set maxReplicas to the calls that you expect at once, divided by"
            f" {math.floor(capacity.calls_per_replica * 10) / 10:g}, and {HEADROOM}; --calls N works it out."
        )
    budget = f"Set FIRSTWORD_TTFT_BUDGET_S to {reading.ttft_budget_s:g}, the budget that this run was held to."
    return [*told, budget]
