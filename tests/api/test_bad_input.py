"""Bad input, with the scripted engine."""

from tests.support.bad_input import *  # noqa: F403  # the same tests, with this folder's `service`
