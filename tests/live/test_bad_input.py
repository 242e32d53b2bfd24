"""Bad input, on the real service process."""

from tests.bad_input import *  # noqa: F403  # the same tests, with this folder's `service`
