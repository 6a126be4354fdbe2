"""What recorded pictures say when the archive fails in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from detector_pool.reinspect import recorded_pictures
from media_center.client import SyncFootageClient
from mesh.errors import Unavailable
from mesh.ids import FrameId


class _GoesAway:
    """A media center that ends in the middle of an answer."""

    def replay(self, *_: object, **__: object) -> Iterator[object]:
        yield from ()
        raise Unavailable("media center", "went away")


def test_footage_that_cannot_be_read_to_its_end_is_not_taken_for_all_there_is() -> None:
    pictures = recorded_pictures(
        cast(SyncFootageClient, _GoesAway()), "gate", FrameId("gate", 1, 0), FrameId("gate", 1, 99), None
    )
    with pytest.raises(Unavailable, match="went away"):
        list(pictures)
