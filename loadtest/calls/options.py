"""The load test's own command-line options, in addition to Locust's, and their checked values."""

import hmac
import math
import os
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from locust.argument_parser import LocustArgumentParser

from loadtest.calls.call import Manners
from loadtest.calls.scenarios import NOISY, QUIET, SCENARIOS, Scenario
from loadtest.calls.target import Target, WrongUse, usable_key

KEY_OF = {QUIET: "FIRSTWORD_API_KEY", NOISY: "FIRSTWORD_NOISY_API_KEY"}
MODEL = "FIRSTWORD_MODEL"
MOST_CALLS = 10_000
"""Cap on calls at once if `-u` is not given."""
_LEAST = {
    "num_users": (1, True),
    "spawn_rate": (0, False),
    "ttft_budget_s": (0, False),
    "turn_timeout_s": (0, False),
    "pause_scale": (0, True),
    "record_rows": (1, True),
}
"""Lower limit of each option, and whether the option may equal the limit."""
_SHORT = {"num_users": "-u", "spawn_rate": "-r"}


def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    group = parser.add_argument_group("simulated calls", "-r: calls per second; -u: cap on calls at once; -t: run time")
    known = "; ".join(f"{scenario.name}: {scenario.about}" for scenario in SCENARIOS.values())
    group.add_argument("--scenario", choices=list(SCENARIOS), default="steady", help=known)
    group.add_argument("--seed", type=int, default=1, help="The same seed gives the same calls at the same times")
    group.add_argument("--ttft-budget-s", type=float, default=1.0, help="Seconds to the first token of a turn that is on time")
    group.add_argument("--turn-timeout-s", type=float, default=60.0, help="Seconds after which an unfinished turn has failed")
    group.add_argument("--pause-scale", type=float, default=1.0, help="Factor on the time that callers listen, think and speak")
    group.add_argument("--ignore-eos", action="store_true", help="Make every answer as long as max_tokens allows (vLLM only)")
    group.add_argument("--path", default=Target("").path, help="Path to which turns are posted")
    group.add_argument("--record", default="", metavar="FILE", help="Write the results to this JSON file, for the launch report")
    group.add_argument("--record-rows", type=int, default=200_000, help="Turns kept as rows; above this, a random sample is kept")
    group.add_argument("--server-metrics", default="", metavar="URL", help="URL of the server's metrics (default: HOST/metrics)")


def must_be_in_range(options: Namespace) -> None:
    """Check the options' ranges. Raises `WrongUse`. The parser cannot check them: values from Locust's page do not pass it."""
    for name, (least, may_be_least) in _LEAST.items():
        value = getattr(options, name)
        is_in_range = value >= least if may_be_least else value > least
        if not (is_in_range and math.isfinite(value)):
            option = _SHORT.get(name, f"--{name.replace('_', '-')}")
            raise WrongUse(f"{option} must be {f'{least} or more' if may_be_least else f'above {least}'}, given {value:g}.")


def scenario_of(options: Namespace) -> Scenario:
    return SCENARIOS[options.scenario]


def manners_of(options: Namespace) -> dict[str, Any]:
    names = asdict(Manners())
    return {name: getattr(options, name) for name in names}


def settings_of(options: Namespace) -> dict[str, Any]:
    """The options for the record. It contains no keys: they stay in the environment."""
    own = ("scenario", "seed", "path", "record_rows", *manners_of(options))
    return {name: getattr(options, name) for name in own}


def key_of(tenant: str) -> str:
    """The tenant's key from the environment. Raises `WrongUse` if no header can carry it."""
    return usable_key(os.environ.get(KEY_OF[tenant], ""), KEY_OF[tenant])


def key_mark(tenant: str, salt: str) -> str:
    """Short salted hash of the tenant's key, to compare the keys of two processes. It is too short to verify a guessed key.

    Raises `WrongUse` if no header can carry the key.
    """
    return hmac.new(salt.encode(), key_of(tenant).encode(), "sha256").hexdigest()[:8]
