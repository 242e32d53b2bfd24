"""The service's configuration: the settings file in the ConfigMap, environment variables, arguments, probes and ports."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from service.app import create_app
from service.cli.main import app as cli
from service.engine.scripted.engine import ScriptedEngine
from service.preflight.values.pool_values import Pool
from service.settings import ENV_PREFIX, Settings, load_settings
from service.tenants.auth import KeyRing
from tests.chart.pools import config_of, each_pool, each_scenario, env_of, mounts, server
from tests.chart.rendering import MINIMAL, Pod, Rendered, merged, render, scenario, values_of

DOCS = Path(__file__).parents[2] / "docs"
CONFIG_FILE = "/etc/firstword/config/config.yaml"


@pytest.fixture(scope="module")
def served() -> set[str]:
    """Paths of the real app with the chart's settings."""
    settings = Settings(engine="scripted", metrics_port=9090, metrics_on_main_port=False)
    app = create_app(settings, ScriptedEngine("scripted", {}), KeyRing(plain=[("acme", "a-key")]))
    return {str(getattr(route, "path", "")) for route in app.routes}


def settings_of(config: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **env: str) -> Settings:
    """Load the settings as the service does in the pod. Raises `StartError` when the service would not start."""
    file = folder / "config.yaml"
    file.write_text(config)
    monkeypatch.setenv("FIRSTWORD_CONFIG", str(file))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@each_pool
def test_the_service_starts_with_its_settings(name: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings equal the values."""
    config = config_of(scenario(name), pool.name)
    settings = settings_of(yaml.safe_dump(config), tmp_path, monkeypatch)
    assert settings.model == pool.model.name
    assert (settings.served_model_name or "") == pool.model.served_name
    assert settings.model_aliases == pool.model.aliases
    assert [adapter.name for adapter in settings.adapters] == [adapter.name for adapter in pool.adapters]
    assert (settings.host, settings.log_format, settings.metrics_on_main_port) == ("0.0.0.0", "json", False)
    assert {key: config[key] for key in pool.settings} == pool.settings
    assert settings.engine_args.items() >= pool.engine_args.items()
    if pool.gpu.enabled:
        assert settings.engine_args["tensor_parallel_size"] == pool.gpu.count
    if pool.model.revision:
        assert settings.engine_args["revision"] == settings.engine_args["tokenizer_revision"] == pool.model.revision


def test_great_numbers_stay_whole() -> None:
    """Helm reads every number as a float, and templates write large ones as 4.194304e+06."""
    given = {"settings": {"max_body_bytes": 8_388_608}, "engineArgs": {"kv_cache_memory_bytes": 30 * 2**30}}
    config = config_of(render(merged(MINIMAL, {"poolDefaults": given})), "default")
    assert config["max_body_bytes"] == 8_388_608
    assert config["engine_args"]["kv_cache_memory_bytes"] == 30 * 2**30
    assert isinstance(config["max_body_bytes"], int)


TEMPLATE = """
{#- A template is any text: {{ "braces" }}, "quotes", \\, tabs\t, <tags> & emoji 👋 -#}
{%- for message in messages -%}
<|{{ message.role }}|>{{ message.content | trim }}
{% endfor %}<|assistant|>
"""


def test_how_the_model_is_prompted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of docs/models.md: thinking, variables of the template, and a template whose text is in the values."""
    given = {
        "model": {"chatTemplate": TEMPLATE},
        "settings": {"thinking": "auto", "template_kwargs": {"greeting": {"style": "short"}}, "allow_unproven": True},
        "adapters": [
            {"name": "sums", "path": "/cache/sums", "thinking": "on", "templateKwargs": {"steps": 3}, "chatTemplate": "{{ x }}"},
            {"name": "plain", "path": "/cache/plain"},
            {"name": "own", "path": "/cache/own", "chatTemplate": "/cache/own/chat_template.jinja"},
        ],
    }
    rendered = render(merged(MINIMAL, {"poolDefaults": given}))
    files = mounted_config(rendered, "default")
    settings = settings_of(files["config.yaml"], tmp_path, monkeypatch)
    assert (settings.thinking, settings.allow_unproven) == ("auto", True)
    assert settings.template_kwargs == {"greeting": {"style": "short"}}
    assert settings.chat_template is not None
    assert files[str(settings.chat_template)] == TEMPLATE
    sums, plain, own = settings.adapters
    assert (sums.thinking, sums.template_kwargs, files[str(sums.chat_template)]) == ("on", {"steps": 3}, "{{ x }}")
    assert (plain.thinking, plain.template_kwargs, plain.chat_template) == (None, {}, None)
    assert own.chat_template == Path("/cache/own/chat_template.jinja")


def mounted_config(rendered: Rendered, pool: str) -> dict[str, str]:
    """Return the files of the folder in which the settings file is, by path. The settings file has only its name."""
    (document,) = (each for each in rendered.of("ConfigMap") if each["metadata"]["labels"].get("firstword.io/pool") == pool)
    (mount,) = (
        mount for mount, volume in mounts(rendered.server(pool), server(rendered.server(pool)))
        if volume.get("configMap", {}).get("name") == document["metadata"]["name"]
    )  # fmt: skip
    assert "subPath" not in mount
    files: dict[str, str] = document["data"]
    return {name if name == "config.yaml" else f"{mount['mountPath']}/{name}": text for name, text in files.items()}


def test_one_template_of_several_adapters_is_one_file() -> None:
    adapters = [{"name": name, "path": f"/cache/{name}", "chatTemplate": "{{ x }}"} for name in ("one", "two")]
    rendered = render(merged(MINIMAL, {"poolDefaults": {"model": {"chatTemplate": "{{ x }}"}, "adapters": adapters}}))
    assert len(mounted_config(rendered, "default")) == 2


@pytest.mark.parametrize(("revision", "folder"), [("", "main"), ("0123abc", "0123abc"), ("team/v2", "team-v2")])
def test_adapters_are_looked_for_where_they_are_fetched_to(revision: str, folder: str) -> None:
    """docs/image.md, "Weights before the engine"."""
    adapter = {"name": "booking", "repo": "example/booking", "revision": revision}
    config = config_of(render(merged(MINIMAL, {"poolDefaults": {"adapters": [adapter]}})), "default")
    assert config["adapters"] == [{"name": "booking", "path": f"/cache/adapters/booking/{folder}"}]


@each_pool
def test_the_settings_file_is_where_the_service_looks(name: str, pool: Pool) -> None:
    pod = scenario(name).server(pool.name)
    config = config_of(scenario(name), pool.name)
    assert env_of(server(pod))["FIRSTWORD_CONFIG"] == CONFIG_FILE
    mounts = {mount["mountPath"]: mount for mount in server(pod)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    mounted = volumes[mounts[str(Path(CONFIG_FILE).parent)]["name"]]["configMap"]["name"]
    assert yaml.safe_load(scenario(name).one("ConfigMap", mounted)["data"]["config.yaml"]) == config
    keys = volumes[mounts[str(Path(config["api_keys_file"]).parent)]["name"]]["secret"]
    assert [item["path"] for item in keys["items"]] == [Path(config["api_keys_file"]).name]


def words_about(variable: str) -> bool:
    return any(f"`{variable}`" in file.read_text() for file in DOCS.glob("*.md"))


@each_scenario
def test_every_variable_of_ours_means_something(name: str) -> None:
    settings = {f"{ENV_PREFIX}{field.upper()}" for field in Settings.model_fields}
    for pod in scenario(name).pods:
        for container in pod.containers:
            for variable in env_of(container):
                if variable.startswith(ENV_PREFIX):
                    assert variable in settings or words_about(variable), f"{pod.name}: {variable}"


@each_scenario
def test_no_variable_is_set_twice(name: str) -> None:
    for pod in scenario(name).pods:
        for container in pod.containers:
            names = [entry["name"] for entry in container.get("env", ())]
            assert sorted(set(names)) == sorted(names), pod.name


@each_scenario
def test_kubernetes_adds_no_variable_that_looks_like_a_setting(name: str) -> None:
    """With service links, a Service named firstword-… would add FIRSTWORD_…_PORT."""
    assert [pod.name for pod in scenario(name).pods if pod.spec.get("enableServiceLinks") is not False] == []


@each_pool
def test_the_commands_exist_and_take_what_they_are_given(name: str, pool: Pool) -> None:
    known = get_command(cli).commands  # type: ignore[attr-defined]
    pods = [pod for pod in scenario(name).pods if pod.labels.get("firstword.io/pool") == pool.name]
    ours = [each["args"] for pod in pods for each in pod.containers if each["name"] in ("firstword", "fetch", "check")]
    commands = {arguments[0] for arguments in ours}
    assert "serve" in commands
    assert ("worker" in commands) is (pool.nodes > 1)
    for command, *arguments in ours:
        # Parse without running. An invalid argument raises.
        known[command].make_context(command, list(arguments))


def port_of(container: Any, port: int | str) -> int:
    by_name = {each["name"]: each["containerPort"] for each in container["ports"]}
    return by_name[port] if isinstance(port, str) else port


@each_pool
def test_probes_ask_served_paths_at_the_served_port(name: str, pool: Pool, served: set[str]) -> None:
    container, config = server(scenario(name).server(pool.name)), config_of(scenario(name), pool.name)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in served
        assert port_of(container, asked["port"]) == config["port"]


@each_pool
def test_ports_are_those_that_the_service_opens(name: str, pool: Pool) -> None:
    rendered, config = scenario(name), config_of(scenario(name), pool.name)
    container = server(rendered.server(pool.name))
    assert {port["containerPort"] for port in container["ports"]} == {config["port"], config["metrics_port"]}
    (service,) = (
        each for each in rendered.of("Service")
        if each["spec"]["selector"].get("app.kubernetes.io/component") == "server"
        and each["spec"]["selector"]["firstword.io/pool"] == pool.name
    )  # fmt: skip
    assert [port_of(container, port["targetPort"]) for port in service["spec"]["ports"]] == [config["port"]]
    for monitor in rendered.of("PodMonitor"):
        assert [port_of(container, each["port"]) for each in monitor["spec"]["podMetricsEndpoints"]] == [config["metrics_port"]]


@each_scenario
def test_routes_lead_only_to_what_callers_may_ask(name: str, served: set[str]) -> None:
    rules = [rule for route in scenario(name).of("HTTPRoute") for rule in route["spec"]["rules"]]
    paths = {match["path"]["value"] for rule in rules for match in rule["matches"]}
    assert not paths or paths == {"/v1/chat/completions", "/chat/completions", "/v1/models", "/models"}
    assert paths <= served
    for ingress in scenario(name).of("Ingress"):
        (rule,) = ingress["spec"]["rules"]
        paths = {path["path"] for path in rule["http"]["paths"]}
        assert paths <= served and "/v1/chat/completions" in paths and not paths & {"/metrics", "/", "/readyz"}


@each_scenario
def test_streams_are_not_cut_by_the_route(name: str) -> None:
    has_timeouts = values_of(name).get("gateway", {}).get("timeouts", True)
    for route in scenario(name).of("HTTPRoute"):
        turns = [rule for rule in route["spec"]["rules"] if "/chat/completions" in str(rule["matches"])]
        assert turns and all(rule.get("timeouts", {}).get("request") == ("0s" if has_timeouts else None) for rule in turns)


def worker_of(name: str) -> Pod | None:
    return next((pod for pod in scenario(name).pods if pod.role == "worker"), None)


def test_further_nodes_are_workers_that_know_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the values that LeaderWorkerSet sets, leader and worker read matching settings."""
    rendered = scenario("multi-node")
    config = yaml.safe_dump(config_of(rendered, "huge"))
    given = {"$(LWS_GROUP_SIZE)": "2", "$(LWS_LEADER_ADDRESS)": "huge-0.huge.calls"}
    read = []
    for rank, pod in enumerate((rendered.server("huge"), worker_of("multi-node"))):
        assert pod is not None
        env = {
            key: re.sub(r"^\$\(LWS_WORKER_INDEX\)$", str(rank), given.get(value, value))
            for key, value in env_of(server(pod)).items()
            if isinstance(value, str) and key.startswith(ENV_PREFIX) and key != "FIRSTWORD_CONFIG"
        }
        read.append(settings_of(config, tmp_path, monkeypatch, **env))
    assert [settings.node_rank for settings in read] == [0, 1]
    assert {(settings.nodes, settings.master_address) for settings in read} == {(2, "huge-0.huge.calls")}
    assert read[0].engine_args["pipeline_parallel_size"] * read[0].engine_args["tensor_parallel_size"] == 16
    assert rendered.of("LeaderWorkerSet")[0]["spec"]["leaderWorkerTemplate"]["size"] == 2


def test_a_new_adapter_needs_no_restart_and_anything_else_does() -> None:
    """A new checksum creates new pods. The service follows adapters with a path while it serves."""
    adapter = {"name": "booking", "path": "/cache/booking"}
    given = {"poolDefaults": {"settings": {"max_adapters": 4}}}

    def checksum(**pool_defaults: Any) -> Any:
        values = merged(merged(MINIMAL, given), {"poolDefaults": pool_defaults})
        return render(values).server("default").template["metadata"]["annotations"]

    assert checksum(adapters=[adapter]) == checksum()
    assert checksum(settings={"max_turns": 9}) != checksum()
    assert checksum(model={"chatTemplate": "{{ x }}"}) != checksum(model={"chatTemplate": "{{ y }}"})
    assert checksum(adapters=[adapter | {"chatTemplate": "{{ x }}"}]) == checksum()


def test_another_text_of_an_adapters_template_changes_the_settings_file() -> None:
    """The service follows only that file."""

    def config(template: str) -> Any:
        adapter = {"name": "booking", "path": "/cache/booking", "chatTemplate": template}
        return config_of(render(merged(MINIMAL, {"poolDefaults": {"adapters": [adapter]}})), "default")

    assert config("{{ x }}") != config("{{ y }}")


def test_adapters_make_new_pods_where_the_places_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that starts without adapters cannot load one, and one with eight cannot load a ninth."""
    places, checksums = [], []
    for number in (0, 1, 2, 8, 9, 10):
        adapters = [{"name": f"a{each}", "path": f"/cache/a{each}"} for each in range(number)]
        rendered = render(merged(MINIMAL, {"poolDefaults": {"adapters": adapters}}))
        settings = settings_of(yaml.safe_dump(config_of(rendered, "default")), tmp_path, monkeypatch)
        places.append(settings.effective_max_adapters)
        checksums.append(rendered.server("default").template["metadata"]["annotations"]["firstword.io/config"])
    assert places == [0, 8, 8, 8, 9, 10]
    assert [checksums.index(each) for each in checksums] == [places.index(each) for each in places]
