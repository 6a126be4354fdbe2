import pytest

from mesh.errors import Conflict, Unavailable
from mesh.metrics import REGISTRY
from mesh.store_metrics import measured


def value(name: str, operation: str) -> float:
    return REGISTRY.get_sample_value(name, {"collection": "measured", "operation": operation}) or 0.0


def test_an_operation_is_measured_and_one_that_the_store_could_not_do_counts_as_failure() -> None:
    with pytest.raises(Unavailable), measured("measured", "put"):
        raise Unavailable("store", "is away")
    with measured("measured", "put"):
        pass
    assert value("trueframe_store_seconds_count", "put") == 2
    assert value("trueframe_store_failures_total", "put") == 1


def test_an_answer_that_is_an_error_is_no_failure_of_the_store() -> None:
    with pytest.raises(Conflict), measured("measured", "delete"):
        raise Conflict("things 1", "was changed meanwhile")
    assert value("trueframe_store_seconds_count", "delete") == 1
    assert value("trueframe_store_failures_total", "delete") == 0
