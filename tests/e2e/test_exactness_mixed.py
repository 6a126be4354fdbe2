"""Law 3 over mixed cameras whose parameter sets change in mid-connection, with audio beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.exactness_100k import CHANGES, UNITS, measure
from tests.exactness_sources import FEW, SIMULATED


@pytest.mark.timeout(120)
def test_changing_parameter_sets_and_audio_beside_make_no_difference_between_sender_and_exported_pixels(
    tmp_path: Path,
) -> None:
    result = measure(tmp_path, 1_500, FEW, seed=1, changes=2)
    assert result["differences_by_place"] == dict.fromkeys(("sent", "index", "replay", "export", "pictures"), 0)
    assert result["damaged"] == 0
    assert result["pictures_compared"] == result["units"] >= 1_500
    assert set(result["units_by_codec"]) == {"h264", "h265", "mjpeg"}
    cameras = result["cameras"]
    for resized in ("cam-1", "cam-4"):
        # Another size is another epoch on the same connection; nothing is lost at the change.
        assert cameras[resized]["epochs"] == 3
        assert cameras[resized]["parameter_set_changes"] == 2
        assert not cameras[resized]["gaps_told"]
        assert cameras[resized]["audio_packets"] > 0
    assert cameras["cam-7"]["codecs"].keys() == {"h264", "h265"}
    # Other sets of the same size stay within the epoch.
    assert cameras["film-1"]["epochs"] == 1
    assert cameras["film-1"]["parameter_set_changes"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_units_of_mixed_cameras_are_the_same_everywhere(tmp_path: Path) -> None:
    result = measure(tmp_path, UNITS, tuple(SIMULATED), seed=1, changes=CHANGES)
    assert result["units"] >= UNITS
    assert result["differences_by_place"] == dict.fromkeys(("sent", "index", "replay", "export", "pictures"), 0)
    assert result["pictures_compared"] == result["units"]
