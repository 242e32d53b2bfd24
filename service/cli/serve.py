"""`firstword serve` and `firstword worker`: read the settings and run the process."""

import asyncio
import contextlib
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from service import __version__
from service.console.progress import say, step
from service.domain import PromptSettings
from service.errors import StartError
from service.lifecycle import gc_tuning
from service.settings import EMBEDDED_MODEL, Settings, load_settings, read_template, unknown_variables
from service.telemetry.logs import configure_logs
from service.tenants.auth import KeyRing, make_plain_key, parse_plain_keys
from service.tenants.key_file import read_key_file

if TYPE_CHECKING:
    from service.engine.protocol import Engine
    from service.engine.vllm.arguments import Node
    from service.turn import Services


def serve() -> None:
    """Serve a model. Settings come from FIRSTWORD_* variables and from the YAML file that FIRSTWORD_CONFIG names."""
    gc_tuning.for_start()
    # Imported here, so that `firstword check` also runs where no web server is installed.
    import uvloop

    from service.app import create_app
    from service.server.multi_node import Leader, end_with_a_node, equal_on_nodes, leader_node
    from service.server.process import Service, bind, leave, leave_on_signals
    from service.telemetry.trace_setup import make_traces

    leave_on_signals()
    settings = load_settings()
    log = configure_logs(settings.log_format)
    for sentence in unknown_variables(os.environ):
        say(f"Warning: {sentence}")
    keys, made_key = _keys(settings)
    sock = bind(settings)
    node = leader_node(settings)
    engine = _engine(settings, node)
    if node is not None:
        leader = Leader(node, equal_on_nodes(engine, node), end_with_a_node)
        with step(f"Waiting for {node.count - 1} more of {node.count} nodes"):
            leader.wait_for_nodes()
    traces = make_traces(
        endpoint=settings.otlp_endpoint,
        protocol=settings.otlp_protocol,
        sample_ratio=settings.trace_sample_ratio,
        version=__version__,
    )
    application = create_app(settings, engine, keys, traces)
    services: Services = application.state.services
    if settings.metrics_port is not None:
        port = services.exposition.serve(settings.host, settings.metrics_port)
        say(f"Metrics at http://{_reachable(settings.host)}:{port}/metrics")
    url = f"http://{_reachable(settings.host)}:{sock.getsockname()[1]}"

    async def run() -> int:
        with ExitStack() as starting:
            starting.enter_context(step("Starting the engine"))

            def on_ready() -> None:
                starting.close()
                with contextlib.suppress(OSError, ValueError):  # stdout is closed or full. The service runs without it.
                    print(_welcome(url, engine.model.name, made_key), flush=True)

            return await Service(application, services, sock, on_ready).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(run())
        leave(services, log, status)


def worker() -> None:
    """Run a further node of a replica on several nodes. It runs a part of the model. Settings are as for `serve`."""
    from service.server.multi_node import equal_on_nodes, follow, further_node, join
    from service.server.process import leave_on_signals

    leave_on_signals()
    settings = load_settings()
    log = configure_logs(settings.log_format)
    node = further_node(settings)
    engine = _engine(settings, node)
    from service.engine.vllm.engine import VllmEngine

    assert isinstance(engine, VllmEngine), "the scripted engine has one node"
    with step(f"Waiting for the leader, {node.master_address}"):
        connection = join(node, equal_on_nodes(engine, node))
    follow(connection, engine.work, log, patience_s=settings.lameduck_s + settings.drain_timeout_s)


def _keys(settings: Settings) -> tuple[KeyRing, str | None]:
    """Return the configured keys. If there are none, make one, and return it too so that it can be shown once."""
    plain = parse_plain_keys(settings.api_keys.get_secret_value()) if settings.api_keys else []
    key_file = read_key_file(settings.api_keys_file) if settings.api_keys_file else None
    made_key = None
    if not plain and key_file is None:
        made_key = make_plain_key()
        plain = [("default", made_key)]
    keys = KeyRing(key_file, plain, isolates_cache={"on": True, "off": False}.get(settings.cache_isolation))
    if not len(keys):
        raise StartError(
            f"{settings.api_keys_file} has no key, so every request would be refused. `firstword keys add TENANT` makes one."
        )
    return keys, made_key


def _engine(settings: Settings, node: "Node | None") -> "Engine":
    """Make the engine that the settings name, without starting it. Raises `StartError`."""
    if settings.engine == "scripted":
        from service.engine.scripted.engine import ScriptedEngine

        name = settings.served_model_name or ("scripted" if settings.model == EMBEDDED_MODEL else settings.model)
        return ScriptedEngine(name, {"max_adapters": settings.effective_max_adapters, **settings.engine_args})
    model, name, revision = settings.model, settings.model, None
    if model == EMBEDDED_MODEL:
        from service.engine.models.embedded import MODEL_NAME, REVISION, ensure_embedded_model

        model, name, revision = str(ensure_embedded_model(say)), MODEL_NAME, REVISION
    elif Path(model).is_dir():
        model, name = str(Path(model).resolve()), Path(model).resolve().name
    elif model.startswith(("/", ".", "~")):
        raise StartError(f"FIRSTWORD_MODEL: the folder {model} does not exist.")
    with step("Loading vLLM"):
        try:
            from service.engine.models.model_profile import ParserSettings
            from service.engine.vllm.engine import VllmEngine
        except ImportError as error:
            raise StartError(f"vLLM is not installed ({error}). Run `pip install '.[gpu]'` or `make install`.") from None
    with step(f"Reading the model's configuration ({name})"):
        return VllmEngine(
            model,
            settings.served_model_name or name,
            settings.engine_args,
            parsers=ParserSettings(settings.tool_parser, settings.reasoning_parser, settings.allow_unproven),
            prompts=PromptSettings(settings.thinking, settings.template_kwargs, read_template(settings.chat_template)),
            model_sampling=settings.model_sampling,
            max_adapters=settings.effective_max_adapters,
            revision=revision,
            otlp_endpoint=settings.otlp_endpoint,
            otlp_protocol=settings.otlp_protocol,
            node=node,
        )


def _reachable(host: str) -> str:
    """Return the host as a user of this machine can write it in a URL."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104


def _welcome(url: str, model: str, made_key: str | None) -> str:
    if made_key:
        about_key = "No API key is configured, so one was made for this run. It is shown only here:"
    else:
        about_key = "Put one of your API keys here:"
    return f"""
Firstword is ready.

  Base URL        {url}/v1
  Model ID        {model}
  Authentication  x-api-key: KEY   or   Authorization: Bearer KEY

  {about_key}

    export FIRSTWORD_API_KEY={made_key or "…"}
    curl -N {url}/v1/chat/completions -H "x-api-key: $FIRSTWORD_API_KEY" -H 'Content-Type: application/json' \\
      -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Hello! Who are you?"}}]}}'
"""
