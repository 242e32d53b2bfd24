"""Two independent replicas behind HAProxy at the capacity they have together: hardly a turn is refused by both."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.slow.haproxy import SERVERS, haproxy
from tests.slow.open_loop import ANSWERED, open_loop
from tests.support.process import service_process

# An engine of which 64 prompt and 16 completion tokens take some 0.09 s: about 10 turns a second.
ENGINE = '{"is_batching": true, "step_s": 0.017, "turn_step_s": 0.0018, "prompt_token_s": 0.0009, "cache_blocks": 0}'
WORDS, TOKENS = "word " * 50, 16
OVERLOAD = 40.0
MEASURED_S, OFFERED_S = 20.0, 60.0


def test_at_their_joint_capacity_hardly_a_turn_is_refused(tmp_path: Path) -> None:
    with ExitStack() as scope:
        one, other = (
            scope.enter_context(service_process(tmp_path / f"{name}.log", within_s=20, engine="scripted", engine_args=ENGINE))
            for name in SERVERS
        )
        body = one.body(WORDS, max_tokens=TOKENS)
        capacities = []
        for replica in (one, other):
            with open_loop(replica.url, replica.key, body, rate=OVERLOAD) as load:
                time.sleep(MEASURED_S / 4)
                before = load.endings[ANSWERED]
                time.sleep(MEASURED_S)
                capacities.append((load.endings[ANSWERED] - before) / MEASURED_S)
            sys.stderr.write(f"one alone at {OVERLOAD:g}/s: {dict(load.endings)}\n")
        proxy = scope.enter_context(haproxy(tmp_path, [one.port, other.port], {}))
        with open_loop(proxy.url, one.key, body, rate=sum(capacities)) as load:
            time.sleep(OFFERED_S)
        sys.stderr.write(f"capacities {capacities}, offered {sum(capacities):.1f}/s: {dict(load.endings)}\n")
    assert set(load.failed) <= {"503 overloaded"}
    assert load.endings["503 overloaded"] <= 0.01 * load.begun
