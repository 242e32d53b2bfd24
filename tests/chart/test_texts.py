"""A string value is either refused or rendered unchanged, and it changes nothing around it."""

import copy
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from helm_python import HelmError, HelmValuesError

from tests.chart.rendering import CHART, NAMESPACE, NOTES, RELEASE, Json, merged, render, values_of
from tests.chart.test_every_value import ALL, FOR_PREFLIGHT_ALONE, Place, at, places

# Strings that YAML reads as another type, or that end a YAML construct.
NASTY = [
    *("123", "012", "1e3", "2024-01-01", "12:30", "yes", "n", "null", "~", "-", "--flag", "*x", "&x", "!x", "%x", "@x", "`"),
    *("[a", "{a", "a]", "|", ">", "#", "'", '"', "\\", "é"),
    *("a: b", "a:", "x #y", "a, b", "- a", " a", "a ", "a\tb", "a\n", "nvidia\n  hostNetwork: true", "a }\nb: { c"),
    *("{{ .Release.Name }}", "/a: b #c", "/{a, [b", "http://a #b"),
]
NO_DIGEST = {"image": {"digest": ""}}
WHOLE = merged(values_of("kitchen-sink"), {"poolDefaults": NO_DIGEST, "tools": NO_DIGEST, "inferencePool": NO_DIGEST})
# Without dashboards, rules and two of the pools, for speed. Only their own labels depend on values.
SHORT = merged(
    WHOLE, {"monitoring": {"rules": {"enabled": False}, "dashboards": {"enabled": False}}, "pools": WHOLE["pools"][:2]}
)
OTHERWISE: dict[str, Json] = {
    "keys.existingSecret": SHORT | {"keys": {"existingSecret": "mine"}},
    # A split and the load test refer to pools by name.
    "pools[].name": SHORT | {"pools": WHOLE["pools"][2:3], "gateway": SHORT["gateway"] | {"splits": []}, "loadTest": {}},
    # The schema refuses all of these strings as digests.
    **{f"{of}image.digest": values_of("kitchen-sink") for of in ("", "tools.", "inferencePool.")},
    # One text of a template: the ConfigMap has one file then.
    "adapters[].chatTemplate": merged(
        SHORT,
        {
            "poolDefaults": {
                "model": {"chatTemplate": ""},
                "adapters": [{"name": "a", "path": "/cache/a", "chatTemplate": "tame"}],
            }
        },
    ),
}
NAMES_OR_PATHS = {"model.name", "model.chatTemplate", "adapters[].chatTemplate"}
"""What begins with a slash is a path, and is rendered in another place."""
TEXTS = sorted(
    path for path, node in ALL.items() if node.type == "string" and not node.choices and path not in FOR_PREFLIGHT_ALONE
)
OF_TEXTS = ["model.aliases"]
MAPS = [path for path in ALL if path.lower().endswith(("labels", "annotations", "nodeselector"))]
TAME = "tame"


@pytest.mark.parametrize("path", TEXTS + OF_TEXTS + MAPS)
def test_a_text_is_refused_or_arrives(path: str) -> None:
    values = OTHERWISE.get(path, WHOLE if path.startswith("monitoring.") else SHORT)
    place = next(place for place in places(path, values) if at(values, place))
    before: dict[str, dict[str, str]] = {}
    for nasty in NASTY if path in TEXTS else NASTY[::5]:
        if place in refused_by_the_schema(nasty):
            continue
        tame = TAME if path not in TEXTS else "/tame" if path in NAMES_OR_PATHS and nasty[0] == "/" else at(values, place)
        try:
            after = files(put(values, place, nasty))
        except HelmError as refusal:
            assert "YAML" not in str(refusal), f"{nasty!r} breaks a manifest"
            continue
        if tame not in before:
            before[tame] = files(put(values, place, tame))
        changed = [each for file, text in before[tame].items() for each in differences(*opened(text, after[file]))]
        assert changed, f"{nasty!r} arrives nowhere"
        assert [each for each in changed if not _is_the_text(*each, tame, nasty)] == [], f"{nasty!r} changes something else"


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "true", "false", "null", "y", "n"])
def test_pools_and_namespaces_may_be_words_of_yaml(word: str) -> None:
    rendered = render(OTHERWISE["pools[].name"] | {"pools": [{"name": word, "hostname": "a.example.com"}]}, namespace="123")
    labels = [each["metadata"]["labels"] for each in rendered.objects] + [pod.labels for pod in rendered.pods]
    assert {type(value) for each in labels for value in each.values()} == {str}
    assert {each["metadata"]["namespace"] for each in rendered.objects} == {"123"}
    assert rendered.server(word).owner["metadata"]["name"] == f"voice-firstword-{word}"


@functools.cache
def refused_by_the_schema(nasty: str) -> set[Place]:
    """Return the places that the schema refuses. It reports all errors at once."""
    values = WHOLE
    everywhere = {place for path in TEXTS + OF_TEXTS + MAPS for place in places(path, values)}
    for place in everywhere:
        values = put(values, place, nasty)
    try:
        CHART.render(values, name=RELEASE)
    except HelmValuesError as refusal:
        refused = set(re.findall(r"at '(/[^']*)'", str(refusal)))
        return {place for place in everywhere if refused & {_pointer(place), _pointer((*place, 0)), _pointer((*place, "a-key"))}}
    return set()


def files(values: Json) -> dict[str, str]:
    return {file: text for file, text in CHART.render(values, name=RELEASE, namespace=NAMESPACE).items() if file != NOTES}


def opened(before: str, after: str) -> tuple[Any, Any]:
    """Parse the YAML if the text differs. Parsing takes longer than rendering."""
    if before == after:
        return None, None
    one, two = (_opened(list(yaml.load_all(text, yaml.CSafeLoader))) for text in (before, after))
    return one, two


def _opened(document: Any) -> Any:
    """Parse YAML inside strings too, and replace checksums."""
    if isinstance(document, dict):
        return {_opened(key): _opened(each) for key, each in document.items()}
    if isinstance(document, list):
        return [_opened(each) for each in document]
    if not isinstance(document, str):
        return document
    inner = _read(document) if ":" in document and "\n" in document else None
    return _opened(inner) if isinstance(inner, dict) else re.sub(r"[0-9a-f]{64}|\b[0-9a-f]{12}\b", "#", document)


def _read(text: str) -> Any:
    try:
        return yaml.load(text, yaml.CSafeLoader)
    except yaml.YAMLError:
        return None  # A script is not YAML.


def put(values: Json, place: Place, text: str) -> Json:
    result = copy.deepcopy(values)
    old = at(result, place)
    new = [text] if isinstance(old, list) else {**old, "a-key": text} if isinstance(old, dict) else text
    at(result, place[:-1])[place[-1]] = new
    return result


def differences(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the keys and leaves that differ, or the whole part if its shape differs."""
    if isinstance(before, dict) and isinstance(after, dict) and len(before) == len(after):
        for (key, old), (other, new) in zip(before.items(), after.items(), strict=True):
            yield from differences(key, other)
            yield from differences(old, new)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for old, new in zip(before, after, strict=True):
            yield from differences(old, new)
    elif before != after or type(before) is not type(after):
        yield before, after


def _is_the_text(before: Any, after: Any, tame: str, nasty: str) -> bool:
    """Check that only `tame` was replaced. It may be a part of another string."""
    if not isinstance(before, str) or not isinstance(after, str) or tame not in before:
        return False
    either = f"({re.escape(tame)}|{re.escape(nasty)})"
    return re.fullmatch(either.join(map(re.escape, before.split(tame))), after) is not None


def _pointer(place: Place) -> str:
    return "".join(f"/{step}" for step in place)
