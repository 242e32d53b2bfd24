"""A read-only client of the cluster: every request is a GET.

Objects are JSON as the API returns it. The package `kubernetes` has no types: only this file and kubernetes_types.py import it.
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

from service.preflight.finding import PreflightError
from service.preflight.kubernetes_types import Json

Taken = TypeVar("Taken")

_TIMEOUTS_S = (5, 20)  # To connect, and to wait for more of the response.
_PAGE = 500
_TRIES = 3
_PAUSES_S = (0.5, 1.0, 0.0)
"""Seconds to pause after each try that the API server rejects as overloaded (429 or 5xx)."""
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class LookupFailed(Exception):
    """One object or list could not be read. The checks that do not need it still run."""


class PermissionMissing(LookupFailed):
    """The message names the missing permission."""


class _Expired(LookupFailed):
    """The list changed too much since its first page, so it must be read again from the start."""


class Cluster:
    def __init__(self, client: Any, namespace: str, name: str) -> None:
        self.namespace = namespace
        """Namespace of the kubeconfig's context."""
        self.name = name
        """Name of the context, or the URL of the API server."""
        self._client = client
        self._seen: dict[str, Json | LookupFailed | None] = {}
        self._listed: dict[str, list[Json] | LookupFailed] = {}

    @classmethod
    def connect(cls, *, kubeconfig: Path | None, context: str | None) -> Self:
        """Connect with a kubeconfig if there is one, else with the pod's service account. Raises `PreflightError`."""
        try:
            return cls(*_from_kubeconfig(kubeconfig, context) or _from_pod())
        except PreflightError:
            raise
        except Exception as error:  # A kubeconfig can be invalid in many ways. Only a ConfigException surely quotes no token.
            why = (
                str(error).rstrip(".")
                if isinstance(error, ConfigException)
                else f"its contents are not valid ({type(error).__name__})"
            )
            raise PreflightError(f"The kubeconfig cannot be used: {why}. Set --kubeconfig FILE or --context NAME.") from None

    def get(self, path: str) -> Json | None:
        """Read one object; None means it does not exist. A second call answers from memory. Raises `LookupFailed`."""
        return _kept(self._seen, path, lambda: self._ask("get", path, ()))

    def all(self, path: str) -> list[Json]:
        """Read a short list. A second call answers from memory. Raises as `every`."""
        return _kept(self._listed, path, lambda: self.every(path, take=list))

    def every(self, path: str, *query: tuple[str, str], take: Callable[[Iterator[Json]], Taken]) -> Taken:
        """Read all objects page by page and pass them to `take`. There are none when the API lacks the kind.

        When the list expires, reading starts again and `take` is called again. Raises `LookupFailed`.
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
        """Check whether the API has this kind. Every user may read that, also without access to CustomResourceDefinitions."""
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
                time.sleep(pause_s)  # It is overloaded or restarting.
            return self._parse(answer.status, body, verb, path)
        except (urllib3.exceptions.HTTPError, OSError, ApiException) as error:
            why = getattr(error, "reason", None) or error
            raise PreflightError(f"The cluster {self.name} cannot be reached: {_short(why)}") from None

    def _parse(self, status: int, body: bytes, verb: str, path: str) -> Json | None:
        if status == 404:
            return None
        if status == 401:
            raise PreflightError(
                f"The cluster {self.name} rejects the credentials (401). Log in again, or set another --context."
            )
        if status == 403:
            raise PermissionMissing(f"{verb} on {_kind(verb, path)}")
        if status == 410:
            raise _Expired(f"the list of {_kind(verb, path)} expired during each of {_TRIES} tries (410)")
        if status != 200:
            raise LookupFailed(f"{path} answered with status {status}")
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise PreflightError(f"The server of the cluster {self.name} is not a Kubernetes API: {path} is not a JSON object.")
        return document


def _kept(answers: dict[str, Taken | LookupFailed], path: str, ask: Callable[[], Taken]) -> Taken:
    """Answer from memory, or ask and keep the answer. A failure is kept too, so that no check waits for it again."""
    if path not in answers:
        try:
            answers[path] = ask()
        except LookupFailed as why:
            answers[path] = why
    if isinstance(answer := answers[path], LookupFailed):
        raise answer
    return answer


def _from_kubeconfig(kubeconfig: Path | None, context: str | None) -> tuple[ApiClient, str, str] | None:
    """Return client, namespace and name. None means no kubeconfig exists and the user named none."""
    given = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    if not given and not (Path.home() / ".kube/config").exists() and context is None:
        return None
    if kubeconfig and not kubeconfig.exists():
        raise PreflightError(f"The kubeconfig {kubeconfig} does not exist. Set another --kubeconfig.")
    file = given or str(Path.home() / ".kube/config")
    contexts, current = config.list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
    names = [each["name"] for each in contexts]
    if context is not None and context not in names:
        raise PreflightError(f"The kubeconfig has no context {context}. Its contexts are {', '.join(names)}.")
    chosen = next(each for each in contexts if each["name"] == (context or current["name"]))
    settings = Configuration()
    # Write nothing, not even a refreshed token.
    config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=file, context=chosen["name"], client_configuration=settings, persist_config=False
    )
    return _client(settings), chosen["context"].get("namespace") or "default", chosen["name"]


def _from_pod() -> tuple[ApiClient, str, str]:
    settings = Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except ConfigException:
        raise PreflightError("There is no kubeconfig and no pod service account. Set --kubeconfig FILE or KUBECONFIG.") from None
    return _client(settings), (_ACCOUNT / "namespace").read_text().strip(), settings.host


def _client(settings: Configuration) -> ApiClient:
    # Fail soon, because a user waits for the table. The API may suggest a longer wait.
    settings.retries = urllib3.Retry(1, respect_retry_after_header=False)
    return ApiClient(settings)


def _kind(verb: str, path: str) -> str:
    """Return the kind as a ClusterRole names it, such as `nodes` or `storageclasses.storage.k8s.io`."""
    parts = path.strip("/").split("/")
    plural = parts[-1] if verb == "list" or len(parts) < 4 else parts[-2]
    return f"{plural}.{parts[1]}" if parts[0] == "apis" and len(parts) > 2 else plural


def _short(error: object) -> str:
    """Remove the client's internal objects from the message."""
    return re.sub(r"^(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)): ", "", str(error)).rstrip(".") + "."
