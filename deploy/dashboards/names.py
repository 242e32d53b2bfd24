"""Names that others hold on to: uids in bookmarks, the engine's metrics in its exposition."""

VOICE_SLO = "firstword-voice-slo"
ENGINE = "firstword-engine"
CAPACITY = "firstword-capacity"

TAG = "firstword"
"""The dashboards link to each other by it."""

OBJECTIVE = 0.95
"""Share of turns that must be on time. This and the next two are what the alerts go by; a test holds the two together."""
AVAILABILITY_OBJECTIVE = 0.995
"""Share of turns that must be answered, late or not."""
BURNS = {2: "orange", 4: "red"}
"""How fast the error budget of goodput may be spent before an alert fires, the slower one only after hours."""

VLLM_METRICS = (
    "vllm:generation_tokens_total",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions_total",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:prefix_cache_hits_total",
    "vllm:prefix_cache_queries_total",
    "vllm:prompt_tokens_total",
)
"""The engine's metrics on our dashboards, as they are called in its exposition. No other of `vllm:*` is used."""
