"""The bench (`make bench`): what our layer costs beside `vllm serve`'s own server, on the same engine, as ratios.

engines.py           the servers on the same engine: a tiny one, one with room for long prompts, the real model
rust_frontend.py     the binary of the third server, `vllm serve` with vLLM's front end in Rust
streams.py           a client that costs little
cost.py              processor time per token, and peak memory, of a server without its engine
served.py            `vllm bench serve`, a client that is not ours; and the time to the first answered turn
large.py             a large request beside streams that run: what becomes of their gaps
results.py           the JSON file, to which each run adds; medians and ratios
targets.py           results -> which targets are met
report.py, plot.py   the tables, the picture
bench.py             the order of all this
"""
