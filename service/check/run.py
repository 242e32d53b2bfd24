"""Run the checklist: find the path, header and model that work, then run one check after another."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from service import __version__
from service.check.checks.all_checks import CHECKS, NEED_NO_ANSWER
from service.check.checks.definition import Check
from service.check.outcome import NotPassed
from service.check.probe.client import Client
from service.check.probe.discovery import open_session
from service.check.probe.session import Options, Session
from service.check.probe.target import Credential, Target
from service.check.report import CheckResult, CredentialPlace, HandOver, Report, TtftSummary
from service.console.report import Counts, Outcome

OnStep = Callable[[str, int, int], None]
"""Called when a step begins: its name, the number of the check (0 before the first), and how many checks there are."""


async def check_endpoint(
    target: Target, credential: Credential, *, model: str | None, options: Options, on_step: OnStep = lambda *_: None
) -> Report:
    """Check the endpoint, one request at a time. Raises `CannotCheck` if the host, the key or the model is wrong."""
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    async with Client(timeout_s=options.timeout_s, done_grace_s=options.done_grace_s) as client:
        on_step("looking for the path, the header and the model", 0, len(CHECKS))
        session = await open_session(client, target, credential, options, model)
        results = []
        for number, check in enumerate(CHECKS, start=1):
            on_step(check.id, number, len(CHECKS))
            results.append(await _result(check, session))
    counts = Counts.of(result.outcome for result in results)
    return Report(
        firstword_version=__version__,
        started_at=started_at,
        duration_s=round(time.monotonic() - started, 3),
        verdict="fail" if counts.failed else "pass",
        counts=counts,
        resent=session.resent,
        hand_over=_hand_over(session),
        ttft=_ttft(session),
        checks=results,
    )


async def _result(check: Check, session: Session) -> CheckResult:
    started = time.monotonic()
    outcome: Outcome = "pass"
    if session.path is None and check.id not in NEED_NO_ANSWER:
        outcome, seen = "skipped", "no path answers"
    else:
        try:
            seen = await check.run(session)
        except NotPassed as found:
            outcome, seen = found.outcome, str(found)
        except Exception as error:  # An unexpected answer must not stop the other checks.
            outcome, seen = "fail", f"the check itself failed on this answer ({type(error).__name__})"
    return CheckResult(
        id=check.id,
        title=check.title,
        outcome=outcome,
        seen=session.redacted(seen),
        fix=check.fix if outcome in ("warn", "fail") else None,
        duration_s=round(time.monotonic() - started, 3),
    )


def _hand_over(session: Session) -> HandOver:
    return HandOver(
        url=session.target.chat(session.path) if session.path else None,
        model=session.redacted(session.model),
        auth=session.headers_that_work,
        credential=CredentialPlace(kind=session.credential.kind, name=session.credential.name),
    )


def _ttft(session: Session) -> TtftSummary | None:
    found = session.ttft
    if found is None:
        return None
    return TtftSummary(
        calls=len(found.calls),
        median_s=round(found.median_s, 4),
        worst_s=round(found.worst_s, 4),
        budget_s=session.options.ttft_budget_s,
    )
