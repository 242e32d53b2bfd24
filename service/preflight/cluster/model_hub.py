"""Questions to the model hub: how large a model is."""

import os
import re

import httpx

from service.preflight.cluster.client import CouldNotLook
from service.preflight.cluster.model_size import ModelSize, size_of
from service.preflight.kubernetes_types import Json
from service.preflight.values.pool_values import Pool

_TIMEOUT_S = 10.0


class ModelHub:
    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.url = (url or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.name = re.sub(r"[?#].*", "", re.sub(r"//.*@", "//", self.url))
        """For people: the URL without user and password, which nobody may see."""
        token = token or os.environ.get("HF_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._answers: dict[str, tuple[Json, Json] | CouldNotLook] = {}

    def size(self, pool: Pool) -> ModelSize:
        """Raises `CouldNotLook`, with why."""
        key = f"{pool.model.name}@{pool.model.revision}"
        if key not in self._answers:
            self._answers[key] = self._ask(pool)
        if isinstance(answer := self._answers[key], CouldNotLook):
            raise answer
        try:
            return size_of(*answer, pool.engine_args)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            raise CouldNotLook(f"what the model hub says of {pool.model.name} does not tell its size") from None

    def _ask(self, pool: Pool) -> tuple[Json, Json] | CouldNotLook:
        """About the repository, and its config.json. A failure is an answer too: nobody waits for it twice."""
        name, revision = pool.model.name, pool.model.revision or "main"
        try:
            with httpx.Client(timeout=_TIMEOUT_S, headers=self._headers, follow_redirects=True) as client:
                info = self._document(client, f"/api/models/{name}/revision/{revision}?blobs=true", pool)
                return info, self._document(client, f"/{name}/resolve/{revision}/config.json", pool)
        except CouldNotLook as why:
            return why
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return CouldNotLook(f"the model hub {self.name} does not answer ({type(error).__name__})")
        except (TypeError, ValueError):
            return CouldNotLook(f"the model hub {self.name} does not answer in JSON")

    def _document(self, client: httpx.Client, path: str, pool: Pool) -> Json:
        answer = client.get(f"{self.url}{path}")
        name = f"{pool.model.name}@{pool.model.revision}" if pool.model.revision else pool.model.name
        if answer.status_code == 404:
            raise CouldNotLook(f"the model hub has no {name} (404)")
        if answer.status_code in (401, 403):
            raise CouldNotLook(f"the model hub shows {name} only to some: it is gated, private, or none ({answer.status_code})")
        answer.raise_for_status()
        document = answer.json()
        if not isinstance(document, dict):
            raise TypeError
        return document
