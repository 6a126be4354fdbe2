from pathlib import Path

import pytest

from mesh.metrics import counter_family, declared, gauge
from mesh.metrics_reference import all_declared, reference

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_is_what_the_code_declares() -> None:
    page = ROOT / "docs/reference/metrics.md"
    assert page.read_text() == reference(), f"run: python -m mesh.metrics_reference {page}"


def test_every_metric_has_the_prefix_a_sentence_and_words_for_labels() -> None:
    metrics = all_declared()
    assert len(metrics) > 80
    for name, metric in metrics.items():
        assert name.startswith("trueframe_"), name
        assert metric.doc.endswith("."), name
        assert metric.doc[0].isupper() or metric.doc[0].isdigit(), name
        assert all(label.isidentifier() and label != "le" for label in metric.labels), name


def test_only_declared_families_are_collected() -> None:
    """Nobody makes rows past the declarations: they would be missing in the reference."""
    makers = [
        path
        for package in ("aggregate", "broker", "detector_pool", "event_center", "media_center", "mesh")
        for path in (ROOT / package).rglob("*.py")
        if "MetricFamily(" in path.read_text()
    ]
    assert makers == [ROOT / "mesh/metrics.py"]


def test_a_name_is_declared_by_one_module_only() -> None:
    taken = next(name for name, metric in declared().items() if metric.kind == "gauge")
    with pytest.raises(ValueError, match="is declared by"):
        gauge(taken.removeprefix("trueframe_"), "Another.")


def test_a_declared_family_gives_rows_with_its_labels_or_one_value() -> None:
    rows = counter_family("test_rows", "Rows of a test.", ("camera",))
    filled, alone = rows(), counter_family("test_alone", "Alone.")(3)
    filled.add_metric(["gate"], 2)
    assert [(s.name, s.labels, s.value) for s in filled.samples] == [
        ("trueframe_test_rows_total", {"camera": "gate"}, 2)
    ]
    assert [(s.name, s.labels, s.value) for s in alone.samples] == [("trueframe_test_alone_total", {}, 3)]
