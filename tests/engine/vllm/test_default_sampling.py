"""The sampling of a request that sets none: the operator's values, else those of the model's generation_config.json."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from service.domain import Sampling
from service.engine.models.embedded import ensure_embedded_model
from service.engine.vllm.arguments import default_args, fingerprint
from service.engine.vllm.request_mapping import request_fields
from tests.support.factories import make_job

RECOMMENDED = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1}
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
OVERRIDE = {"temperature": 0.3, "top_k": 5}
MAX_TOKENS = 7000
SPECULATIVE = {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3}

# Name -> the setting, and the engine arguments.
CONFIGURATIONS: dict[str, tuple[bool, dict[str, Any]]] = {
    "default": (True, {}),
    "off": (False, {}),
    "override": (True, {"override_generation_config": OVERRIDE}),
    "off, override": (False, {"override_generation_config": OVERRIDE}),
    "argument vllm": (True, {"generation_config": "vllm"}),
    "off, argument auto": (False, {"generation_config": "auto"}),
    "top_p 1.5": (True, {"override_generation_config": {"top_p": 1.5}}),
    "top_k many": (True, {"override_generation_config": {"top_k": "many"}}),
    "repetition_penalty 0": (True, {"override_generation_config": {"repetition_penalty": 0}}),
    "speculative": (True, {"speculative_config": SPECULATIVE}),
    "speculative, min_p": (True, {"speculative_config": SPECULATIVE, "override_generation_config": {"min_p": 0.1}}),
}
# Name -> the request's sampling, and the default sampling.
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, RECOMMENDED),
    "nothing, no defaults": ({}, {}),
    "neutral": (NEUTRAL, RECOMMENDED),
    "greedy": ({"temperature": 0.0}, RECOMMENDED),
    "n, greedy model": ({"n": 2}, {"temperature": 0.0, "top_k": 20}),
    "n, greedy model, temperature": ({"n": 2, "temperature": 0.7}, {"temperature": 0.0, "top_k": 20}),
    **{name: ({name: value / 2}, RECOMMENDED) for name, value in RECOMMENDED.items() if name != "top_k"},
    "top_k": ({"top_k": 3}, RECOMMENDED),
}
# vLLM in a process of its own: importing it changes the environment and the logging of the process.
SCRIPT = """
import json, sys
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from service.engine.models.model_profile import ParserSettings
from service.engine.vllm.engine import VllmEngine
from service.errors import StartError

model, configurations, requests, max_tokens = json.load(sys.stdin)

def configured(model_sampling, engine_args):
    try:
        engine = VllmEngine(
            model, "m", engine_args, parsers=ParserSettings("none", "none"), model_sampling=model_sampling
        )
        return engine._configured.default_sampling
    except StartError as error:
        return str(error)

def sampled(fields, defaults):
    params = ChatCompletionRequest(**fields).to_sampling_params(max_tokens, defaults)
    names = "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "n", "max_tokens"
    return {name: getattr(params, name) for name in names}

answer = [{name: configured(*given) for name, given in configurations.items()},
          {name: sampled(*given) for name, given in requests.items()}]
print("ANSWER", json.dumps(answer))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the default sampling of each configuration, and what vLLM's sampler gets for each request.

    The model folder has no weights. Its authors recommend sampling parameters, and a limit of 5 tokens.
    """
    model = tmp_path_factory.mktemp("model")
    for file in ensure_embedded_model(print).iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, model)
    recommended = {"eos_token_id": 2, "do_sample": True, "max_new_tokens": 5, **RECOMMENDED}
    (model / "generation_config.json").write_text(json.dumps(recommended))
    requests = {
        name: (request_fields(make_job(sampling=Sampling(**asked)), defaults, {}), defaults)
        for name, (asked, defaults) in REQUESTS.items()
    }
    given = json.dumps([str(model), CONFIGURATIONS, requests, MAX_TOKENS])
    env = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=given, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    configurations, sampled = json.loads(done.stdout.rpartition("ANSWER")[2])
    return configurations, sampled


@pytest.mark.parametrize(("model_sampling", "source"), [(True, "auto"), (False, "vllm")])
def test_the_setting_names_where_the_defaults_come_from(model_sampling: bool, source: str) -> None:
    assert default_args("m", is_cpu=False, model_sampling=model_sampling)["generation_config"] == source


@pytest.mark.needs_vllm
@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("default", RECOMMENDED),
        ("off", {}),
        ("override", RECOMMENDED | OVERRIDE),
        ("off, override", OVERRIDE),
        ("argument vllm", {}),
        ("off, argument auto", RECOMMENDED),
        # vLLM refuses min_p with speculative decoding.
        ("speculative", {name: value for name, value in RECOMMENDED.items() if name != "min_p"}),
    ],
)
def test_the_operators_values_come_before_the_models(
    configuration: str, expected: dict[str, Any], answers: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """The model's limit of 5 tokens is in none: it would cut off every answer whose request sets no limit."""
    assert answers[0][configuration] == expected


@pytest.mark.needs_vllm
@pytest.mark.parametrize(
    ("configuration", "word"),
    [
        ("top_p 1.5", "FIRSTWORD_MODEL_SAMPLING"),
        ("top_k many", "FIRSTWORD_MODEL_SAMPLING"),
        ("repetition_penalty 0", "FIRSTWORD_MODEL_SAMPLING"),
        ("speculative, min_p", "min_p cannot be combined"),
    ],
)
def test_values_that_every_request_would_fail_with_stop_the_start(
    configuration: str, word: str, answers: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert word in answers[0][configuration]


@pytest.mark.needs_vllm
@pytest.mark.parametrize(
    ("request_name", "expected"),
    [
        ("nothing", RECOMMENDED | {"n": 1}),
        ("nothing, no defaults", NEUTRAL | {"n": 1}),
        ("neutral", NEUTRAL | {"n": 1}),
        ("greedy", NEUTRAL | {"temperature": 0.0, "repetition_penalty": 1.1, "n": 1}),
        # vLLM refuses several greedy choices, so temperature 1 with the likeliest token stands for them.
        ("n, greedy model", NEUTRAL | {"temperature": 1.0, "top_k": 1, "n": 2}),
        ("n, greedy model, temperature", NEUTRAL | {"temperature": 0.7, "top_k": 20, "n": 2}),
        *[(name, RECOMMENDED | REQUESTS[name][0] | {"n": 1}) for name in RECOMMENDED],
    ],
)
def test_a_request_decides_and_what_it_does_not_set_is_the_default(
    request_name: str, expected: dict[str, Any], answers: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert answers[1][request_name] == expected | {"max_tokens": MAX_TOKENS}


def test_a_default_temperature_below_vllms_least_is_raised() -> None:
    assert request_fields(make_job(), {"temperature": 0.001}, {})["temperature"] == 0.01
    assert "temperature" not in request_fields(make_job(), {"temperature": 0.5}, {})


def test_the_fingerprint_changes_with_the_defaults() -> None:
    given: list[dict[str, Any]] = [{}, {"top_k": 5}, {"top_k": 6}]
    assert len({fingerprint("1", "m", None, {}, sampling) for sampling in given}) == 3
    assert fingerprint("1", "m", None, {}, {"top_k": 5}) == fingerprint("1", "m", None, {}, {"top_k": 5})
