"""Names that must not change: uids, which bookmarks use, and the names of the engine's metrics."""

VOICE_SLO = "firstword-voice-slo"
ENGINE = "firstword-engine"
CAPACITY = "firstword-capacity"

TAG = "firstword"
"""Tag by which the dashboards link to each other."""

OBJECTIVE = 0.95
"""Share of turns that must be on time. The alerts use this and the next two values; a test compares them."""
AVAILABILITY_OBJECTIVE = 0.995
"""Share of turns that must be answered, late or not."""
BURNS = {2: "orange", 4: "red"}
"""Burn rates of the goodput error budget at which alerts fire, with their colors. The lower one fires only after hours."""

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
"""All of the engine's metrics that the dashboards use, by their names in its exposition."""
