"""The real engine. Only this folder imports vLLM. Rendering, sampling parameters and tokenization are vLLM's own.

vLLM reads the variables below once, when it is first imported. So they are set here, before any module of this folder is loaded.
"""

import os

# A forked process cannot use CUDA, and its threads are gone.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
# stdout is reserved for the output of commands.
os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
