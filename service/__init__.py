"""Firstword: an OpenAI chat/completions endpoint on vLLM, made for the first word of a voice agent."""

__version__ = "0.1.0"
