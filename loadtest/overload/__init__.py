"""The overload bench (`make bench-overload`): goodput over offered load, ours beside `vllm serve`.

servers.py (one up)  the three servers, each a process of its own, on the same weights
texts.py             texts of an exact number of tokens
workloads.py         uniform turns, and calls; what a caller says and when
client.py            one request and its stream, light enough to share two cores with the engine
loops.py             open loop (arrivals on their own clock) and closed loop; how punctual the client itself was
measures.py          turns -> what a cell says
targets.py           cells -> which targets are met
results.py           the JSON file, to which each run adds
report.py, plot.py   the table, the picture
bench.py             the order of all this
"""
