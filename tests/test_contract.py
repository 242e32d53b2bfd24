"""The contract on the scripted engine."""

from tests.contract import *  # noqa: F403  # the same tests, with this folder's `service`
