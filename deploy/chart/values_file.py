"""values.yaml: every default, with what it is for above it."""

import textwrap

import yaml

from deploy.chart.tree import Node, tree

_WIDTH = 118
_HEAD = """\
# Written by `python -m deploy.chart` from service/preflight/values/chart_values.py: change it there.
# Your own values go into a file of your own, which need say only what differs: `helm install -f my-values.yaml`.
# Empty means "not given". Unknown keys are refused.
"""


def render() -> str:
    return _HEAD + "".join(f"\n{_lines(node, _WIDTH)}\n" for node in tree())


def _lines(node: Node, width: int) -> str:
    comment = "\n".join(_comment(node, width))
    if not node.nodes:
        return f"{comment}\n{yaml.safe_dump({node.key: node.default}, width=width, sort_keys=False, allow_unicode=True).rstrip()}"
    inner = "\n".join(_lines(each, width - 2) for each in node.nodes)
    return f"{comment}\n{node.key}:\n{textwrap.indent(inner, '  ')}"


def _comment(node: Node, width: int) -> list[str]:
    words = node.description
    if not all(choice in words for choice in node.choices):
        words += f" {', '.join(node.choices[:-1])} or {node.choices[-1]}."
    return [f"# {line}" for line in textwrap.wrap(words, width - 2, break_on_hyphens=False, break_long_words=False)]
