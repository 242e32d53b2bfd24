"""The user's input: a URL in any of its forms, and a key from one of three places. Wrong input gets one clear line here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from service.errors import FirstwordError

KEY_VARIABLE = "FIRSTWORD_API_KEY"
_CHAT = "/chat/completions"
_MOST_SHOWN = 400

PathName = Literal["v1", "bare"]


class CannotCheck(FirstwordError):
    """The checks cannot run with this input. The message says what to change, and never holds the key."""


@dataclass(frozen=True)
class Target:
    """An endpoint: the URL before `/v1/chat/completions` or `/chat/completions`, and which of the two the user named."""

    root: str
    named: PathName | None

    def chat(self, path: PathName) -> str:
        return f"{self.root}{'/v1' if path == 'v1' else ''}{_CHAT}"

    @property
    def paths(self) -> tuple[PathName, PathName]:
        """Both paths, the preferred one first: the one that the user named, else /v1, which every OpenAI client knows."""
        return ("bare", "v1") if self.named == "bare" else ("v1", "bare")

    @property
    def model_lists(self) -> tuple[str, str]:
        return f"{self.root}/v1/models", f"{self.root}/models"


@dataclass(frozen=True)
class Credential:
    """The key, and where it comes from. Only the latter may be shown."""

    key: str
    kind: Literal["variable", "file", "command line"]
    name: str | None

    @property
    def origin(self) -> str:
        """Where the key comes from, in words."""
        return {"variable": KEY_VARIABLE, "file": f"the file {self.name}", "command line": "--key"}[self.kind]

    def without_key(self, text: str) -> str:
        """The text with `[key]` in place of the key, in upper or lower case. A server may repeat the key in its answer."""
        return re.sub(re.escape(self.key), "[key]", text, flags=re.IGNORECASE)

    def redacted(self, text: str) -> str:
        """The text as it may be shown: without the key, without a server's control characters, and cut at 400 characters."""
        printable = "".join(sign if sign.isprintable() else "?" for sign in self.without_key(text))
        return printable[:_MOST_SHOWN] + ("..." if len(printable) > _MOST_SHOWN else "")


def parse_url(text: str) -> Target:
    """Parse a base URL with or without /v1, or the whole URL of chat/completions. Raises `CannotCheck` for any other."""
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:  # Its text may quote a password.
        raise CannotCheck("This is not a valid URL. Write it as https://llm.example.com/v1.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise CannotCheck("The URL must begin with http:// or https:// and name a host. Write it as https://llm.example.com/v1.")
    # Do not quote the URL: it may hold a password or a key.
    if url.userinfo or url.query or url.fragment:
        raise CannotCheck(f"The URL must not hold a user, password, query or fragment. Give the key by {KEY_VARIABLE}.")
    whole = str(url).rstrip("/")
    base = whole.removesuffix(_CHAT).rstrip("/")
    root = base.removesuffix("/v1")
    named: PathName | None = None
    if base != whole:
        named = "v1" if root != base else "bare"
    return Target(root, named)


def find_credential(key: str | None, key_file: Path | None, environment: Mapping[str, str]) -> Credential:
    """Take the key from an argument, else from the environment. Raises `CannotCheck`, which never quotes a key."""
    if key is not None and key_file is not None:
        raise CannotCheck("Both --key and --key-file are given. Give one of them, not both.")
    if key is not None:
        return _checked(Credential(key.strip(), "command line", None), "--key")
    if key_file is not None:
        try:
            # An invalid byte becomes a character that no key may have, so that `_checked` refuses it.
            text = key_file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise CannotCheck(f"The key file {key_file} cannot be read: {error.strerror}.") from None
        return _checked(Credential(text.strip(), "file", str(key_file)), f"The key file {key_file}")
    if KEY_VARIABLE not in environment:
        raise CannotCheck(f"No key is given. Set {KEY_VARIABLE}, or give --key-file FILE.")
    return _checked(Credential(environment[KEY_VARIABLE].strip(), "variable", KEY_VARIABLE), KEY_VARIABLE)


def _checked(credential: Credential, where: str) -> Credential:
    if not credential.key:
        raise CannotCheck(f"{where} is empty. It must hold the key.")
    if not (credential.key.isascii() and credential.key.isprintable()) or " " in credential.key:
        raise CannotCheck(f"{where} does not hold a valid key. A key is one line of printable ASCII without spaces.")
    return credential
