"""The user's URL and key, and the one-line message, without the key, if they cannot be used."""

from pathlib import Path

import pytest

from service.check.probe.target import KEY_VARIABLE, CannotCheck, find_credential, parse_url

KEY = "right-key-7f3a"


@pytest.mark.parametrize(
    ("given", "root", "first"),
    [
        ("http://h:8000", "http://h:8000", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/", "http://h:8000", "http://h:8000/v1/chat/completions"),
        ("https://h/v1", "https://h", "https://h/v1/chat/completions"),
        ("https://h/v1/", "https://h", "https://h/v1/chat/completions"),
        ("https://h/v1/chat/completions", "https://h", "https://h/v1/chat/completions"),
        ("https://h/chat/completions", "https://h", "https://h/chat/completions"),
        ("https://h/models/small/v1", "https://h/models/small", "https://h/models/small/v1/chat/completions"),
        ("https://h/models/small/chat/completions/", "https://h/models/small", "https://h/models/small/chat/completions"),
        (" http://[::1]:8000/v1 ", "http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_a_url_is_taken_in_any_of_its_forms(given: str, root: str, first: str) -> None:
    target = parse_url(given)
    assert target.root == root
    assert target.chat(target.paths[0]) == first
    assert {target.chat(path) for path in target.paths} == {f"{root}/v1/chat/completions", f"{root}/chat/completions"}


@pytest.mark.parametrize(
    "given",
    [
        "",
        "h:8000",
        "ftp://h",
        "http://",
        "http:///v1",
        "http://h:port",
        f"http://u:{KEY}@h",
        f"http://h/?key={KEY}",
        f"https://h:{KEY}",
    ],
)
def test_a_url_that_is_none_is_refused_without_quoting_a_secret(given: str) -> None:
    with pytest.raises(CannotCheck) as refused:
        parse_url(given)
    assert KEY not in str(refused.value)


def test_a_key_that_is_given_beats_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    environment = {KEY_VARIABLE: "other"}
    assert find_credential(None, None, environment).key == "other"
    assert find_credential(None, None, environment).name == KEY_VARIABLE
    from_file = find_credential(None, file, environment)
    assert (from_file.key, from_file.kind, from_file.name) == (KEY, "file", str(file))
    given = find_credential(KEY, None, environment)
    assert (given.key, given.kind, given.name) == (KEY, "command line", None)


@pytest.mark.parametrize(
    "content", [b"", b"\n", f"{KEY}\n{KEY}".encode(), f"{KEY} {KEY}".encode(), b"\xff" + KEY.encode(), "ü".encode()]
)
def test_what_cannot_be_a_key_is_refused_without_quoting_it(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(CannotCheck) as refused:
        find_credential(None, file, {})
    assert str(file) in str(refused.value)
    assert KEY not in str(refused.value)


def test_no_key_two_keys_and_no_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(CannotCheck, match=r"No key.*FIRSTWORD_API_KEY"):
        find_credential(None, None, {})
    with pytest.raises(CannotCheck, match="not both"):
        find_credential(KEY, tmp_path / "key", {})
    with pytest.raises(CannotCheck, match="No such file"):
        find_credential(None, tmp_path / "none", {})
    with pytest.raises(CannotCheck, match="Is a directory"):
        find_credential(None, tmp_path, {})
