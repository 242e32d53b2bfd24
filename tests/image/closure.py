"""What a package brings along, from what the installed packages declare."""

import importlib.metadata
import re
from collections.abc import Iterable

from packaging.requirements import Requirement


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(wanted: Iterable[str]) -> set[str]:
    """The canonical names of the wanted packages and all that they need, extras as they are asked for."""
    to_do = [Requirement(text) for text in wanted]
    done: set[tuple[str, frozenset[str]]] = set()
    while to_do:
        requirement = to_do.pop()
        key = (canonical(requirement.name), frozenset(requirement.extras))
        if key not in done:
            done.add(key)
            to_do += _needs(requirement)
    return {name for name, _ in done}


def _needs(requirement: Requirement) -> list[Requirement]:
    try:
        declared = importlib.metadata.distribution(requirement.name).requires or []
    except importlib.metadata.PackageNotFoundError:
        return []  # Left out of our locks on purpose, such as torchvision.
    contexts = [{"extra": extra} for extra in requirement.extras | {""}]
    needed = [Requirement(text) for text in declared]
    return [need for need in needed if need.marker is None or any(need.marker.evaluate(context) for context in contexts)]
