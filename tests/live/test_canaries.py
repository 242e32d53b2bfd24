"""On the real engine, too, what callers say reaches no log (vLLM's own lines included), no metric and no error."""

from tests.support.canaries import KEY_PART, SAID, send_everything
from tests.support.process import ServiceProcess
from tests.support.service_under_test import until


def test_nothing_that_is_said_or_secret_is_told(service: ServiceProcess) -> None:
    lines = service.output.count('"event": "turn"')
    answers = send_everything(service)
    until(lambda: service.output.count('"event": "turn"') >= lines + 15, within_s=30)
    errors = "".join(answer.text for answer in answers if answer.status_code != 200)
    reported = {"log": service.output, "metrics": service.get("/metrics").text, "errors": errors}
    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 415}
    reported["errors"] = reported["errors"].replace(f"GET /{SAID}", "").replace(f"text/{SAID}", "")
    assert [place for place, text in reported.items() if KEY_PART in text or SAID in text] == []
    assert [place for place, text in reported.items() if service.key in text] == []
