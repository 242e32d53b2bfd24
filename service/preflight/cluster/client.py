"""The cluster, read only: every request is a GET. Objects are JSON as the API gives it: the package `kubernetes` has no types,
so only this file and kubernetes_types.py import it.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import urllib3
import urllib3.exceptions
from kubernetes import config
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config.config_exception import ConfigException

from service.preflight.finding import CannotLook
from service.preflight.kubernetes_types import Json

Taken = TypeVar("Taken")

_TIMEOUTS_S = (5, 20)  # To connect, and for an answer to go on.
_PAGE = 500
_TRIES = 3
_PAUSES_S = (0.5, 1.0, 0.0)
"""After each try of a request that the API has no time for."""
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class CouldNotLook(Exception):
    """One thing could not be looked at; the others can."""


class NotAllowed(CouldNotLook):
    """Which permission is missing."""


class _Expired(CouldNotLook):
    """A list has changed too much since its first page: it must be read anew."""


class Cluster:
    def __init__(self, client: Any, namespace: str, name: str) -> None:
        self.namespace = namespace
        """The context's."""
        self.name = name
        """What its owner calls it, or where it is."""
        self._client = client
        self._seen: dict[str, Json | CouldNotLook | None] = {}
        self._listed: dict[str, list[Json] | CouldNotLook] = {}

    @classmethod
    def connect(cls, *, kubeconfig: Path | None, context: str | None) -> Self:
        """By a kubeconfig where there is one, else as the pod that this is. Raises `CannotLook`."""
        try:
            return cls(*_from_kubeconfig(kubeconfig, context) or _from_pod())
        except CannotLook:
            raise
        except Exception as error:  # It can be wrong in many ways, and only the client's own words are sure to quote no token.
            why = (
                str(error).rstrip(".")
                if isinstance(error, ConfigException)
                else f"it is not as it should be ({type(error).__name__})"
            )
            raise CannotLook(f"The kubeconfig cannot be used: {why}. Give --kubeconfig FILE or --context NAME.") from None

    def get(self, path: str) -> Json | None:
        """An object, or None where there is no such one. Raises `CouldNotLook`; asked twice, answers from memory."""
        return _kept(self._seen, path, lambda: self._ask("get", path, ()))

    def all(self, path: str) -> list[Json]:
        """What is short enough to keep. As `every`; asked twice, answers from memory."""
        return _kept(self._listed, path, lambda: self.every(path, take=list))

    def every(self, path: str, *query: tuple[str, str], take: Callable[[Iterator[Json]], Taken]) -> Taken:
        """All objects, page by page, as `take` takes them; none where the API has no such kind. Where the list expires meanwhile,
        it begins again, and so does `take`. Raises `CouldNotLook`.
        """
        for _ in range(_TRIES - 1):
            with contextlib.suppress(_Expired):
                return take(self._pages(path, query))
        return take(self._pages(path, query))

    def _pages(self, path: str, query: tuple[tuple[str, str], ...]) -> Iterator[Json]:
        token = ""
        while (page := self._ask("list", path, (*query, ("limit", str(_PAGE)), ("continue", token)))) is not None:
            yield from page.get("items") or ()
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return

    def serves(self, group_version: str, plural: str) -> bool:
        """Whether the API has this kind. Everybody who may log in may ask so, CustomResourceDefinitions or not."""
        kinds = self.get(f"/apis/{group_version}")
        return any(kind["name"] == plural for kind in (kinds or {}).get("resources", ()))

    def versions(self, group: str) -> tuple[str, ...]:
        return tuple(version["version"] for version in (self.get(f"/apis/{group}") or {}).get("versions", ()))

    def _ask(self, verb: str, path: str, query: tuple[tuple[str, str], ...]) -> Json | None:
        parameters = [(key, value) for key, value in query if value]
        request = self._client.param_serialize(
            "GET", path, query_params=parameters, header_params={"Accept": "application/json"}, auth_settings=["BearerToken"]
        )
        try:
            for pause_s in _PAUSES_S:
                answer = self._client.call_api(*request, _request_timeout=_TIMEOUTS_S)
                body = answer.read()
                if answer.status != 429 and answer.status < 500:
                    break
                time.sleep(pause_s)  # It has too much to do, or is just being replaced.
            return self._parse(answer.status, body, verb, path)
        except (urllib3.exceptions.HTTPError, OSError, ApiException) as error:
            why = getattr(error, "reason", None) or error
            raise CannotLook(f"The cluster {self.name} cannot be reached: {_short(why)}") from None

    def _parse(self, status: int, body: bytes, verb: str, path: str) -> Json | None:
        if status == 404:
            return None
        if status == 401:
            raise CannotLook(f"The cluster {self.name} refuses the credentials (401): log in again, or give another --context.")
        if status == 403:
            raise NotAllowed(f"{verb} on {_kind(verb, path)}")
        if status == 410:
            raise _Expired(f"{verb} on {_kind(verb, path)} has expired each time (410)")
        if status != 200:
            raise CouldNotLook(f"status {status} for {path}")
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CannotLook(f"What answers for the cluster {self.name} is no Kubernetes API: {path} is no JSON object.")
        return document


def _kept(answers: dict[str, Taken | CouldNotLook], path: str, ask: Callable[[], Taken]) -> Taken:
    """A failure is an answer, too: nobody waits for it twice."""
    if path not in answers:
        try:
            answers[path] = ask()
        except CouldNotLook as why:
            answers[path] = why
    if isinstance(answer := answers[path], CouldNotLook):
        raise answer
    return answer


def _from_kubeconfig(kubeconfig: Path | None, context: str | None) -> tuple[ApiClient, str, str] | None:
    """Client, namespace and name; None where there is no kubeconfig and none was asked for."""
    given = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    if not given and not (Path.home() / ".kube/config").exists() and context is None:
        return None
    if kubeconfig and not kubeconfig.exists():
        raise CannotLook(f"There is no kubeconfig {kubeconfig}: give another --kubeconfig.")
    file = given or str(Path.home() / ".kube/config")
    contexts, current = config.list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
    names = [each["name"] for each in contexts]
    if context is not None and context not in names:
        raise CannotLook(f"The kubeconfig has no context {context}; it has {', '.join(names)}.")
    chosen = next(each for each in contexts if each["name"] == (context or current["name"]))
    settings = Configuration()
    # Nothing is written, not even a fresh token.
    config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=file, context=chosen["name"], client_configuration=settings, persist_config=False
    )
    return _client(settings), chosen["context"].get("namespace") or "default", chosen["name"]


def _from_pod() -> tuple[ApiClient, str, str]:
    settings = Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except ConfigException:
        raise CannotLook("There is no kubeconfig, and this is no pod: give --kubeconfig FILE, or set KUBECONFIG.") from None
    return _client(settings), (_ACCOUNT / "namespace").read_text().strip(), settings.host


def _client(settings: Configuration) -> ApiClient:
    # Who waits for a table wants to know soon: also where the API would have us wait longer.
    settings.retries = urllib3.Retry(1, respect_retry_after_header=False)
    return ApiClient(settings)


def _kind(verb: str, path: str) -> str:
    """`nodes`, `storageclasses.storage.k8s.io`: as a ClusterRole has them."""
    parts = path.strip("/").split("/")
    plural = parts[-1] if verb == "list" or len(parts) < 4 else parts[-2]
    return f"{plural}.{parts[1]}" if parts[0] == "apis" and len(parts) > 2 else plural


def _short(error: object) -> str:
    """Without the client's own objects, which mean nothing to who reads it."""
    return re.sub(r"^(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)): ", "", str(error)).rstrip(".") + "."
