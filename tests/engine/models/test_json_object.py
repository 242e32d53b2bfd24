"""JsonObject: an object for templates that iterate over it, and JSON text for templates that print it or add it to a string."""

import json

import pytest

from service.engine.models.json_object import JsonObject
from tests.normalize.families import template_render

GIVEN = {"city": "Zürich", "days": 3, "more": {"list": [1, None]}}
TEXT = '{"city": "Zürich", "days": 3, "more": {"list": [1, null]}}'


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("x", TEXT),
        ("'a' + x + 'b'", f"a{TEXT}b"),
        ("x + 'b'", f"{TEXT}b"),
        ("'a' ~ x ~ 'b'", f"a{TEXT}b"),
        ("x | tojson", TEXT),
        ("x | string | length", str(len(TEXT))),
        ("x.city ~ x['days']", "Zürich3"),
        ("x | items | first | join", "cityZürich"),
        ("x.items() | length", "3"),
        ("x is mapping", "True"),
        ("x is string", "False"),
        ("x | dictsort | first | join", "cityZürich"),
    ],
)
def test_a_template_gets_the_form_that_it_wants(expression: str, shown: str) -> None:
    render = template_render(f"{{% set x = messages[0].arguments %}}{{{{ {expression} }}}}")
    assert render([{"arguments": JsonObject(GIVEN)}], None) == shown


def test_an_object_without_values_has_a_text_too() -> None:
    empty = JsonObject()
    assert (str(empty), "a" + empty, json.dumps(empty), bool(empty), len(empty)) == ("{}", "a{}", "{}", True, 0)


def test_it_equals_the_object_and_is_added_only_to_text() -> None:
    assert JsonObject(GIVEN) == GIVEN
    with pytest.raises(TypeError):
        JsonObject(GIVEN) + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        1 + JsonObject(GIVEN)  # type: ignore[operator]
