"""The contract, with the scripted engine."""

from tests.support.contract import *  # noqa: F403  # the same tests, with this folder's `service`
