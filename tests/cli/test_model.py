"""`firstword model`, on folders of real files: a vocabulary, a family's tokens and template, and no weights."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.cli.main import main
from service.domain import PromptSettings, TemplateTraits
from service.engine.models.model_profile import ALL_AUTO, make_profile
from service.engine.models.samples import CALLS_WRITTEN
from service.model_report.find_model import find_model
from service.model_report.load_source import load_source
from service.model_report.report import Report
from service.model_report.trait_words import WORDS
from tests.engine.models.families import family
from tests.support.model_folders import LLAMA_8B, family_folder, mistral_folder, mistral_reasoner_folder
from tests.support.model_hub import COMMIT, Fault, ModelHub, model_hub
from tests.support.process import FIRSTWORD, environment

# The libraries warn of each other's deprecated functions when they are imported.
pytestmark = [pytest.mark.needs_vllm, pytest.mark.filterwarnings("ignore")]

KEYS = (
    "format", "firstword_version", "model", "folder", "model_type", "tokenizer", "verdict", "refusal", "tool_calls", "thoughts",
    "unproven", "thinking", "template", "memory", "self_test", "prompt",
)  # fmt: skip


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.out)


class Model:
    """Runs the command in this process, as the libraries take seconds to import."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, name: Path | str, *arguments: str, **settings: str) -> Ran:
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            for setting, value in settings.items():
                patch.setenv(f"FIRSTWORD_{setting.upper()}", value)
            patch.setattr(sys, "argv", ["firstword", "model", str(name), *arguments])
            try:
                main()
            except SystemExit as ended:
                assert ended.code is None or isinstance(ended.code, int)
                code = ended.code or 0
        printed = self._capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    def report(self, name: Path | str, *arguments: str, **settings: str) -> Report:
        ran = self(name, "--json", *arguments, **settings)
        assert ran.code == 0, ran.err
        return ran.report


@pytest.fixture
def model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Model(capsys, monkeypatch)


def test_the_embedded_model(model: Model) -> None:
    ran = model("embedded", "--json", "--kv-gib", "1", "--gpu-gib", "24")
    assert ran.code == 0, ran.err
    assert tuple(json.loads(ran.out)) == KEYS
    report = ran.report
    assert (report.model, report.model_type, report.tokenizer, report.verdict) == ("SmolLM2-135M-Instruct", "llama", "hf", "pass")
    assert report.tool_calls is not None and report.tool_calls.parser == "hermes"
    assert "does not show tools" in report.tool_calls.why
    assert (report.thoughts, report.unproven, report.refusal, report.prompt) == (None, None, None, None)
    assert report.thinking is not None and not report.thinking.can_think
    memory = report.memory
    assert (memory.context_tokens, memory.call_tokens, memory.kv_bytes_per_token) == (8192, 4096, 30 * 2 * 3 * 64 * 2)
    assert memory.weights_bytes == 134_515_008 * 2
    given, gpu = memory.calls
    assert (given.gpu_gib, given.kv_gib, given.calls) == (None, 1, 2**30 // (4096 * 23040))
    assert gpu.kv_gib == pytest.approx(24 * 0.92 - 1.5 - memory.weights_bytes / 2**30, abs=0.01)
    assert report.self_test is not None and report.self_test.tokens_per_delta == [1, 3, 8]
    assert [sample.what for sample in report.self_test.samples] == ["text", "tool calls"]


@pytest.mark.parametrize("name", ["deepseek_v31", "gemma4", "glm45", "gpt_oss", "kimi_k2", "llama3", "minimax_m2", "qwen3"])
def test_a_familys_formats_and_its_switch(name: str, model: Model, tmp_path: Path) -> None:
    report, expect = model.report(family_folder(tmp_path, name), "--prompt"), family(name).expect
    assert report.tool_calls is not None and report.tool_calls.parser == expect["tool_parser"]
    assert report.tool_calls.read_by == "firstword"
    assert (report.thoughts is not None) == (expect["thought"] is not None)
    assert report.thinking is not None and report.template is not None
    assert (report.thinking.switch.variable if report.thinking.switch else None) == expect["switch"]
    assert report.thinking.by_default == expect["thinks_by_default"]
    assert (report.template.traits["takes_tools"], report.template.traits["takes_calls"]) == (
        expect["shows_tools"],
        expect["shows_calls"],
    )
    assert report.self_test is not None
    tried = {sample.what for sample in report.self_test.samples}
    assert {"text", "tool calls"} <= tried
    assert ("a call that the chat template wrote" in tried) == (expect["shows_tools"] and expect["shows_calls"])
    assert all(sample.is_right for sample in report.self_test.samples)
    assert report.prompt is not None and report.prompt.error is None
    for words in ("restaurant Sole", "find_table", "book_table", "19:30", "table twelve", "Müller"):
        assert words in report.prompt.text
    assert report.prompt.tokens > 100


def test_what_each_value_of_thinking_does(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    for setting in ("off", "auto", "on"):
        report = model.report(folder, thinking=setting)
        assert report.thinking is not None and report.thinking.setting == setting
        assert [(effect.variables, effect.turns) for effect in report.thinking.effects] == [
            ({"enable_thinking": False}, "answer"),
            ({}, "may think"),
            ({"enable_thinking": True}, "may think"),
        ]
        assert not report.thinking.cannot_be_turned_off
    report = model.report(folder, template_kwargs='{"enable_thinking": true, "mood": "calm"}')
    assert report.thinking is not None
    assert report.thinking.effects[0].variables == {"enable_thinking": True, "mood": "calm"}
    assert report.thinking.effects[0].turns == "may think"


def test_thoughts_that_cannot_be_turned_off_are_said_so(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "deepseek_r1")
    report = model.report(folder)
    assert report.thinking is not None and report.thinking.cannot_be_turned_off
    assert [effect.turns for effect in report.thinking.effects] == ["think", "think", "think"]
    words = " ".join(model(folder).out.split())
    assert "Thoughts cannot be turned off, so the first word of each turn is late." in words


def test_the_tables_say_what_the_json_says(model: Model, tmp_path: Path) -> None:
    ran = model(family_folder(tmp_path, "qwen3"), "--prompt", "--kv-gib", "16", "--call-tokens", "1000")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    words = " ".join(ran.out.split())
    for sentence in (
        "hermes; chosen by: <tool_call> in the chat template",
        "think (vLLM's parser deepseek_r1); chosen by: <think> in the chat template",
        "enable_thinking: off = false, on = true",
        "FIRSTWORD_THINKING=off enable_thinking=false: turns answer at once (as set)",
        "131,072 bytes a token; a call of 1,000 tokens takes 125.0 MiB",
        "16.0 131",
        "a call that the chat template wrote pass",
        "<|im_start|>user\nYes, please. The name is Müller.<|im_end|>".replace("\n", " "),
        "firstword serve would serve this model: PASS",
    ):
        assert sentence in words, sentence


def test_a_missing_template_is_a_refusal_that_names_the_setting(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3", has_template=False)
    ran = model(folder, "--json")
    assert ran.code == 1
    assert "firstword: The tokenizer of qwen3 has no chat template. FIRSTWORD_CHAT_TEMPLATE" in ran.err
    report = ran.report
    assert report.verdict == "fail" and "FIRSTWORD_CHAT_TEMPLATE" in str(report.refusal)
    assert (report.tool_calls, report.thinking, report.template, report.self_test) == (None, None, None, None)
    assert (report.memory.context_tokens, report.memory.kv_bytes_per_token) == (131072, 131072)
    table = model(folder)
    assert table.code == 1
    assert "131,072 bytes a token" in table.out and "would refuse this model: FAIL" in table.out

    own = tmp_path / "own.jinja"
    own.write_text(family("llama3").template, encoding="utf-8")
    served = model.report(folder, chat_template=str(own))
    assert served.template is not None and served.template.source == "FIRSTWORD_CHAT_TEMPLATE"
    assert served.tool_calls is not None and served.tool_calls.parser == "llama3_json"


def test_an_unproven_format_is_refused_unless_the_operator_insists(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "hermes_finetune")
    refused = model(folder, "--json", tool_parser="dots")
    assert refused.code == 1
    assert "not proven" in refused.err and "FIRSTWORD_ALLOW_UNPROVEN=true" in refused.err
    report = refused.report
    assert report.tool_calls is not None and (report.tool_calls.parser, report.tool_calls.why) == (
        "dots",
        "FIRSTWORD_TOOL_PARSER",
    )
    served = model.report(folder, tool_parser="dots", allow_unproven="true")
    assert served.unproven
    assert "no: " in model(folder, tool_parser="dots", allow_unproven="true").out


def test_a_parser_that_does_not_fit_the_template_fails_the_self_test(model: Model, tmp_path: Path) -> None:
    assert "kimi_k2" in CALLS_WRITTEN
    ran = model(family_folder(tmp_path, "qwen3"), tool_parser="kimi_k2")
    assert ran.code == 1
    assert "The self-test of the readers failed. a call that the chat template wrote" in ran.err
    assert "fail" in ran.out and "would refuse this model" in ran.out


def test_an_unknown_parser_is_refused_with_what_auto_would_choose(model: Model, tmp_path: Path) -> None:
    ran = model(family_folder(tmp_path, "qwen3"), "--json", tool_parser="hermess")
    assert ran.code == 1
    assert "did you mean hermes?" in ran.err
    assert ran.report.tool_calls is not None and ran.report.tool_calls.parser == "hermes"


def test_parsers_can_be_turned_off(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    report = model.report(folder, tool_parser="none", reasoning_parser="none")
    assert (report.tool_calls, report.thoughts) == (None, None)
    assert "calls stay in the text" in model(folder, tool_parser="none").out


@pytest.mark.parametrize(
    ("vocabulary", "name"),
    [
        ("tekken_240911.json", "tekken.json"),
        ("mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model.v3"),
        ("mistral_instruct_tokenizer_241114.model.v7", "tokenizer.model.v7"),
    ],
)
def test_a_folder_in_mistrals_own_form(vocabulary: str, name: str, model: Model, tmp_path: Path) -> None:
    report = model.report(mistral_folder(tmp_path, vocabulary, name), "--prompt", "--kv-gib", "10")
    assert (report.tokenizer, report.model_type) == ("mistral", "transformer")
    assert report.tool_calls is not None and report.tool_calls.parser == "mistral"
    assert report.template is not None and report.template.source == "encoder"
    memory = report.memory
    assert (memory.context_tokens, memory.weights_bytes, memory.kv_bytes_per_token) == (32768, None, 40 * 2 * 8 * 128 * 2)
    assert [row.calls for row in memory.calls] == [10 * 2**30 // (4096 * 163840)]
    assert report.self_test is not None
    assert {sample.what: sample.is_right for sample in report.self_test.samples} == {
        "text": True,
        "tool calls": True,
        "a call that the chat template wrote": True,
    }
    assert report.prompt is not None
    assert "[AVAILABLE_TOOLS]" in report.prompt.text and "The name is Müller.[/INST]" in report.prompt.text
    assert 100 < report.prompt.tokens < len(report.prompt.text) / 2


def test_a_mistral_reasoner(model: Model, tmp_path: Path) -> None:
    report = model.report(mistral_reasoner_folder(tmp_path))
    assert report.thoughts is not None and report.thoughts.marks == "mistral"
    assert report.thinking is not None and report.thinking.switch is not None
    assert report.thinking.switch.levels == {"none": "none", "minimal": "none"} | dict.fromkeys(
        ("low", "medium", "high", "xhigh", "max"), "high"
    )
    assert [(effect.variables, effect.turns) for effect in report.thinking.effects] == [
        ({"reasoning_effort": "none"}, "answer"),
        ({}, "answer"),
        ({"reasoning_effort": "high"}, "may think"),
    ]
    assert report.self_test is not None
    assert [sample.what for sample in report.self_test.samples if sample.is_right] == [
        "text",
        "a thought, then text",
        "tool calls",
        "a thought, then tool calls",
        "a call that the chat template wrote",
    ]


@pytest.mark.parametrize("name", ["gpt_oss", "kimi_k2", "llama3", "qwen3", "mistral"])
def test_the_engine_sees_the_same_model(name: str, tmp_path: Path) -> None:
    """Only the tokenizer of the engine is vLLM's own; the model's profile must be the same."""
    made = mistral_reasoner_folder(tmp_path) if name == "mistral" else family_folder(tmp_path, name)
    folder = find_model(str(made))
    tokenizer = import_module("vllm.tokenizers").get_tokenizer(str(made), tokenizer_mode=folder.tokenizer_mode)
    config = SimpleNamespace(hf_config=SimpleNamespace(model_type=folder.model_type))
    engines = import_module("service.engine.vllm.prompting").model_source(tokenizer, config, folder.name, None)
    settings = [PromptSettings(thinking="off")]
    assert make_profile(load_source(folder, {}, None), ALL_AUTO, settings) == make_profile(engines, ALL_AUTO, settings)


def test_prompts_that_vllm_writes_itself(model: Model, tmp_path: Path) -> None:
    config = LLAMA_8B | {"architectures": ["DeepseekV32ForCausalLM"]}
    report = model.report(family_folder(tmp_path, "deepseek_v32", config, has_template=False), "--prompt")
    assert (report.tokenizer, report.template.source if report.template else None) == ("deepseek_v32", "encoder")
    assert report.prompt is not None and "｜DSML｜" in report.prompt.text


def test_engine_arguments_count(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    given = {"kv_cache_dtype": "fp8", "tensor_parallel_size": 16, "max_model_len": "2K", "gpu_memory_utilization": 0.5}
    (folder / "model.safetensors").write_bytes(safetensors({"w": {"dtype": "BF16", "shape": [2**29, 1], "data_offsets": [0, 0]}}))
    memory = model.report(folder, "--gpu-gib", "8", engine_args=json.dumps(given)).memory
    # Each of the 16 GPUs holds one of the 8 heads, in one byte an element.
    assert memory.kv_bytes_per_token == 32 * 2 * 16 * 128
    assert (memory.context_tokens, memory.call_tokens) == (2048, 2048)
    assert memory.calls[0].kv_gib == 16 * (8 * 0.5 - 1.5) - 1
    assert "kv_cache_dtype fp8; a replica of 16 GPU(s); vLLM uses 50%" in memory.assumed


def test_weights_that_do_not_fit(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    (folder / "model.safetensors").write_bytes(safetensors({"w": {"dtype": "F32", "shape": [2**34], "data_offsets": [0, 0]}}))
    memory = model.report(folder, "--gpu-gib", "24").memory
    assert (memory.weights_bytes, memory.calls[0].calls) == (2**35, 0)
    assert "0: the weights do not fit" in model(folder, "--gpu-gib", "24").out


def test_weights_that_are_elsewhere(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    index = {"metadata": {"total_size": 16_000_000_000}, "weight_map": {"w": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert model.report(folder).memory.weights_bytes == 16_000_000_000
    (folder / "model-00001-of-00002.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    memory = model.report(folder).memory
    assert (memory.weights_bytes, memory.weights_from) == (16_000_000_000, "the index of the safetensors files")
    index["metadata"] = {}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert model.report(folder).memory.weights_from == "the sizes of the files"


def test_a_folder_that_is_no_model(model: Model, tmp_path: Path) -> None:
    ran = model(tmp_path)
    assert ran.code == 1
    assert "neither config.json nor params.json" in ran.err
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    ran = model(tmp_path, "--json")
    assert ran.code == 1
    assert "The tokenizer of" in ran.err and "cannot be loaded" in ran.err
    assert ran.report.memory.kv_bytes_per_token is None


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("/nowhere/at/all",), {}, "The folder /nowhere/at/all does not exist."),
        (("acme/nothing",), {}, "acme/nothing is not on the disk"),
        (("embedded",), {"thinking": "never"}, "FIRSTWORD_THINKING"),
        (("embedded",), {"chat_template": "/nowhere.jinja"}, "FIRSTWORD_CHAT_TEMPLATE: /nowhere.jinja cannot be read"),
        (("embedded",), {"engine_args": '{"tensor_parallel_size": "two"}'}, "tensor_parallel_size must be a number"),
        (("embedded", "--call-tokens", "0"), {}, "--call-tokens"),
        ((), {}, "FOLDER-OR-ID"),
    ],
)
def test_what_cannot_be_looked_at_is_status_2(
    arguments: tuple[str, ...], settings: dict[str, str], words: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")
    monkeypatch.setenv("TERM", "dumb")
    name, *more = arguments or ("--json",)
    ran = model(name, *more, **settings)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err and "Traceback" not in ran.err


def test_code_of_a_model_does_not_run_unless_it_is_trusted(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3", LLAMA_8B | {"model_type": "own"})
    (folder / "tokenization_own.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "from transformers import PreTrainedTokenizerFast\nclass OwnTokenizer(PreTrainedTokenizerFast):\n    pass\n"
    )
    config = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "tokenization_own.OwnTokenizer"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ran = model(folder)
    assert not (tmp_path / "ran").exists()
    assert ran.code == 1
    assert 'FIRSTWORD_ENGINE_ARGS={"trust_remote_code": true}' in ran.err
    model(folder, engine_args='{"trust_remote_code": true}')
    assert (tmp_path / "ran").exists()


def test_control_characters_of_a_template_do_not_reach_the_terminal(model: Model, tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    template = folder / "chat_template.jinja"
    template.write_text("\x1b]0;owned\x07" + template.read_text())
    ran = model(folder, "--prompt")
    assert ran.code == 0
    assert "\x1b" not in ran.out and "\\x1b]0;owned\\x07" in ran.out


def test_vllm_is_not_imported_for_a_hugging_face_folder(tmp_path: Path) -> None:
    folder = family_folder(tmp_path, "qwen3")
    program = (
        "import sys\nsys.argv = ['firstword', 'model', sys.argv[1], '--prompt']\nfrom service.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\nassert 'vllm' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ModelHub]:
    files = {file.name: file.read_bytes() for file in family_folder(tmp_path / "made", "qwen3").iterdir()}
    weights = {"model-1.safetensors": b"1" * 200_000, "model-2.safetensors": b"2" * 300_000, "pytorch_model.bin": b"b" * 900_000}
    with model_hub() as running:
        running.repos["acme/qwen3"] = (COMMIT, files | weights)
        yield running


def from_hub(hub: ModelHub, tmp_path: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = environment() | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"} | variables
    return subprocess.run([FIRSTWORD, "model", *arguments], env=env, capture_output=True, text=True, check=False, timeout=120)


def test_of_a_model_id_only_small_files_are_downloaded(hub: ModelHub, tmp_path: Path) -> None:
    done = from_hub(hub, tmp_path, "acme/qwen3", "--json")
    assert done.returncode == 0, done.stderr
    report = Report.model_validate_json(done.stdout)
    assert (report.model, report.tool_calls.parser if report.tool_calls else None) == ("qwen3", "hermes")
    assert (report.memory.weights_bytes, report.memory.weights_from) == (500_000, "the sizes of the files")
    sent = set(hub.bodies_sent())
    assert sent == {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}

    offline = from_hub(hub, tmp_path, "acme/qwen3", "--json", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    assert Report.model_validate_json(offline.stdout).memory.weights_bytes is None

    hub.faults.append(Fault("/api/models", 503, times=1000))
    cached = from_hub(hub, tmp_path, "acme/qwen3", "--json")
    assert cached.returncode == 0, cached.stderr
    assert "Warning:" in cached.stderr and "The copy on the disk is used" in cached.stderr


def test_a_model_that_the_hub_does_not_have(hub: ModelHub, tmp_path: Path) -> None:
    done = from_hub(hub, tmp_path, "acme/nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "firstword: acme/nowhere does not exist, or is private" in done.stderr


def test_every_trait_has_words() -> None:
    assert set(WORDS) == {each.name for each in fields(TemplateTraits) if isinstance(getattr(TemplateTraits(), each.name), bool)}
    assert len(set(WORDS.values())) == len(WORDS)


def safetensors(header: dict[str, Any]) -> bytes:
    """Return a file of this header, without the tensors."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text
