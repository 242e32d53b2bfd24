"""The contract on the real service process: real vLLM, real weights."""

from tests.support.contract import *  # noqa: F403  # the same tests, with this folder's `service`
