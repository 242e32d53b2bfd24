"""A Kubernetes API with one Secret, enough for Helm's `lookup`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.http_server import Quiet, answering

Json = dict[str, Any]
_RESOURCES = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [{"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get", "list"]}],
}
_NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextmanager
def api_server(secret: Json) -> Iterator[str]:
    """Serve the API and yield its URL."""
    metadata = secret["metadata"]
    answers = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        "/api/v1": _RESOURCES,
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        f"/api/v1/namespaces/{metadata['namespace']}/secrets/{metadata['name']}": secret,
    }

    class Handler(Quiet):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            body = json.dumps(answer or _NOT_FOUND).encode()
            self.send_response(200 if answer else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with answering(Handler) as url:
        yield url


def kubeconfig(url: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody", "namespace": "calls"}}],
            "current-context": "here",
        }
    )
