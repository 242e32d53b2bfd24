"""Message content and keys reach no log, no metric, no trace and no error."""

from pathlib import Path

from tests.support.canaries import KEY_PART, SAID, send_everything
from tests.support.otlp_receiver import otlp_receiver
from tests.support.process import service_process
from tests.support.service_under_test import until


def test_nothing_that_is_said_or_secret_is_told(tmp_path: Path) -> None:
    key = f"{KEY_PART}-of-acme"
    with otlp_receiver() as receiver:
        settings = {"engine": "scripted", "otlp_endpoint": receiver.endpoint, "otlp_protocol": "http/protobuf"}
        with service_process(tmp_path / "log", within_s=20, key=key, api_keys=f"acme={key}", **settings) as service:
            answers = send_everything(service)
            until(lambda: service.output.count('"event": "turn"') >= 15)
            metrics = service.get("/metrics").text
            service.process.terminate()
            assert service.wait(20) == 0
        errors = "".join(answer.text for answer in answers if answer.status_code != 200)
        outputs = {"log": service.output, "metrics": metrics, "traces": str(receiver.raw), "errors": errors}
    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 415}
    assert len(receiver.named("turn")) >= 15
    # The error for an unknown path or media type repeats it, but only to its sender.
    outputs["errors"] = outputs["errors"].replace(f"GET /{SAID}", "").replace(f"text/{SAID}", "")
    assert [place for place, text in outputs.items() if KEY_PART in text or SAID in text] == []
