"""The benchmark (`make bench`): the cost of our layer, as ratios to `vllm serve`'s own server on the same engine.

engines.py           servers on the same engine: a tiny model, one for long prompts, the real model
rust_frontend.py     the binary of the third server: `vllm serve` with vLLM's Rust front end
streams.py           a client that uses little CPU
cost.py              CPU time per token and peak memory of a server, without its engine
served.py            `vllm bench serve`, a client that is not ours; and the time to the first answered turn
large.py             gaps of running streams while a large request is processed
results.py           the JSON file, to which each run adds; medians and ratios
targets.py           results -> targets met or missed
report.py, plot.py   the tables, the picture
bench.py             the order of measurements
"""
