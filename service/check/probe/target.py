"""What the user gives: a URL in any of its forms, a key from one of three places. All wrong use ends here, in one clear line."""

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
    """There is nothing to check with what was given; the message says what to change and never holds the key."""


@dataclass(frozen=True)
class Target:
    """An endpoint: everything before `/v1/chat/completions` and `/chat/completions`, and which of the two was named."""

    root: str
    named: PathName | None

    def chat(self, path: PathName) -> str:
        return f"{self.root}{'/v1' if path == 'v1' else ''}{_CHAT}"

    @property
    def paths(self) -> tuple[PathName, PathName]:
        """The one to hand over first, if it answers: the one that was named, else the one that every OpenAI client knows."""
        return ("bare", "v1") if self.named == "bare" else ("v1", "bare")

    @property
    def model_lists(self) -> tuple[str, str]:
        return f"{self.root}/v1/models", f"{self.root}/models"


@dataclass(frozen=True)
class Credential:
    """The key, and what may be told of it: where it is."""

    key: str
    kind: Literal["variable", "file", "command line"]
    name: str | None

    @property
    def origin(self) -> str:
        """In words, for whoever has to mend it."""
        return {"variable": KEY_VARIABLE, "file": f"the file {self.name}", "command line": "--key"}[self.kind]

    def cover(self, text: str) -> str:
        """The text without the key, should a server have said it, in whatever case."""
        return re.sub(re.escape(self.key), "[key]", text, flags=re.IGNORECASE)

    def shown(self, text: str) -> str:
        """What may be shown: no control characters of a server's, not long, and in no case the key."""
        printable = "".join(sign if sign.isprintable() else "?" for sign in self.cover(text))
        return printable[:_MOST_SHOWN] + ("..." if len(printable) > _MOST_SHOWN else "")


def parse_url(text: str) -> Target:
    """From a base URL with or without /v1, or the whole of chat/completions. Raises `CannotCheck`."""
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:  # Its words quote what may be a password.
        raise CannotCheck("The URL is none: write it as https://llm.example.com/v1.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise CannotCheck("The URL must begin with http:// or https:// and name a host, such as https://llm.example.com/v1.")
    # Said without quoting: a password or a key may stand there.
    if url.userinfo or url.query or url.fragment:
        raise CannotCheck("The URL must hold no user, password, query or fragment: the key goes into a header.")
    whole = str(url).rstrip("/")
    base = whole.removesuffix(_CHAT).rstrip("/")
    root = base.removesuffix("/v1")
    named: PathName | None = None
    if base != whole:
        named = "v1" if root != base else "bare"
    return Target(root, named)


def find_credential(key: str | None, key_file: Path | None, environment: Mapping[str, str]) -> Credential:
    """What is given beats the environment. Raises `CannotCheck`, which never quotes a key."""
    if key is not None and key_file is not None:
        raise CannotCheck("Give --key or --key-file, not both.")
    if key is not None:
        return _checked(Credential(key.strip(), "command line", None), "--key")
    if key_file is not None:
        try:
            # A byte that is no text becomes one that no key may have, and is met below.
            text = key_file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise CannotCheck(f"The key file {key_file} cannot be read: {error.strerror}.") from None
        return _checked(Credential(text.strip(), "file", str(key_file)), f"The key file {key_file}")
    if KEY_VARIABLE not in environment:
        raise CannotCheck(f"No key: set {KEY_VARIABLE}, or give --key-file FILE.")
    return _checked(Credential(environment[KEY_VARIABLE].strip(), "variable", KEY_VARIABLE), KEY_VARIABLE)


def _checked(credential: Credential, where: str) -> Credential:
    if not credential.key:
        raise CannotCheck(f"{where} is empty: no key.")
    if not (credential.key.isascii() and credential.key.isprintable()) or " " in credential.key:
        raise CannotCheck(f"{where} holds what cannot be a key: it must be one line of printable ASCII without spaces.")
    return credential
