"""The real engine: all that knows vLLM. Rendering, sampling parameters and tokenization are vLLM's own.

vLLM reads the variables below once, when it is first imported, so they are set here, before any module of this folder.
"""

import os

# A fork of a process with CUDA or threads is broken.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
# stdout is for what a person asked for.
os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
