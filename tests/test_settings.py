"""Settings: their sources, which one overrides which, and the message for a wrong one."""

import json
import os
import re
from pathlib import Path

import pytest

from service.errors import StartError, did_you_mean
from service.settings import AdapterSetting, Settings, load_settings, read_template, unknown_variables
from tests.support.documents import table_rows
from tests.support.factories import CANARY


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("FIRSTWORD_"):
            monkeypatch.delenv(name)


def use_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "firstword.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("FIRSTWORD_CONFIG", str(file))


def refusal() -> str:
    """Return the message of load_settings for a wrong setting. It never shows a value."""
    with pytest.raises(StartError) as caught:
        load_settings()
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_defaults_serve_the_embedded_model_to_this_machine_only() -> None:
    settings = load_settings()
    assert (settings.model, settings.engine, settings.host, settings.port) == ("embedded", "vllm", "127.0.0.1", 8000)
    assert settings.api_keys is None


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_file(monkeypatch, tmp_path, "port: 1001\nmax_turns: 7\nwarmup_prompts: [One, Two]\n")
    monkeypatch.setenv("FIRSTWORD_PORT", "2002")
    settings = load_settings()
    assert (settings.port, settings.max_turns, settings.max_messages) == (2002, 7, 2048)
    assert settings.warmup_prompts == ["One", "Two"]


def test_engine_args_of_both_sources_are_merged_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_file(monkeypatch, tmp_path, "engine_args: {max_model_len: 1, seed: 2}")
    monkeypatch.setenv("FIRSTWORD_ENGINE_ARGS", '{"max_model_len": 4096}')
    assert load_settings().engine_args == {"max_model_len": 4096, "seed": 2}


@pytest.mark.parametrize("content", ["", "# nothing yet\n"])
def test_an_empty_file_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    use_file(monkeypatch, tmp_path, content)
    assert load_settings().port == 8000


def test_keys_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTWORD_API_KEYS", f"acme={CANARY}")
    settings = load_settings()
    assert CANARY not in f"{settings} {settings!r} {settings.model_dump_json()}"
    assert settings.api_keys is not None
    assert settings.api_keys.get_secret_value() == f"acme={CANARY}"


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_config_that_is_not_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("FIRSTWORD_CONFIG", str(tmp_path / name))
    assert refusal() == f"FIRSTWORD_CONFIG names {tmp_path / name}, which is not a file."


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        (f"max_turn: {CANARY}", "there is no such setting; did you mean max_turns?"),
        (f"api_key: acme={CANARY}", "there is no such setting; did you mean api_keys?"),
        (f"zzzzzzzz: {CANARY}", "there is no such setting."),
    ],
)
def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, advice: str
) -> None:
    use_file(monkeypatch, tmp_path, line)
    assert refusal() == f"FIRSTWORD_{line.partition(':')[0].upper()}: {advice}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", CANARY),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", ""),
        ("MAX_TURNS", "0"),
        ("MAX_TURNS", "1.5"),
        ("MODEL", ""),
        ("ENGINE", CANARY),
        ("TTFT_BUDGET_S", "nan"),
        ("SEND_TIMEOUT_S", "inf"),
        ("DRAIN_TIMEOUT_S", "-1"),
        ("LOG_FORMAT", CANARY),
        ("ADAPTERS", CANARY),
        ("ADAPTERS", f'{{"name": "{CANARY}"}}'),
        ("ADAPTERS.0.PATH", f'[{{"name": "{CANARY}"}}]'),
        ("ADAPTERS.0.NMAE", f'[{{"nmae": "{CANARY}", "name": "a", "path": "/a"}}]'),
        ("ADAPTERS", f'[{{"name": "{CANARY}", "path": "/a"}}, {{"name": "{CANARY}", "path": "/b"}}]'),
        ("MAX_ADAPTERS", "-1"),
        ("WARMUP_PROMPTS", "[]"),
        ("WARMUP_PROMPTS", f"Hello {CANARY}"),
        ("THINKING", CANARY),
        ("TEMPLATE_KWARGS", f'["{CANARY}"]'),
        ("ADAPTERS.0.THINKING", f'[{{"name": "a", "path": "/a", "thinking": "{CANARY}"}}]'),
        ("ALLOW_UNPROVEN", CANARY),
        ("ENGINE_ARGS", f'["{CANARY}"]'),
        ("ENGINE_ARGS", f'{{"hf_token": "{CANARY}"'),
    ],
)
def test_a_wrong_variable_is_named_and_no_value_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("FIRSTWORD_API_KEYS", f"acme={CANARY}")
    monkeypatch.setenv(f"FIRSTWORD_{name.partition('.')[0]}", value)
    message = refusal()
    assert message.startswith(f"FIRSTWORD_{name}: ")
    assert "\n" not in message


@pytest.mark.parametrize("taken", ["SERVED_MODEL_NAME", "MODEL_ALIASES"])
def test_an_adapter_cannot_have_a_name_of_the_model(monkeypatch: pytest.MonkeyPatch, taken: str) -> None:
    monkeypatch.setenv(f"FIRSTWORD_{taken}", "agent" if taken == "SERVED_MODEL_NAME" else '["agent"]')
    monkeypatch.setenv("FIRSTWORD_ADAPTERS", '[{"name": "a", "path": "/a"}, {"name": "agent", "path": "/b"}]')
    assert refusal().startswith("FIRSTWORD_ADAPTERS: the name of adapter 2 ")


@pytest.mark.parametrize(("adapters", "given", "most"), [(0, None, 0), (2, None, 8), (9, None, 9), (0, "3", 3), (2, "2", 2)])
def test_places_for_adapters(monkeypatch: pytest.MonkeyPatch, adapters: int, given: str | None, most: int) -> None:
    listed = [{"name": f"a{number}", "path": "/a"} for number in range(adapters)]
    monkeypatch.setenv("FIRSTWORD_ADAPTERS", json.dumps(listed))
    if given is not None:
        monkeypatch.setenv("FIRSTWORD_MAX_ADAPTERS", given)
    assert load_settings().effective_max_adapters == most


def test_fewer_places_than_adapters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTWORD_ADAPTERS", '[{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]')
    monkeypatch.setenv("FIRSTWORD_MAX_ADAPTERS", "1")
    assert refusal().startswith("FIRSTWORD_MAX_ADAPTERS: 2 adapters ")


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTWORD_PORT", CANARY)
    monkeypatch.setenv("FIRSTWORD_MAX_TURNS", CANARY)
    assert [line.partition(":")[0] for line in refusal().splitlines()] == ["FIRSTWORD_PORT", "FIRSTWORD_MAX_TURNS"]


@pytest.mark.parametrize("value", [f"[{CANARY}]", f"{{acme: {CANARY}}}", "12345"])
def test_keys_of_a_wrong_type_in_the_file_are_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    use_file(monkeypatch, tmp_path, f"api_keys: {value}")
    assert refusal() == "FIRSTWORD_API_KEYS: Input should be a valid string"


def test_malformed_json_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTWORD_ENGINE_ARGS", f'{{"hf_token": "{CANARY}",}}')
    assert refusal() == "FIRSTWORD_ENGINE_ARGS: this is not valid JSON."


@pytest.mark.parametrize("value", [f"*{CANARY}", f"!{CANARY} x", f'"acme={CANARY}\\q"', f"acme={CANARY}: x: y", f"'{CANARY}"])
def test_malformed_yaml_is_pointed_at_and_not_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    use_file(monkeypatch, tmp_path, f"api_keys: {value}")
    assert refusal().startswith("FIRSTWORD_CONFIG: this is not valid YAML, at line 1, column ")


@pytest.mark.parametrize(
    "content",
    [f"- {CANARY}", CANARY, "5", f"5: {CANARY}", f"api_keys: {CANARY}".encode() + b"\xff", b"port: \x00", "[" * 5000],
    ids=["list", "text", "number", "number as a key", "not UTF-8", "NUL", "deeply nested"],
)
def test_a_file_that_is_no_mapping_is_a_start_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes
) -> None:
    use_file(monkeypatch, tmp_path, content)
    assert "FIRSTWORD_CONFIG" in refusal()


def test_an_unknown_variable_is_reported_with_the_nearest_setting() -> None:
    environ = {
        "FIRSTWORD_MAX_TURN": CANARY,
        "FIRSTWORD_QQQQ": CANARY,
        "FIRSTWORD_PORT": "1",
        "FIRSTWORD_CONFIG": "x",
        "FIRSTWORD_API_KEY": CANARY,
        "PATH": "x",
    }
    assert unknown_variables(environ) == [
        "FIRSTWORD_MAX_TURN is not a setting and has no effect; did you mean FIRSTWORD_MAX_TURNS?",
        "FIRSTWORD_QQQQ is not a setting and has no effect.",
    ]


@pytest.mark.parametrize(
    ("name", "sentence_end"), [("prot", "; did you mean port?"), ("host", "; did you mean host?"), ("xyz", ".")]
)
def test_did_you_mean_ends_a_sentence(name: str, sentence_end: str) -> None:
    assert did_you_mean(name, ["port", "host"]) == sentence_end


def test_prompt_settings_of_the_service_and_of_an_adapter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As docs/models.md and docs/adapters.md write them."""
    adapter = 'adapters: [{name: sums, path: /a, thinking: "on", template_kwargs: {style: exact}, chat_template: /a/t.jinja}]'
    use_file(monkeypatch, tmp_path, f'thinking: "auto"\ntemplate_kwargs: {{style: brief}}\nchat_template: /t.jinja\n{adapter}\n')
    settings = load_settings()
    # YAML reads the words as false and true.
    assert AdapterSetting.model_validate({"name": "a", "path": "/a", "thinking": False}).thinking == "off"
    assert AdapterSetting.model_validate({"name": "a", "path": "/a", "thinking": True}).thinking == "on"
    assert (settings.thinking, settings.template_kwargs, settings.chat_template) == ("auto", {"style": "brief"}, Path("/t.jinja"))
    (sums,) = settings.adapters
    assert (sums.thinking, sums.template_kwargs, sums.chat_template) == ("on", {"style": "exact"}, Path("/a/t.jinja"))


def test_a_template_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ '👋' }}\n", encoding="utf-8")
    assert read_template(file) == "{{ '👋' }}\n"
    assert read_template(None) is None


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "not UTF-8"])
def test_a_template_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "template.jinja"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StartError, match=f"FIRSTWORD_CHAT_TEMPLATE: {file} cannot be read"):
        read_template(file)


def test_the_document_lists_every_setting_as_the_code_has_it() -> None:
    expected = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = default if isinstance(default, str) else json.dumps(default)
        expected.append((f"`FIRSTWORD_{name.upper()}`", "none" if default is None else f"`{shown}`", field.description))
    assert table_rows("settings.md") == expected


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"PORT": "9000", "METRICS_PORT": "9000"}, r"FIRSTWORD_METRICS_PORT: .*FIRSTWORD_PORT\b"),
        ({"METRICS_ON_MAIN_PORT": "false"}, r"FIRSTWORD_METRICS_ON_MAIN_PORT: .*FIRSTWORD_METRICS_PORT\b"),
    ],
)
def test_metrics_that_nobody_could_read_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], advice: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"FIRSTWORD_{name}", value)
    assert re.match(advice, refusal())


def test_an_empty_collector_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTWORD_OTLP_ENDPOINT", "")
    assert load_settings().otlp_endpoint is None
