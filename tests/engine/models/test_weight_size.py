"""The memory of weights, from the headers of real safetensors files."""

import json
from pathlib import Path

import pytest

from service.engine.models.weight_size import elements_by_dtype, loaded_bytes


def file_of(folder: Path, header: object, name: str = "model.safetensors") -> Path:
    text = json.dumps(header).encode()
    (folder / name).write_bytes(len(text).to_bytes(8, "little") + text)
    return folder / name


def test_elements_are_counted_by_type(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [5], "data_offsets": [24, 34]},
        "scale": {"dtype": "F32", "shape": [], "data_offsets": [34, 38]},
        "c": {"dtype": "F8_E4M3", "shape": [10], "data_offsets": [38, 48]},
    }
    assert elements_by_dtype(file_of(tmp_path, header)) == {"BF16": 17, "F32": 1, "F8_E4M3": 10}


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", (20).to_bytes(8, "little") + b"{}}"])
def test_a_file_that_is_no_safetensors_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError):
        elements_by_dtype(tmp_path / "model.safetensors")


def test_bytes_after_loading() -> None:
    elements = {"F8_E4M3": 1000, "BF16": 10, "F32": 10, "I32": 5}
    assert loaded_bytes(elements, {}, {}) == 1000 + 20 + 20 + 20
    assert loaded_bytes({"BF16": 100}, {}, {"quantization": "fp8"}) == 100
    assert loaded_bytes({"BF16": 100}, {"quantization_config": {}}, {"quantization": "fp8"}) == 200
    assert loaded_bytes({"BF16": 100}, {"quantization": {}}, {"quantization": "fp8"}) == 200
