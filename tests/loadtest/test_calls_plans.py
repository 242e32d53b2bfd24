"""Who calls when, and what they will do: drawn from a seed, before any server is asked."""

from collections import Counter
from dataclasses import replace
from itertools import chain, islice, pairwise

import pytest

from loadtest.calls.agents import AGENTS
from loadtest.calls.arrivals import Share, arrivals, stages
from loadtest.calls.plans import CallPlan, Schedule, typical_call_s
from loadtest.calls.scenarios import NOISY, QUIET, SCENARIOS

STEADY = Schedule(SCENARIOS["steady"], seed=1, rate=5, run_s=400)


def calls_of(schedule: Schedule) -> list[CallPlan]:
    return [schedule.call(*arrival) for arrival in schedule.arrivals()]


def test_the_same_seed_gives_the_same_calls_at_the_same_times() -> None:
    first, again, other = (calls_of(replace(STEADY, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert [call.due_s for call in first] != [call.due_s for call in other]
    assert [call.turns for call in first[:50]] != [call.turns for call in other[:50]]


def test_calls_come_at_their_rate_and_not_evenly() -> None:
    due = [due_s for _, _, due_s in STEADY.arrivals()]
    assert len(due) == pytest.approx(5 * 400, rel=0.1)
    assert due == sorted(due) and due[0] > 0 and due[-1] < 400
    gaps = [later - earlier for earlier, later in pairwise(due)]
    # Of a Poisson process: gaps are exponential, their deviation is their mean.
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.15)


def test_the_rate_follows_the_profile_through_silence_too() -> None:
    of_each = Counter(int(at // 100) for at in arrivals(stages([1, 0, 5, 2], 4, 400), "a seed"))
    assert of_each[1] == 0
    assert [of_each[part] for part in (0, 2, 3)] == pytest.approx([400, 2000, 800], rel=0.15)


def test_a_rate_stretches_the_same_gaps_and_where_stages_meet_nothing_is_drawn_anew() -> None:
    slow, quick, in_parts = (list(arrivals(stages(*of), "a seed")) for of in (([1], 5, 100), ([1], 10, 50), ([1] * 7, 5, 100)))
    assert slow == pytest.approx([2 * at for at in quick])
    assert slow == pytest.approx(in_parts)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_calls_from_its_beginning_to_its_end(name: str) -> None:
    due = [due_s for _, _, due_s in Schedule(SCENARIOS[name], 1, rate=5, run_s=100).arrivals()]
    assert due[0] < 10 and 90 < due[-1] < 100


def test_a_ramp_rises_and_a_spike_falls_again() -> None:
    ramp, spike = (Schedule(SCENARIOS[name], 1, rate=20, run_s=100).stages() for name in ("ramp", "spike"))
    rates = [stage.rate for stage in ramp]
    assert rates == sorted(set(rates)) and rates[-1] == 20
    assert max(stage.rate for stage in spike) == 100 and spike[0].rate == spike[-1].rate == 20


def test_a_noisy_tenant_calls_in_the_middle_and_the_quiet_ones_calls_stay_when_they_were() -> None:
    noisy = Schedule(SCENARIOS["noisy-tenant"], 1, rate=2, run_s=90)
    of = {tenant: [due_s for _, one, due_s in noisy.arrivals() if one == tenant] for tenant in (QUIET, NOISY)}
    assert all(30 <= due_s < 60 for due_s in of[NOISY])
    assert len(of[NOISY]) == pytest.approx(10 * 2 * 30, rel=0.15)
    assert of[QUIET] == [due_s for _, _, due_s in replace(noisy, scenario=SCENARIOS["steady"]).arrivals()]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_share_calls_and_cap_without_rest(workers: int) -> None:
    shares = [Share(index, workers) for index in range(workers)]
    taken = [[number for number, _, _ in STEADY.arrivals() if share.takes(number)] for share in shares]
    assert sorted(chain(*taken)) == [number for number, _, _ in STEADY.arrivals()]
    assert max(map(len, taken)) - min(map(len, taken)) <= 1
    assert sum(share.of_cap(50) for share in shares) == 50


def test_a_change_in_the_middle_begins_there_with_calls_of_its_own() -> None:
    changed = replace(STEADY, rate=50, begin_s=200, edition=1)
    assert all(due_s >= 200 for _, _, due_s in changed.arrivals())
    assert not {number for number, _, _ in changed.arrivals()} & {number for number, _, _ in STEADY.arrivals()}


def test_calls_of_one_agent_share_a_long_system_prompt_and_agents_have_their_weights() -> None:
    calls = calls_of(STEADY)
    prompts = {call.agent.name: {call.agent.system_prompt} for call in calls}
    assert set(prompts) == {agent.name for agent in AGENTS} and all(len(of) == 1 for of in prompts.values())
    assert all(agent.prompt_chars <= len(agent.system_prompt) < agent.prompt_chars + 200 for agent in AGENTS)
    count = Counter(call.agent.name for call in calls)
    assert count["hotel"] / len(calls) == pytest.approx(4 / 12, rel=0.2)
    assert count["shop"] / len(calls) == pytest.approx(1 / 12, rel=0.3)


def test_callers_barge_in_and_hang_up_as_often_as_the_scenario_says() -> None:
    for scenario in (SCENARIOS["steady"], SCENARIOS["barge-in"]):
        calls = calls_of(replace(STEADY, scenario=scenario))
        turns = [turn for call in calls for turn in call.turns]
        hung_up = sum(turn.hang_up_s is not None for turn in turns)
        assert hung_up / len(calls) == pytest.approx(scenario.hang_up_share, abs=0.03)
        barged_in = sum(turn.barge_in_s is not None for turn in turns)
        assert barged_in / len(turns) == pytest.approx(scenario.barge_in_share, abs=0.05)


def test_what_a_caller_says_varies_and_takes_its_time() -> None:
    turns = [turn for call in islice(calls_of(STEADY), 200) for turn in call.turns]
    assert len({turn.text for turn in turns}) > len(turns) / 4
    assert all(turn.speak_s > 0.3 and "{" not in turn.text for turn in turns)
    assert 20 < typical_call_s(SCENARIOS["steady"], 1.0) < 120
    assert typical_call_s(SCENARIOS["steady"], 0.1) == pytest.approx(typical_call_s(SCENARIOS["steady"], 1.0) / 10)
