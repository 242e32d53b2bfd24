"""A short run of the bench, against a service on the scripted engine."""

import asyncio

from loadtest.overload.bench import Bench, Plan
from loadtest.overload.results import OURS, Cell, Results
from loadtest.overload.workloads import Uniform
from tests.loadtest.calls import TEXTS, endpoint_of
from tests.support.service_under_test import scripted_service


def test_capacity_comes_first_and_loads_are_multiples_of_it() -> None:
    cells: list[Cell] = []
    results = Results()
    plan = Plan(servers=[OURS], workloads=["uniform"], loads=[0.1, 0.2], duration_s=1, seed=1)
    bench = Bench(plan, {"uniform": Uniform(TEXTS, 1)}, results, on_cell=cells.append, say=lambda _: None)
    with scripted_service(engine_args={"prefill_s": 0.2, "step_s": 0.02}) as service:
        assert [workload.name for workload in bench.needs_capacity()] == ["uniform"]
        asyncio.run(bench.find_capacity(endpoint_of(service)))
        assert not bench.needs_capacity()
        asyncio.run(bench.run(OURS, endpoint_of(service), plan.workloads))
    assert [cell.load for cell in cells] == [0.1, 0.2]
    assert len(cells) == plan.cells
    assert [cell.measures.offered for cell in cells] == [load * results.capacity["uniform"] for load in (0.1, 0.2)]
