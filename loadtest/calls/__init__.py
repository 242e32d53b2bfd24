"""Simulated phone calls (`locust -f loadtest/locustfile.py`), to load-test an endpoint before launch.

Pure and deterministic (the same seed gives the same result):
languages.py       the sentences that agents and callers say
agents.py          the agents, their system prompts, and the shape of a call to each
scenarios.py       the scenarios: an arrival rate over time, and a mix of calls
arrivals.py        arrival times (Poisson), and the division of calls among workers
plans.py           the plan of each call, drawn before the call begins
forecast.py        the expected turns of a run, to see whether it is long enough to be judged

One call, over real sockets:
target.py          the endpoint; finds wrong use before the first call
chunks.py          parses and checks one event of a stream
stream.py          one turn: its request, its stream, its timestamps
call.py            one call: turns, growing history, pauses, barge-ins, hang-ups

Results:
rows.py            one turn or one call as a row
entries.py         turns and calls as Locust's entries
honesty.py         whether the client itself kept up
server_metrics.py  the server's counters during the run
tally.py           counts by kind and second, exact even where rows are sampled
record.py          the merged results, and the JSON file
summary.py         the measures, and the table at the end

Inside Locust:
options.py         the load test's command-line options
exchange.py        runs in each process that places calls
dispatch.py        turns Locust's -u and -r into orders for those processes
control.py         runs in the controlling process: distributes calls, merges results, writes the record
"""
