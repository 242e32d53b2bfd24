"""A model hub on this machine, which the real client asks: repositories from a dictionary, and faults on order."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.http_server import answering

COMMIT = "c" * 40
ADAPTER_COMMIT = "a" * 40

WHOLE_MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}" * 50,
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode(),
    "model-1.safetensors": b"1" * 200_000,
    "model-2.safetensors": b"2" * 300_000,
    "pytorch_model.bin": b"b" * 400_000,
    "original/consolidated.00.pth": b"p" * 400_000,
    "onnx/model.onnx": b"o" * 1000,
}
ADAPTER = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"l" * 1000, "optimizer.pt": b"x" * 1000}


@dataclass
class Fault:
    """What the next `times` requests get whose `METHOD path` holds `where`; `cut_after` ends a body early."""

    where: str
    status: int = 200
    times: int = 1
    code: str = ""
    cut_after: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ModelHub:
    repos: dict[str, tuple[str, dict[str, bytes]]]
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def fault_for(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in request and fault.times:
                fault.times -= 1
                return fault
        return None

    def bodies_sent(self) -> list[str]:
        return [request.rsplit("/", 1)[1] for request in self.asked if request.startswith("GET") and "/resolve/" in request]


@contextmanager
def model_hub() -> Iterator[ModelHub]:
    hub = ModelHub({"acme/llama": (COMMIT, WHOLE_MODEL), "acme/sales": (ADAPTER_COMMIT, ADAPTER)})
    with answering(type("Handler", (_Handler,), {"hub": hub})) as hub.url:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: ModelHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.tokens.add(self.headers.get("authorization", ""))
        fault = self.hub.fault_for(f"{self.command} {path}")
        if fault and fault.status != 200:
            self._send(b"", fault.status, fault.headers | ({"X-Error-Code": fault.code} if fault.code else {}))
        elif path.startswith("/api/models/"):
            self._describe(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            self._file(path, fault)
        else:
            self._send(b"", 404, {})

    def _describe(self, path: str) -> None:
        name = "/".join(path.split("/")[:2])
        if name not in self.hub.repos:
            return self._send(b"", 401, {"X-Error-Code": "RepoNotFound"})
        commit, files = self.hub.repos[name]
        revision = path.split("/")[3] if path.count("/") > 2 else "main"
        if revision not in ("main", commit):
            return self._send(b"", 404, {"X-Error-Code": "RevisionNotFound"})
        if "/tree/" in path:
            reported: Any = [
                {"type": "file", "path": file, "size": len(data), "oid": _etag(data)} for file, data in files.items()
            ]
        else:
            siblings = [{"rfilename": file, "size": len(data), "blobId": _etag(data)} for file, data in files.items()]
            reported = {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": [], "private": False}
        return self._send(json.dumps(reported).encode(), 200, {"Content-Type": "application/json"})

    def _file(self, path: str, fault: Fault | None) -> None:
        name, _, rest = path.lstrip("/").partition("/resolve/")
        commit, files = self.hub.repos[name]
        data = files[rest.split("/", 1)[1]]
        cut = fault.cut_after if fault else None
        self._send(data, 200, {"X-Repo-Commit": commit, "ETag": f'"{_etag(data)}"'}, cut)

    def _send(self, body: bytes, status: int, headers: dict[str, str], cut_after: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut_after])
        if cut_after is not None:
            self.close_connection = True


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
