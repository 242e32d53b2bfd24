"""The embedded model's folder: whether it is intact or must be converted again. These tests convert nothing."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.engine.models.embedded import ensure_embedded_model, is_intact, model_folder

FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 1000}
MANIFEST = "firstword-manifest.json"


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    (folder / MANIFEST).write_text(json.dumps(sums))
    return folder


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[123_456] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def cut_short(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(FILES["model.safetensors"][:-1])


def remove_file(folder: Path) -> None:
    (folder / "config.json").unlink()


def remove_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def put_a_folder_in_place_of_a_file(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


def test_a_folder_that_matches_its_manifest_is_intact(tmp_path: Path) -> None:
    assert is_intact(make_folder(tmp_path / "model"))


def test_a_folder_that_was_never_made_is_not_intact(tmp_path: Path) -> None:
    assert not is_intact(tmp_path / "model")


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, remove_file, remove_manifest, put_a_folder_in_place_of_a_file])
def test_a_damaged_folder_is_not_intact(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = make_folder(tmp_path / "model")
    damage(folder)
    assert not is_intact(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'["config.json"]', b"5", b"null", b'{"config.json": ', b'{"config.json": null}', b"\xff"]
)
def test_a_manifest_that_proves_nothing_is_not_intact(tmp_path: Path, content: bytes) -> None:
    folder = make_folder(tmp_path / "model")
    (folder / MANIFEST).write_bytes(content)
    assert not is_intact(folder)


def test_a_file_more_than_the_manifest_names_does_no_harm(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    (folder / "notes.txt").touch()
    assert is_intact(folder)


def test_the_folder_is_in_the_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_folder() == tmp_path / "firstword" / "models" / "SmolLM2-135M-Instruct"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_folder() == tmp_path / ".cache" / "firstword" / "models" / "SmolLM2-135M-Instruct"


def test_an_intact_folder_is_used_as_it_is_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = make_folder(model_folder())
    said: list[str] = []
    assert ensure_embedded_model(said.append) == folder
    assert said == []
