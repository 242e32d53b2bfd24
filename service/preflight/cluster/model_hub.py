"""Queries to the model hub for the size of a model."""

import os
import re

import httpx

from service.preflight.cluster.client import LookupFailed
from service.preflight.cluster.model_size import ModelSize, size_of
from service.preflight.kubernetes_types import Json
from service.preflight.values.pool_values import Pool

_TIMEOUT_S = 10.0


class ModelHub:
    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.url = (url or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.name = re.sub(r"[?#].*", "", re.sub(r"//.*@", "//", self.url))
        """The URL for messages, without user, password and query."""
        token = token or os.environ.get("HF_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._answers: dict[str, tuple[Json, Json] | LookupFailed] = {}

    def size(self, pool: Pool, tensor_parallel_size: int = 1) -> ModelSize:
        """Read the model's size. Raises `LookupFailed`, whose message says why."""
        key = f"{pool.model.name}@{pool.model.revision}"
        if key not in self._answers:
            self._answers[key] = self._ask(pool)
        if isinstance(answer := self._answers[key], LookupFailed):
            raise answer
        try:
            return size_of(*answer, pool.engine_args, tensor_parallel_size)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            raise LookupFailed(f"the model hub's answer about {pool.model.name} does not contain its size") from None

    def _ask(self, pool: Pool) -> tuple[Json, Json] | LookupFailed:
        """Read the repository's description and its configuration. A failure is returned, so that it is kept and not repeated."""
        name, revision = pool.model.name, pool.model.revision or "main"
        try:
            with httpx.Client(timeout=_TIMEOUT_S, headers=self._headers, follow_redirects=True) as client:
                info = self._document(client, f"/api/models/{name}/revision/{revision}?blobs=true", pool)
                return info, self._document(client, f"/{name}/resolve/{revision}/{_config_file(info)}", pool)
        except LookupFailed as why:
            return why
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return LookupFailed(f"the model hub {self.name} does not answer ({type(error).__name__})")
        except (TypeError, ValueError):
            return LookupFailed(f"the model hub {self.name} does not answer in JSON")

    def _document(self, client: httpx.Client, path: str, pool: Pool) -> Json:
        answer = client.get(f"{self.url}{path}")
        name = f"{pool.model.name}@{pool.model.revision}" if pool.model.revision else pool.model.name
        if answer.status_code == 404:
            raise LookupFailed(f"the model hub has no {name} (404)")
        if answer.status_code in (401, 403):
            raise LookupFailed(f"{name} on the model hub is gated, private or does not exist ({answer.status_code})")
        answer.raise_for_status()
        document = answer.json()
        if not isinstance(document, dict):
            raise TypeError
        return document


def _config_file(info: Json) -> str:
    """Return the name of the repository's configuration. Some of Mistral's repositories have only params.json."""
    files = {file.get("rfilename") for file in info.get("siblings") or []}
    return "params.json" if "params.json" in files and "config.json" not in files else "config.json"
