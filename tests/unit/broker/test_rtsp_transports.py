"""Transport headers as servers write them, and the order in which transports are tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rtsp.transports import Agreed, agreed, datagrams, interleaved, ways_to_try
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_UNSPECIFIED


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1", Agreed(True, (0, 1))),
        ("RTP/AVP/TCP;interleaved=4-5;ssrc=1234ABCD", Agreed(True, (4, 5))),
        ("RTP/AVP/TCP;interleaved=2", Agreed(True, (2, 3))),
        ("RTP/AVP/TCP;interleaved=900-901", Agreed(True)),
        ("RTP/AVP/TCP;interleaved=", Agreed(True)),
        ("interleaved=0-1", Agreed(True, (0, 1))),
        (
            "RTP/AVP;unicast;client_port=4588-4589;server_port=6256-6257",
            Agreed(False, server_ports=(6256, 6257)),
        ),
        ("RTP/AVP/UDP; unicast; SERVER_PORT = 6256", Agreed(False, server_ports=(6256, 6257))),
        ("RTP/AVP;source=10.0.0.9;server_port=0-0", Agreed(False, source="10.0.0.9")),
        ("RTP/AVP;source=cam.example", Agreed(False)),
        ("RTP/AVP;source=0.0.0.0", Agreed(False)),
        ("RTP/AVP;source=239.1.2.3", Agreed(False)),
        ('RTP/AVP;source="[fe80::1]"', Agreed(False, source="fe80::1")),
        ("RTP/AVP;server_port=70000", Agreed(False)),
        ("RTP/AVP;client_port=1-2,RTP/AVP/TCP;interleaved=0-1", Agreed(False)),
        ("", Agreed()),
    ],
)
def test_an_answer_is_read_as_far_as_it_makes_sense(header: str, expected: Agreed) -> None:
    assert agreed(header) == expected


@given(st.text(alphabet='RTP/AVPUDTCinterleaved_source=0123456789-;., "[]:', max_size=80))
def test_any_answer_gives_bounded_values(header: str) -> None:
    found = agreed(header)
    assert found.channels is None or all(0 <= channel <= 255 for channel in found.channels)
    assert found.server_ports is None or all(0 < port <= 65535 for port in found.server_ports)


def test_what_is_asked_for_is_what_the_standard_says() -> None:
    assert interleaved(2) == "RTP/AVP/TCP;unicast;interleaved=2-3"
    assert datagrams((5000, 5001)) == "RTP/AVP;unicast;client_port=5000-5001"


@pytest.mark.parametrize(
    ("wish", "worked", "expected"),
    [
        (TRANSPORT_UNSPECIFIED, "", ("tcp", "udp")),
        (TRANSPORT_UNSPECIFIED, "tcp", ("tcp", "udp")),
        (TRANSPORT_UNSPECIFIED, "udp", ("udp", "tcp")),
        (TRANSPORT_UDP, "", ("udp", "tcp")),
        (TRANSPORT_UDP, "tcp", ("tcp", "udp")),
        (TRANSPORT_TCP, "", ("tcp",)),
        (TRANSPORT_TCP, "udp", ("tcp",)),
    ],
)
def test_what_worked_is_tried_first_and_tcp_alone_stays_alone(
    wish: int, worked: str, expected: tuple[str, ...]
) -> None:
    assert ways_to_try(wish, worked) == expected  # type: ignore[arg-type]


def test_where_tcp_gives_nothing_time_and_again_udp_is_tried_first() -> None:
    assert ways_to_try(TRANSPORT_UNSPECIFIED, "", waits_in_vain=2) == ("tcp", "udp")
    assert ways_to_try(TRANSPORT_UNSPECIFIED, "", waits_in_vain=3) == ("udp", "tcp")
    assert ways_to_try(TRANSPORT_UNSPECIFIED, "tcp", waits_in_vain=3) == ("tcp", "udp")
    assert ways_to_try(TRANSPORT_TCP, "", waits_in_vain=9) == ("tcp",)
    assert ways_to_try(TRANSPORT_UDP, "", waits_in_vain=9) == ("udp", "tcp")
