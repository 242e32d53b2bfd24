"""A model hub with a few answers, on a real socket."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.http_server import Quiet, answering

Json = dict[str, Any]


@dataclass
class Hub:
    url: str
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Requested paths, each with the token of the request."""


@contextmanager
def model_hub(answers: Mapping[str, Json | int]) -> Iterator[Hub]:
    """Serve `answers`: a document or a status by path without query."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            hub.asked.append((self.path, self.headers["Authorization"]))
            answer = answers.get(self.path.partition("?")[0], 404)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.end_headers()
            self.wfile.write(b"<html>" if isinstance(answer, int) else json.dumps(answer).encode())

    with answering(Handler) as url:
        hub = Hub(url)
        yield hub


def repository(name: str, info: Json | int, config: Json | int, revision: str = "main") -> dict[str, Json | int]:
    return {f"/api/models/{name}/revision/{revision}": info, f"/{name}/resolve/{revision}/config.json": config}
