"""The load test's own options, beside Locust's; and what they come to."""

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
"""The cap on calls at once where `-u` gives none."""
_LEAST = {
    "num_users": (1, True),
    "spawn_rate": (0, False),
    "ttft_budget_s": (0, False),
    "turn_timeout_s": (0, False),
    "pause_scale": (0, True),
    "record_rows": (1, True),
}
"""Of an option: its limit, and whether it may be the limit itself."""
_SHORT = {"num_users": "-u", "spawn_rate": "-r"}


def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    group = parser.add_argument_group("simulated calls", "-r: calls a second; -u: most calls at once; -t: how long")
    known = "; ".join(f"{scenario.name}: {scenario.about}" for scenario in SCENARIOS.values())
    group.add_argument("--scenario", choices=list(SCENARIOS), default="steady", help=known)
    group.add_argument("--seed", type=int, default=1, help="The same seed gives the same calls at the same times")
    group.add_argument("--ttft-budget-s", type=float, default=1.0, help="A turn is on time if its first word comes within this")
    group.add_argument("--turn-timeout-s", type=float, default=60.0, help="A turn that takes longer has failed")
    group.add_argument("--pause-scale", type=float, default=1.0, help="Multiplies how long callers listen, think and speak")
    group.add_argument("--ignore-eos", action="store_true", help="Answers as long as max_tokens allows (a field of vLLM's)")
    group.add_argument("--path", default=Target("").path, help="Where turns are posted")
    group.add_argument("--record", default="", metavar="FILE", help="Write what was seen, as JSON, to draw a report from")
    group.add_argument("--record-rows", type=int, default=200_000, help="Turns kept one by one; of more, a sample is kept")
    group.add_argument("--server-metrics", default="", metavar="URL", help="By default /metrics beside the endpoint")


def must_be_in_range(options: Namespace) -> None:
    """Not the parser's to do: what Locust's page sends does not pass it. Raises `WrongUse`."""
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
    """For the record. Keys are in the environment, and stay there."""
    own = ("scenario", "seed", "path", "record_rows", *manners_of(options))
    return {name: getattr(options, name) for name in own}


def key_of(tenant: str) -> str:
    """Raises `WrongUse`."""
    return usable_key(os.environ.get(KEY_OF[tenant], ""), KEY_OF[tenant])


def key_mark(tenant: str, salt: str) -> str:
    """Tells keys apart that two processes have, and no key: too short to check a guess against. Raises `WrongUse`."""
    return hmac.new(salt.encode(), key_of(tenant).encode(), "sha256").hexdigest()[:8]
