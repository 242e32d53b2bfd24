"""Hostile or badly broken servers: the checks end in bounded time and memory, with a clear result."""

import asyncio
import gzip
import itertools
import time
import tracemalloc
from typing import Any

import pytest

from service.check.checks.definition import Check
from service.check.checks.schema import ChatCompletion
from service.check.checks.validation import validate
from service.check.probe.client import Client, Exchange
from service.check.probe.loose_json import parse, value_at
from service.check.probe.session import Options, Session
from service.check.probe.target import CannotCheck, Credential, parse_url
from service.check.report import CheckResult
from service.check.run import _result
from tests.check.checking import checked, not_passed, results_of
from tests.check.good_server import KEY, MODEL, GoodHandler, Json, running

DEEP = b"[" * 100_000


def seen_of(handler: type[GoodHandler], **options: Any) -> dict[str, str]:
    with running(handler) as url:
        report = checked(url, KEY, model=MODEL, **options)
    assert report.verdict == "fail"
    assert "the check itself failed" not in results_of(report)
    return {result.id: result.seen for result in report.checks}


class _Raw(GoodHandler):
    """Answers with any bytes, chunked."""

    encoding = "identity"

    def pour(self, pieces: Any, media_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Encoding", self.encoding)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def test_json_too_deep_to_read_is_a_fault_like_any_other() -> None:
    class Deep(_Raw):
        def respond(self, request: Json) -> None:
            if request.get("stream"):
                self.pour([b'data: {"choices": ', DEEP, b"\n\ndata: [DONE]\n\n"], "text/event-stream")
            else:
                self.pour([b'{"choices": ', DEEP], "application/json")

        def on_unknown_model(self, request: Json) -> None:
            self.pour([b'{"error": ', DEEP], "application/json")

    seen = seen_of(Deep)
    assert seen["response.schema"].startswith("(the whole body): ")
    assert seen["stream.chunks"].startswith("chunk 1: (the whole body): ")
    assert seen["errors.unknown-model"] == "status 200"


def test_a_list_of_models_too_deep_to_read_names_none() -> None:
    class Deep(_Raw):
        def do_GET(self) -> None:
            self.pour([b'{"data": ', DEEP], "application/json")

    with running(Deep) as url, pytest.raises(CannotCheck, match=r"names no model .*--model"):
        checked(url, KEY)


def test_a_body_without_end_is_given_up() -> None:
    class Flood(_Raw):
        def respond(self, request: Json) -> None:
            if request.get("stream"):
                super().respond(request)
            else:
                self.pour([b" " * 65536] * 1000, "application/json")

    # Discovery sends this request, so no path answers.
    seen = seen_of(Flood)
    assert "/v1/chat/completions: status 200" in seen["path.v1"]
    assert seen["path.v1"].endswith("longer than 2 MiB")


@pytest.mark.parametrize(
    ("piece", "why"),
    [(b": " + b"." * 8192 + b"\n", "longer than 2 MiB"), (b"\n", "more than 50000 pieces")],
    ids=["large", "small"],
)
def test_a_stream_without_end_is_given_up(piece: bytes, why: str) -> None:
    class Flood(_Raw):
        def respond(self, request: Json) -> None:
            if request.get("stream"):
                frames = self.frames(self.chunks(request))[:-1]
                # One write, so that the client receives all pieces at once.
                some = b"%x\r\n%b\r\n" % (len(piece), piece) * 100
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for frame in frames:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(frame), frame))
                while True:
                    self.wfile.write(some)
            super().respond(request)

    seen = seen_of(Flood, timeout_s=10)
    assert seen["stream.done"].startswith("status 200")
    assert seen["stream.done"].endswith(why)


def test_a_stream_without_end_or_content_is_not_read_again_and_again() -> None:
    class Flood(_Raw):
        def respond(self, request: Json) -> None:
            if request.get("stream") and self.limit(request) > 100:
                self.pour([b": .\n"] * 100_000, "text/event-stream")
            super().respond(request)

    with running(Flood) as url:
        started = time.monotonic()
        report = checked(url, KEY, timeout_s=10)
    assert time.monotonic() - started < 20
    assert not_passed(report) == {"connection.hang-up": "skipped"}, results_of(report)


def test_a_stream_that_says_done_again_and_again_is_ended_after_the_first() -> None:
    class Encore(_Raw):
        def respond(self, request: Json) -> None:
            if not request.get("stream"):
                return super().respond(request)
            done = itertools.chain(self.frames(self.chunks(request)), self.encores())
            return self.pour(done, "text/event-stream")

        def encores(self) -> Any:
            for _ in range(100):
                time.sleep(0.05)
                yield b"data: [DONE]\n\n"

    with running(Encore) as url:
        started = time.monotonic()
        report = checked(url, KEY, timeout_s=1.0)
    assert time.monotonic() - started < 10
    assert not_passed(report)["stream.done"] == "fail", results_of(report)


def test_what_is_compressed_several_times_over_is_not_unpacked() -> None:
    class Bomb(_Raw):
        encoding = "gzip, gzip"

        def respond(self, request: Json) -> None:
            self.pour([gzip.compress(gzip.compress(bytes(100 * 2**20)))], "application/json")

    assert "compressed several times" in seen_of(Bomb)["path.v1"]


@pytest.mark.parametrize(
    "document",
    [
        b'{"choices": [' + b"{}," * 700_000 + b"{}]}",
        b'{"error": {' + b",".join(b'"%d": 1' % number for number in range(200_000)) + b"}}",
    ],
    ids=["many faults", "many fields"],
)
def test_a_document_of_faults_takes_little_memory(document: bytes) -> None:
    tracemalloc.start()
    try:
        verdict = validate(ChatCompletion, document)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()
    assert verdict.faults == ("(the whole body): longer than 128 KiB",)


def test_a_check_that_breaks_is_a_failure_and_the_others_are_run() -> None:
    async def boom(session: Session) -> str:
        raise RecursionError(f"said by {session.credential.key}")

    async def broken() -> CheckResult:
        async with Client(timeout_s=1, done_grace_s=1) as client:
            session = Session(client, parse_url("http://h"), Credential(KEY, "variable", None), MODEL, Options())
            session.probes["v1", "bearer"] = Exchange(status=200)
            return await _result(Check("some.check", "Title", "warn", "Fix", boom), session)

    result = asyncio.run(broken())
    assert result.outcome == "fail"
    assert "RecursionError" in result.seen
    assert KEY not in result.seen


def test_json_is_read_as_far_as_it_can_be() -> None:
    assert parse(DEEP) is parse(b"{") is parse(b"\xff\xfe") is parse("9" * 5000) is None
    document = parse(b'{"a": [{"b": 7}], "c": "text"}')
    assert value_at(document, "a", 0, "b") == 7
    for path in (("a", 1), ("a", "b"), ("b",), ("c", 0, "b"), ("a", 0, "b", "c")):
        assert value_at(document, *path) is None


@pytest.mark.parametrize(
    ("name", "value"), [("HTTP_PROXY", "ftp://user:secret@h"), ("SSL_CERT_FILE", "/none"), ("ALL_PROXY", "h:port")]
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotCheck, match=name) as refused:
        checked("http://127.0.0.1:9", KEY)
    assert "secret" not in str(refused.value)
