"""The checklist against a server that is not ours: `vllm serve`'s own, on the same weights.

What it does otherwise than OpenAI is told, nothing else is, and none of it keeps a platform from using it.
"""

from pathlib import Path

import pytest

from loadtest.servers import START_S, vllm_serve
from tests.check.checking import checked, not_passed, results_of

KEY = "vllm-key-51c8"
KNOWN = {
    "path.bare": "It serves /v1/chat/completions alone.",
    "auth.x-api-key": "It reads `Authorization: Bearer` alone.",
    "auth.refusal-shape": 'It answers {"error": "Unauthorized"}.',
    "errors.bad-json": "Its `error.code` is a number.",
    "errors.wrong-type": "The same.",
    "errors.unknown-model": "The same.",
}


@pytest.mark.timeout(START_S + 240)
def test_vllms_own_server_passes_but_for_what_is_known(tmp_path: Path) -> None:
    with vllm_serve(tmp_path / "vllm.log", "--api-key", KEY) as vllm:
        report = checked(vllm.url, KEY, timeout_s=60.0, ttft_budget_s=30.0, done_grace_s=1.0)
    assert not_passed(report) == dict.fromkeys(KNOWN, "warn"), results_of(report)
    assert report.verdict == "pass"
    assert report.hand_over.url == f"{vllm.url}/v1/chat/completions"
    assert report.hand_over.auth == ["bearer"]
