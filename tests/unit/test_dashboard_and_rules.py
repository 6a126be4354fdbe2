"""What can be said of deploy/grafana and deploy/prometheus without running anything."""

import functools
import re

import pytest

from mesh.metrics_reference import all_declared
from tests.alert_rules import DASHBOARD, ROOT, Named, expressions, named_in, panels, rules, templated

metrics = functools.cache(all_declared)
BY_PROMETHEUS = {"service", "le", "job", "instance"}


@functools.cache
def known(name: str) -> frozenset[str] | None:
    """Labels of a sample as its metric is declared; None if there is no such metric."""
    declared = metrics()
    metric = declared.get(name) or declared.get(re.sub(r"_(bucket|sum|count)$", "", name))
    if metric is None or (metric.name != name) != (metric.kind == "histogram"):
        return None
    return frozenset(metric.labels) | BY_PROMETHEUS


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_of_dashboard_and_rules_is_declared_with_these_labels(expression: str) -> None:
    found = named_in(expression)
    assert found
    for metric in found:
        if metric.name.startswith("process_"):
            continue
        labels = known(metric.name)
        assert labels is not None, metric.name
        assert metric.labels <= labels, metric


def test_names_and_labels_are_found_wherever_they_stand_in_an_expression() -> None:
    found = named_in('sum by (a) (rate(x_total{b="1",c!="2"}[5m])) / on() (count(y{d=~"e|f"}) or absent(z)) > 0')
    assert set(found) == {
        Named("x_total", frozenset("abc"), (("b", "1"),)),
        Named("y", frozenset("ad"), ()),
        Named("z", frozenset("a"), ()),
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_rule_has_summary_severity_and_a_page_that_says_what_to_do(rule: dict) -> None:  # type: ignore[type-arg]
    assert rule["labels"]["severity"] in ("warning", "critical")
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"].endswith(".")
    page, _, anchor = notes["runbook_url"].partition("#")
    titles = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.M)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    assert anchor in anchors, f"{page} has no heading for {anchor}"
    labels = frozenset().union(*(known(one.name) or frozenset() for one in named_in(rule["expr"])))
    assert templated(notes["summary"] + notes["description"]) <= labels | BY_PROMETHEUS


def test_names_of_rules_are_unique_and_panels_have_places_of_their_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(places) == len(set(places))
    assert "${datasource}" in DASHBOARD.read_text()


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_legend_shows_labels_that_are_there(panel: dict) -> None:  # type: ignore[type-arg]
    for target in panel["targets"]:
        labels = frozenset().union(*(known(one.name) or frozenset() for one in named_in(target["expr"])))
        assert templated(target["legendFormat"]) <= labels | BY_PROMETHEUS, target
