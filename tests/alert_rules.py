"""Dashboard and alert rules as they lie in deploy/, and which metrics with which labels they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/trueframe.json"


@dataclass(frozen=True)
class Named:
    """A metric in an expression: its name, and the labels that are asked for, with the values of `=`."""

    name: str
    labels: frozenset[str]
    values: tuple[tuple[str, str], ...]


def rules() -> list[dict[str, Any]]:
    """All rules of all groups."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Every expression of both."""
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def named_in(expression: str) -> list[Named]:
    """The metrics of an expression. Labels that it is grouped by, and those of legends, count for each of them."""
    tree = promql_parser.parse(expression)
    grouped: set[str] = set()
    found: list[Named] = []
    for node in walked(tree):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped |= set(node.modifier.labels)
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector):
            matchers = list(selector.matchers.matchers)
            values = tuple((one.name, one.value) for one in matchers if one.op == promql_parser.MatchOp.Equal)
            assert selector.name, expression
            found.append(Named(selector.name, frozenset(one.name for one in matchers), values))
    return [Named(one.name, one.labels | grouped, one.values) for one in found]


def walked(node: Any) -> Iterator[Any]:
    """The node and all below it."""
    yield node
    for name in ("lhs", "rhs", "expr"):
        if (child := getattr(node, name, None)) is not None and not isinstance(child, str):
            yield from walked(child)
    for child in getattr(node, "args", None) or ():
        yield from walked(child)


def templated(text: str) -> set[str]:
    """Labels that a text of a rule or of a legend shows."""
    return set(re.findall(r"\$labels\.(\w+)", text)) | set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text))
