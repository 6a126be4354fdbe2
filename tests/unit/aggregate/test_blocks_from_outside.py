"""Checkpoints in blocks: taken where they fit, refused where they lie."""

from __future__ import annotations

import hashlib

import pytest

from aggregate.errors import BadVerdicts
from aggregate.wire import checkpoint_from_proto, checkpoint_to_proto, verdict_to_proto, verdicts_from_proto
from trueframe.v1.frames_pb2 import FrameId
from trueframe.v1.inspection_pb2 import NO_VERDICT_REASON_THINNED, Checkpoint, Verdict, VerdictBlock


def block(*, received_ns: int = 5, after: int = 9, reason: int = 0, detector: str = "motion@1") -> VerdictBlock:
    said = Verdict(id=FrameId(camera="gate", epoch=1, seq=9), received_ns=received_ns, score=0.5)
    if reason:
        said.reason, said.score, said.count = NO_VERDICT_REASON_THINNED, 0.0, 1
    state = Checkpoint(
        after=FrameId(camera="gate", epoch=1, seq=after),
        detector=detector,
        state=b"state",
        digest=hashlib.sha256(b"state").digest(),
    )
    return VerdictBlock(number=1, inspection="gate.motion", detector="motion@1", verdicts=[said], checkpoint=state)


def test_a_checkpoint_comes_and_goes_as_it_is() -> None:
    taken = checkpoint_from_proto("gate", block())
    assert taken is not None
    sent = checkpoint_to_proto(taken)
    assert (sent.state, sent.after.seq, sent.received_ns) == (b"state", 9, 5)


def test_a_block_of_holes_whose_times_nobody_knows_has_no_checkpoint_and_is_no_fault() -> None:
    assert checkpoint_from_proto("gate", block(received_ns=0, reason=1)) is None
    known = block(received_ns=0, reason=1)
    known.checkpoint.received_ns = 7
    taken = checkpoint_from_proto("gate", known)
    assert taken is not None
    assert taken.received_ns == 7


def test_a_checkpoint_of_something_else_is_refused() -> None:
    for bad in (block(after=8), block(detector="signal@1")):
        with pytest.raises(BadVerdicts):
            checkpoint_from_proto("gate", bad)
    with pytest.raises(BadVerdicts):
        checkpoint_from_proto("yard", block())
    broken = block()
    broken.checkpoint.state = b"other"
    with pytest.raises(BadVerdicts):
        checkpoint_from_proto("gate", broken)


def test_verdicts_come_and_go_as_they_are() -> None:
    for one in (block(), block(reason=1)):
        (verdict,) = verdicts_from_proto("gate", one)
        again = VerdictBlock(verdicts=[verdict_to_proto(verdict)])
        assert verdicts_from_proto("gate", again) == [verdict]
