"""Simulated phone calls (`locust -f loadtest/locustfile.py`): what a launch is tried with.

Pure, and the same for the same seed:
languages.py       what agents and callers say
agents.py          the agents, their system prompts, what a call to one is like
scenarios.py       the scenarios: a rate over time, and a mix of calls
arrivals.py        when calls arrive (Poisson), and which of several workers takes which
plans.py           everything that a call will do, drawn before it begins
forecast.py        how many turns a run will have: whether it is long enough to be judged

One call, over real sockets:
target.py          where the endpoint is; wrong use is found before the first call
chunks.py          one event of a stream, checked
stream.py          one turn: its request, its stream, the times of its pieces
call.py            one call: turns, growing history, pauses, barge-ins, hang-ups

What it comes to:
rows.py            one turn as a row, one call as a row
entries.py         the same as Locust's entries
honesty.py         whether the client itself kept up
server_metrics.py  what the server counted meanwhile
tally.py           how many of each kind there were in each second, exact where rows are sampled
record.py          what was seen, merged; the JSON file
summary.py         the measures, and the table at the end

In Locust:
options.py         the command line's own options
exchange.py        in each process that places calls
dispatch.py        Locust's way from -u and -r to there
control.py         in the one that rules: shares calls out, merges what was seen, writes the record
"""
