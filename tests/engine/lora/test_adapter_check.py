"""Which adapters are refused before an engine sees them, and which facts each refusal names."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from service.engine.lora.adapter_check import check_adapter
from service.engine.lora.base_weights import read_base
from service.errors import AdapterRefused
from tests.support.adapter_files import Arrays, lora_tensors, write_adapter

HIDDEN, INNER, VOCABULARY, RANK = 16, 24, 32, 4
Q_PROJ, UP_PROJ = "model.layers.1.self_attn.q_proj", "model.layers.0.mlp.up_proj"
RIGHT = {Q_PROJ: (HIDDEN, HIDDEN), UP_PROJ: (INNER, HIDDEN)}
PREFIX = "base_model.model."


def zeros(*shape: int, dtype: Any = np.float32) -> "np.ndarray[Any, Any]":
    return np.zeros(shape, dtype)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model of two layers, in two files."""
    folder = tmp_path / "base"
    folder.mkdir()
    for layer in range(2):
        name = f"model.layers.{layer}"
        tensors = {f"{name}.self_attn.q_proj.weight": zeros(HIDDEN, HIDDEN), f"{name}.mlp.up_proj.weight": zeros(INNER, HIDDEN)}
        save_file({**tensors, f"{name}.norm.weight": zeros(HIDDEN)}, folder / f"model-{layer}.safetensors")
    save_file({"model.embed_tokens.weight": zeros(VOCABULARY, HIDDEN)}, folder / "embedding.safetensors")
    return folder


def refusal(folder: Path, base: Path, *, max_rank: int = 8) -> str | None:
    """Return the reason against an adapter. None if it may be loaded."""
    try:
        check_adapter("sales", folder, partial(read_base, str(base), revision=None, download_dir=None), max_rank=max_rank)
    except AdapterRefused as refused:
        assert "'sales'" in str(refused)
        return str(refused)
    return None


def names(reason: str | None, *facts: str) -> bool:
    return reason is not None and all(fact in reason for fact in facts)


def right() -> Arrays:
    return lora_tensors(RIGHT, rank=RANK)


@pytest.mark.parametrize("prefix", [PREFIX, ""])
def test_one_that_fits_is_not_refused(tmp_path: Path, base: Path, prefix: str) -> None:
    tensors = {name.replace(PREFIX, prefix): values for name, values in right().items()}
    assert refusal(write_adapter(tmp_path / "a", tensors, rank=RANK), base) is None


def test_one_of_the_embedding_fits_too(tmp_path: Path, base: Path) -> None:
    name = f"{PREFIX}model.embed_tokens"
    tensors = {f"{name}.lora_embedding_A": zeros(RANK, VOCABULARY), f"{name}.lora_embedding_B": zeros(HIDDEN, RANK)}
    tensors[f"{name}.base_layer.weight"] = zeros(VOCABULARY, HIDDEN)
    folder = write_adapter(tmp_path / "a", tensors, rank=RANK, target_modules=["embed_tokens"])
    assert refusal(folder, base) is None


def test_a_rank_of_its_own_is_followed(tmp_path: Path, base: Path) -> None:
    tensors = lora_tensors({Q_PROJ: (HIDDEN, HIDDEN)}, rank=2) | lora_tensors({UP_PROJ: (INNER, HIDDEN)}, rank=RANK)
    assert refusal(write_adapter(tmp_path / "a", tensors, rank=RANK, rank_pattern={"q_proj": 2}), base) is None
    refused = refusal(write_adapter(tmp_path / "b", tensors, rank=RANK), base)
    assert names(refused, "q_proj.lora_A.weight", "has shape [2, 16]", "expected [4, 16]")


A_OF_Q, B_OF_Q = f"{PREFIX}{Q_PROJ}.lora_A.weight", f"{PREFIX}{Q_PROJ}.lora_B.weight"
SURPLUS = {"model.layers.2.self_attn.q_proj": (HIDDEN, HIDDEN)}


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda of: of.update({B_OF_Q: zeros(12, RANK)}), (f"tensor {B_OF_Q}", "[12, 4]", "expected [16, 4]")),
        (lambda of: of.update({A_OF_Q: zeros(RANK, 12)}), (f"tensor {A_OF_Q}", "[4, 12]", "expected [4, 16]")),
        (lambda of: of.update({A_OF_Q: zeros(2, HIDDEN)}), (f"tensor {A_OF_Q}", "[2, 16]", "expected [4, 16]")),
        (
            lambda of: of.update({A_OF_Q: zeros(RANK, HIDDEN, dtype=np.int8)}),
            (f"tensor {A_OF_Q}", "type I8", "F32, F16, BF16"),
        ),
        (lambda of: of.pop(B_OF_Q), (f"{PREFIX}{Q_PROJ} has lora_A", "no lora_B")),
        (lambda of: of.pop(A_OF_Q), (f"{PREFIX}{Q_PROJ} has lora_B", "no lora_A")),
        (
            lambda of: of.update(lora_tensors(SURPLUS, rank=RANK)),
            (
                f"tensor {PREFIX}model.layers.2.self_attn.q_proj.lora_A.weight",
                "no model.layers.2.self_attn.q_proj",
                "layers are 0 to 1",
            ),
        ),
        (
            lambda of: of.update({f"{PREFIX}{Q_PROJ}.lora_magnitude_vector": zeros(HIDDEN)}),
            (
                f"tensor {PREFIX}{Q_PROJ}.lora_magnitude_vector",
                "unknown",
                ".lora_A.weight, .lora_B.weight, .lora_embedding_A, .lora_embedding_B",
            ),
        ),
        (
            lambda of: of.update(lora_tensors({"model.layers.0.norm": (HIDDEN, 1)}, rank=RANK)),
            (f"tensor {PREFIX}model.layers.0.norm.lora_A.weight", "linear layer", "embedding", "[16]"),
        ),
        (lambda of: of.clear(), ("adapter_model.safetensors", "no LoRA tensor")),
    ],
    ids=["outputs", "inputs", "rank", "type", "no B", "no A", "surplus layer", "unknown tensor", "norm", "empty"],
)
def test_a_tensor_that_does_not_fit_is_named(
    tmp_path: Path, base: Path, change: Callable[[Arrays], Any], facts: tuple[str, ...]
) -> None:
    tensors = right()
    change(tensors)
    assert names(refusal(write_adapter(tmp_path / "a", tensors, rank=RANK), base), *facts)


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({"r": 16}, ("rank is 16", "limit is 8", "max_lora_rank", "FIRSTWORD_ENGINE_ARGS")),
        ({"rank_pattern": {"q_proj": 9}}, ("rank is 9", "limit is 8", "max_lora_rank", "FIRSTWORD_ENGINE_ARGS")),
        ({"r": 0}, ("adapter_config.json", "rank_pattern", "r is 0")),
        ({"lora_alpha": None}, ("adapter_config.json", "lora_alpha is None")),
        ({"peft_type": "IA3"}, ("adapter_config.json", "peft_type is 'IA3'", "expected 'LORA'")),
        (
            {"target_modules": ["q_proj", "wide_proj"]},
            ("adapter_config.json", "'wide_proj'", "embed_tokens, q_proj, up_proj"),
        ),
        ({"target_modules": None}, ("adapter_config.json", "target_modules", "list of module names", "pattern")),
    ],
    ids=["rank", "rank of one module", "rank 0", "alpha", "not LoRA", "target", "no targets"],
)
def test_a_configuration_that_does_not_fit_is_named(
    tmp_path: Path, base: Path, config: dict[str, Any], facts: tuple[str, ...]
) -> None:
    assert names(refusal(write_adapter(tmp_path / "a", right(), rank=RANK, **config), base), *facts)


def test_what_is_not_there_is_named(tmp_path: Path, base: Path) -> None:
    assert names(refusal(tmp_path / "none", base), f"{tmp_path / 'none'} is not a folder")
    folder = write_adapter(tmp_path / "a", right(), rank=RANK)
    tensor_file, config_file = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    tensor_file.unlink()
    assert names(refusal(folder, base), f"{tensor_file} does not exist", "safetensors", ".bin")
    config_file.unlink()
    assert names(refusal(folder, base), f"{config_file} does not exist")


@pytest.mark.parametrize("kept", [0.5, 0.99, 0.0])
def test_a_truncated_file_is_refused(tmp_path: Path, base: Path, kept: float) -> None:
    file = write_adapter(tmp_path / "a", right(), rank=RANK) / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    assert names(refusal(file.parent, base), f"{file} is not a complete safetensors file")


@pytest.mark.parametrize("content", [b"PK\x03\x04 not safetensors", b"\xff" * 100], ids=["zip", "bytes"])
def test_another_format_is_refused(tmp_path: Path, base: Path, content: bytes) -> None:
    file = write_adapter(tmp_path / "a", right(), rank=RANK) / "adapter_model.safetensors"
    file.write_bytes(content)
    assert names(refusal(file.parent, base), f"{file} is not a complete safetensors file")


@pytest.mark.parametrize("content", ["{", "[]", json.dumps("x"), "\x00"])
def test_a_broken_configuration_is_refused(tmp_path: Path, base: Path, content: str) -> None:
    file = write_adapter(tmp_path / "a", right(), rank=RANK) / "adapter_config.json"
    file.write_text(content)
    assert names(refusal(file.parent, base), str(file))


def test_what_cannot_be_checked_is_refused(tmp_path: Path, base: Path) -> None:
    adapter = write_adapter(tmp_path / "a", right(), rank=RANK)
    for file in base.iterdir():
        file.unlink()
    assert names(refusal(adapter, base), str(base), "no safetensors files")
    assert names(refusal(adapter, Path("no-such/model")), "no-such/model", "not on this machine", "LocalEntryNotFoundError")


@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        ({"weight": zeros(24, 16, dtype=np.float16)}, (24, 16)),
        # 4 bits, eight values in an int32: AWQ packs outputs, GPTQ inputs.
        ({"qweight": zeros(16, 3, dtype=np.int32), "scales": zeros(2, 24), "qzeros": zeros(2, 3, dtype=np.int32)}, (24, 16)),
        ({"qweight": zeros(2, 24, dtype=np.int32), "scales": zeros(2, 24), "qzeros": zeros(2, 3, dtype=np.int32)}, (24, 16)),
        ({"weight": zeros(192, 1, dtype=np.uint8)}, None),
        ({"weight_packed": zeros(24, 2, dtype=np.int32)}, None),
    ],
    ids=["plain", "AWQ", "GPTQ", "bitsandbytes", "compressed-tensors"],
)
def test_shapes_of_quantized_models(tmp_path: Path, stored: Arrays, shape: tuple[int, int] | None) -> None:
    save_file({f"m.q_proj.{name}": values for name, values in stored.items()}, tmp_path / "model.safetensors")
    assert read_base(str(tmp_path), revision=None, download_dir=None) == {"m.q_proj": shape}


def test_a_weight_of_unknown_shape_is_not_trusted(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_file({f"{Q_PROJ}.weight_packed": zeros(16, 2, dtype=np.int32)}, base / "model.safetensors")
    adapter = write_adapter(tmp_path / "a", lora_tensors({Q_PROJ: (HIDDEN, HIDDEN)}, rank=RANK), rank=RANK)
    assert names(refusal(adapter, base), f"tensor {A_OF_Q}", "cannot be checked", Q_PROJ, "format")
