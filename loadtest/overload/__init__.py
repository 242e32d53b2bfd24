"""The overload benchmark (`make bench-overload`): goodput by offered load, of Firstword and of `vllm serve`.

../servers.py        the three servers: separate processes with the same weights
texts.py             texts with an exact number of tokens
workloads.py         the workloads: uniform turns, and calls
client.py            one request and its stream; uses little CPU, because it shares two cores with the engine
loops.py             open loop (arrivals by the clock) and closed loop; measures the client's own delays
measures.py          turns -> measures of a cell
targets.py           cells -> targets met or missed
results.py           the JSON file, to which each run adds
report.py, plot.py   the table, the picture
tuning.py            search for vLLM's best setting
bench.py             measures the cells of one server
run.py               runs the servers one after the other
"""
