"""The metrics that dashboard and alert rules name are those of a running instance."""

from __future__ import annotations

import re
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest

from mesh.metrics_reference import all_declared
from simulator.testing import running
from tests.alert_rules import expressions, named_in
from tests.embedded import embedded
from tests.support import until

# Values that only show when something is wrong, or somebody did something.
SELDOM = {("reason", "overrun"), ("state", "disabled")}


@pytest.mark.slow
def test_dashboard_and_rules_name_what_a_running_instance_shows(tmp_path: Path) -> None:
    with (
        running(1, log=tmp_path / "sent") as cameras,
        embedded(
            tmp_path / "data", *(f"{camera}={url}" for camera, url in cameras.urls.items()), "--metrics-port", "0"
        ) as instance,
    ):
        url = re.search(r"metrics at (http://\S+)", instance.said)
        assert url

        def page() -> str:
            with urllib.request.urlopen(url[1], timeout=10) as answer:
                return str(answer.read().decode())

        def has_all() -> str | None:
            text = page()
            wanted = ("trueframe_detector_seconds_count", 'phase="opened"', 'alarm_age_seconds_count{service="event')
            return text if all(one in text for one in wanted) else None

        # Until something has happened that is an alarm: then every part has something to show.
        text = until(has_all, 90, "frames are judged, and an alarm is raised")
    types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))
    labels: dict[str, set[str]] = defaultdict(set)
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, inside in re.findall(r"^(\w+)\{(.*)\} \S+$", text, re.M):
        for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', inside):
            labels[name].add(label)
            values[name, label].add(value)
    for expression in expressions():
        for metric in named_in(expression):
            families = {
                metric.name,
                re.sub(r"_(bucket|sum|count)$", "", metric.name),
                metric.name.removesuffix("_total"),
            }
            if metric.name.startswith("trueframe_certificate_"):
                continue  # an embedded instance has no certificates; the reference knows them
            assert families & set(types), metric.name
            if metric.name in labels:
                assert metric.labels <= labels[metric.name] | {"service"}, metric
            for label, value in metric.values:
                if values[metric.name, label] and (label, value) not in SELDOM:
                    assert value in values[metric.name, label], metric

    declared = all_declared()
    shown = {name for name in types if name.startswith("trueframe_")} - {f"{name}_created" for name in types}
    undeclared = {
        name for name in shown if not name.endswith("_created") and not ({name, f"{name}_total"} & set(declared))
    }
    assert undeclared == set()
