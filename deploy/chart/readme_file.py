"""The chart's README.md: readme.md of this folder, followed by a table of all values."""

import json
from collections.abc import Iterator
from pathlib import Path

from deploy.chart.tree import Node, tree

_PROSE = Path(__file__).parent / "readme.md"


def render() -> str:
    rows = [_row(path, node) for path, node in _leaves(tree())]
    return (
        "\n".join([_PROSE.read_text(encoding="utf-8"), "| Value | Type | Default | Meaning |", "|---|---|---|---|", *rows]) + "\n"
    )


def _leaves(nodes: tuple[Node, ...], at: str = "") -> Iterator[tuple[str, Node]]:
    for node in nodes:
        path = f"{at}{node.key}"
        if not node.nodes:
            yield path, node
        yield from _leaves(node.nodes, f"{path}.")
        yield from _leaves(node.items, f"{path}[].")


def _row(path: str, node: Node) -> str:
    kind = ", ".join(f"`{choice}`" for choice in node.choices) or node.type
    default = "required" if node.default is None else f"`{json.dumps(node.default, ensure_ascii=False)}`"
    return f"| `{path}` | {kind} | {default} | {node.description.replace('|', chr(92) + '|')} |"
