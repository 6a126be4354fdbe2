"""What the reason of a gap says of ids, and of the end of an epoch. Pure."""

from __future__ import annotations

from trueframe.v1 import frames_pb2

TAKES_IDS = frozenset(
    {
        frames_pb2.GAP_REASON_RECORDER_LOST,
        frames_pb2.GAP_REASON_NOT_RECORDED,
        frames_pb2.GAP_REASON_OVERRUN,
        frames_pb2.GAP_REASON_EXPIRED,
        frames_pb2.GAP_REASON_UNREADABLE,
    }
)
"""Gaps whose frames had ids, so that their counts explain ids that are missing."""

_BEFORE_MINTING = frozenset(
    {
        frames_pb2.GAP_REASON_NETWORK_LOSS,
        frames_pb2.GAP_REASON_BEFORE_PARAMETER_SETS,
        frames_pb2.GAP_REASON_REFUSED,
    }
)


def may_hide_an_end(gap: frames_pb2.Gap) -> bool:
    """Whether a gap also stands for the end of an epoch that nothing else tells.

    One between camera and broker does not: both went on, and so did the epoch.
    """
    return gap.reason not in _BEFORE_MINTING
