"""A small, correct endpoint on raw HTTP. Broken servers override its methods.

It uses no code of the service, so that a broken server can get anything wrong.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "Right-Key-7f3A"
MODEL = "small-talk-1"
WORDS = "Guten Tag, schöne Grüße aus Köln: heute fahren alle Züge nach Plan 🙂 bis bald".split()  # noqa: SIM905  # easier to read

Json = dict[str, Any]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    is_busy = False
    """Used by servers that lose their one slot."""
    streams = 0
    """Used by servers that do something at some requests only."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: hang-ups are expected."""


class GoodHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    paths: tuple[str, ...] = ("/v1/chat/completions", "/chat/completions")
    answer_type = "application/json"
    stream_type = "text/event-stream"
    is_stream_closed = False
    pause_s = 0.001
    ends_body = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Log nothing."""

    def do_GET(self) -> None:
        if not self.may_enter():
            self.refuse_key()
        else:
            self.send_json(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "me"}]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self.path not in self.paths:
            self.send_error_body(404, "There is no such path.", code="unknown_url")
        elif not self.may_enter():
            self.refuse_key()
        else:
            self.take(raw)

    def may_enter(self) -> bool:
        return KEY in self.keys()

    def keys(self) -> list[str]:
        return [*self.x_api_keys(), *self.bearer_keys()]

    def x_api_keys(self) -> list[str]:
        return self.headers.get_all("x-api-key", [])

    def bearer_keys(self) -> list[str]:
        return [value.removeprefix("Bearer ") for value in self.headers.get_all("authorization", [])]

    def refuse_key(self) -> None:
        self.send_error_body(401, "Incorrect API key provided.", code="invalid_api_key")

    def take(self, raw: bytes) -> None:
        try:
            request = json.loads(raw)
        except ValueError:
            return self.on_bad_json()
        if not isinstance(request["messages"], list):
            return self.on_wrong_type()
        if request["model"] != MODEL:
            return self.on_unknown_model(request)
        return self.respond(request)

    def on_bad_json(self) -> None:
        self.send_error_body(400, "The body is not JSON.", code="invalid_json")

    def on_wrong_type(self) -> None:
        self.send_error_body(400, "messages must be a list.", param="messages", code="invalid_type")

    def on_unknown_model(self, request: Json) -> None:
        self.send_error_body(404, "There is no such model.", param="model", code="model_not_found")

    def respond(self, request: Json) -> None:
        if request.get("stream"):
            self.send_stream(self.frames(self.chunks(request)), request)
        else:
            self.send_json(200, self.answer(request), self.answer_type)

    def words(self, request: Json) -> list[str]:
        """The words of the answer, one token each. A high limit gives many, so that a client can hang up midway."""
        return self.all_words(request)[: self.limit(request)]

    def all_words(self, request: Json) -> list[str]:
        """The words without the token limit."""
        if (request.get("response_format") or {}).get("type") == "json_object":
            return ['{"day":', '"today"}']
        if "red green blue yellow" in str(request["messages"]):
            return ["red", "green"] if request.get("stop") == ["blue"] else ["red", "green", "blue", "yellow"]
        return WORDS * (20 if self.limit(request) > 100 else 1)

    def limit(self, request: Json) -> int:
        """Most tokens of the answer."""
        limit: int = request.get("max_completion_tokens") or request.get("max_tokens") or 1000
        return limit

    def reason(self, request: Json) -> str:
        return "length" if len(self.words(request)) < len(self.all_words(request)) else "stop"

    def answer(self, request: Json) -> Json:
        message = {"role": "assistant", "content": " ".join(self.words(request)), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.reason(request)}
        return {**self.envelope("chat.completion"), "choices": [choice], "usage": self.usage(request)}

    def chunks(self, request: Json) -> list[Json]:
        words = self.words(request)
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word if position == 0 else f" {word}"} for position, word in enumerate(words)]
        chunks = [self.chunk(delta, None) for delta in deltas] + [self.chunk({}, self.reason(request))]
        if (request.get("stream_options") or {}).get("include_usage"):
            chunks = [{**chunk, "usage": None} for chunk in chunks]
            chunks.append({**self.envelope("chat.completion.chunk"), "choices": [], "usage": self.usage(request)})
        return chunks

    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self.envelope("chat.completion.chunk"), "choices": [choice]}

    def envelope(self, kind: str) -> Json:
        return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": MODEL}

    def usage(self, request: Json) -> Json:
        tokens = len(self.words(request))
        return {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}

    def frames(self, chunks: list[Json]) -> list[bytes]:
        return [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]

    def send_stream(self, frames: Iterable[bytes], request: Json) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.stream_type)
        self.send_header("Transfer-Encoding", "chunked")
        if self.is_stream_closed:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        for frame in frames:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            time.sleep(self.pause_s)
        if self.ends_body:
            self.wfile.write(b"0\r\n\r\n")

    def send_error_body(self, status: int, message: str, *, param: str | None = None, code: Any = None) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        self.send_json(status, {"error": error})

    def send_json(self, status: int, document: Any, media_type: str = "application/json") -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running(handler: type[GoodHandler]) -> Iterator[str]:
    """Run the server, and yield its base URL."""
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
