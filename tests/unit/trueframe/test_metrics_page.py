from trueframe.metrics import merge_pages

ONE = """# HELP up_seconds Since when.
# TYPE up_seconds gauge
up_seconds 3.5
# HELP calls Calls.
# TYPE calls counter
calls_total{method="/a",status="OK"} 2.0
calls_total{method="}",status="{"} 1.0
"""


def test_samples_of_services_are_told_apart_and_heads_stand_once() -> None:
    page = merge_pages({"broker": ONE, "media_center": ONE})
    assert page.count("# TYPE up_seconds gauge") == 1
    assert 'up_seconds{service="broker"} 3.5' in page
    assert 'calls_total{service="media_center",method="/a",status="OK"} 2.0' in page
    assert 'calls_total{service="broker",method="}",status="{"} 1.0' in page


def test_samples_of_one_metric_stand_together_as_the_format_demands() -> None:
    lines = merge_pages({"broker": ONE, "media_center": ONE}).splitlines()
    calls = [number for number, line in enumerate(lines) if line.startswith("calls_total")]
    assert calls == list(range(calls[0], calls[0] + 4))
