"""PromQL taken apart: what an expression asks for."""

import promql_parser
from promql_parser import Expr, VectorSelector


def nodes(expr: str) -> list[Expr]:
    """Of the parsed expression. Raises where it is no PromQL."""
    found: list[Expr] = []
    promql_parser.walk(promql_parser.parse(expr), found.append)
    return found


def selectors(expr: str) -> list[VectorSelector]:
    return [node for node in nodes(expr) if isinstance(node, VectorSelector)]


def matched(selector: VectorSelector) -> dict[str, str]:
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}
