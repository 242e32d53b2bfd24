"""Endpoints with one fault each. With `broken_streams` and `broken_requests` there is at least one for each check."""

import json
import time
from collections.abc import Iterable

import tests.check.broken_requests
import tests.check.broken_streams  # noqa: F401  # both register their own servers
from tests.check.broken import breaks
from tests.check.good_server import KEY, MODEL, WORDS, GoodHandler, Json


@breaks("path.v1", "warn")
class OnlyTheBarePath(GoodHandler):
    paths = ("/chat/completions",)


@breaks("path.bare", "warn")
class OnlyTheV1Path(GoodHandler):
    paths = ("/v1/chat/completions",)


@breaks("auth.x-api-key", "warn")
class OnlyBearer(GoodHandler):
    def x_api_keys(self) -> list[str]:
        return []


@breaks("auth.bearer", "warn")
class OnlyXApiKey(GoodHandler):
    def bearer_keys(self) -> list[str]:
        return []


@breaks("auth.wrong-key", "fail", {"auth.refusal-shape": "skipped"})
class TakesAnyKey(GoodHandler):
    def may_enter(self) -> bool:
        return bool(self.keys())


@breaks("auth.wrong-key", "fail")
class TakesAnyBearer(GoodHandler):
    def may_enter(self) -> bool:
        return KEY in self.x_api_keys() or bool(self.bearer_keys())


@breaks("auth.missing-key", "fail")
class NeedsNoKey(GoodHandler):
    def may_enter(self) -> bool:
        return not self.keys() or super().may_enter()


@breaks("auth.missing-key", "fail")
class GuardsOnlyV1(GoodHandler):
    """As `vllm serve --api-key` does."""

    def may_enter(self) -> bool:
        return (self.path == "/chat/completions" and not self.keys()) or super().may_enter()


@breaks("auth.refusal-shape", "warn")
class RefusesInItsOwnWords(GoodHandler):
    def refuse_key(self) -> None:
        self.send_json(401, {"error": "Unauthorized"})


@breaks("response.content-type", "fail")
class AnswersAsText(GoodHandler):
    answer_type = "text/plain"


@breaks("response.schema", "fail")
class TellsTheTimeAsText(GoodHandler):
    def answer(self, request: Json) -> Json:
        return super().answer(request) | {"created": "2026-11-24"}


@breaks("response.schema", "fail")
class ForgetsTheFinishReason(GoodHandler):
    def answer(self, request: Json) -> Json:
        answer = super().answer(request)
        del answer["choices"][0]["finish_reason"]
        return answer


@breaks("response.schema", "warn")
class LeavesNullsOut(GoodHandler):
    def answer(self, request: Json) -> Json:
        answer = super().answer(request)
        del answer["choices"][0]["message"]["refusal"]
        return answer


@breaks("errors.bad-json", "fail")
class FallsOverBadJson(GoodHandler):
    def on_bad_json(self) -> None:
        self.send_error_body(500, "Internal error.")


@breaks("errors.wrong-type", "fail")
class ExplainsErrorsInHtml(GoodHandler):
    def on_wrong_type(self) -> None:
        self.send_json(422, "<html>", "text/html")


@breaks("errors.wrong-type", "warn")
class NumbersItsErrors(GoodHandler):
    """As vLLM's own server does."""

    def on_wrong_type(self) -> None:
        self.send_error_body(400, "messages must be a list.", code=400)


@breaks("errors.unknown-model", "fail")
class AnswersForAnyModel(GoodHandler):
    def on_unknown_model(self, request: Json) -> None:
        self.respond({**request, "model": MODEL})


@breaks("time.ttft", "warn")
class ThinksLongNowAndThen(GoodHandler):
    """Every sixth stream is later than the tests' budget."""

    def send_stream(self, frames: Iterable[bytes], request: Json) -> None:
        self.server.streams += 1
        if self.server.streams % 6 == 0:
            time.sleep(0.7)
        super().send_stream(frames, request)


@breaks("connection.keep-alive", "warn")
class ClosesAfterStreams(GoodHandler):
    is_stream_closed = True


@breaks("connection.hang-up", "fail")
class LosesItsSlot(GoodHandler):
    """A hang-up leaves its one slot taken."""

    def send_stream(self, frames: Iterable[bytes], request: Json) -> None:
        if self.limit(request) > 100:
            self.server.is_busy = True
        super().send_stream(frames, request)
        self.server.is_busy = False

    def respond(self, request: Json) -> None:
        if self.server.is_busy:
            self.send_error_body(503, "Busy.")
        else:
            super().respond(request)


@breaks("time.limit", "fail", {"request.tools": "warn"})
class HangsOverTools(GoodHandler):
    def respond(self, request: Json) -> None:
        if "tools" in request and not request.get("stream"):
            time.sleep(4)
        super().respond(request)


class Gossip(GoodHandler):
    """Breaks everything it can, and repeats the caller's key and words everywhere. No report may show them."""

    @property
    def secret(self) -> str:
        return (self.keys() or [""])[0]

    def refuse_key(self) -> None:
        self.send_json(401, {f"no {KEY}": KEY})

    def answer(self, request: Json) -> Json:
        answer = super().answer(request)
        answer["choices"][0]["message"]["tool_calls"] = [{"type": WORDS[3]}]
        gossip = {self.secret: [self.secret], "usage": {self.secret: request["messages"]}, "metadata": {" ".join(WORDS): 7}}
        return answer | gossip | {"object": self.secret}

    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        return super().chunk({**delta, self.secret: self.secret, "role": self.secret}, finish_reason) | {"id": self.secret}

    def frames(self, chunks: list[Json]) -> list[bytes]:
        return [*super().frames(chunks), f"{self.secret}: {self.secret}\n".encode()]

    def on_bad_json(self) -> None:
        self.send_json(500, {"error": self.secret}, self.secret)

    def on_wrong_type(self) -> None:
        self.send_json(400, {"error": {self.secret: json.dumps(self.secret), "message": 7}})

    @property
    def answer_type(self) -> str:  # type: ignore[override]
        return f"application/{self.secret}"

    @property
    def stream_type(self) -> str:  # type: ignore[override]
        return f"text/{self.secret}"
