from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.redact import redact, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:secret@10.0.0.7:554/live", "rtsp://10.0.0.7:554/live"),
        ("rtsp://admin@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:se@cret@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:se/cret@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:se?cr#et@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:1234/x@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:se@c/ret@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:secret@10.0.0.7/live@home", "rtsp://10.0.0.7/live@home"),
        ("rtsp://admin:secret@gate-cam/live", "rtsp://gate-cam/live"),
        ("rtsp://[fe80::1]/live@home", "rtsp://[fe80::1]/live@home"),
        ("rtsp://10.0.0.7:554/live@home", "rtsp://10.0.0.7:554/live@home"),
        ("rtsp://[::1]:8554/a@b", "rtsp://[::1]:8554/a@b"),
        ("http://cam/mjpg?user=admin&password=secret&channel=1", "http://cam/mjpg?user=***&password=***&channel=1"),
        ("http://cam/x?channel=1&Token=abc#part", "http://cam/x?channel=1&Token=***#part"),
        ("http://cam/x?usr=admin&pwd=a%26b;auth=1", "http://cam/x?usr=***&pwd=***;auth=***"),
        ("/videos/gate@home.mp4", "/videos/gate@home.mp4"),
        ("file:///videos/a@b.mp4", "file:///videos/a@b.mp4"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    assert redact_url(url) == shown


printable = st.characters(min_codepoint=33, max_codepoint=126)
# Both at once cannot be told from a host and a path: such a URL connects nowhere either.
passwords = st.one_of(
    st.text(printable.filter(lambda c: c != "@"), min_size=6, max_size=20),
    st.text(printable.filter(lambda c: c not in "/?#"), min_size=6, max_size=20),
).map(lambda text: f"Zq{text}qZ")


@settings(max_examples=500)
@given(passwords)
def test_no_password_of_any_shape_is_left(password: str) -> None:
    shown = redact_url(f"rtsp://admin:{password}@192.168.1.9:554/stream")
    assert shown == "rtsp://192.168.1.9:554/stream"


TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("opening rtsp://a:b@cam/x?token=t1 now", "opening rtsp://cam/x?token=*** now"),
        (f"sent Bearer {TOKEN} to x", "sent Bearer *** to x"),
        (f"token={TOKEN}", "token=***"),
        ('Authorization: Digest username="a", response="0011"\nCSeq: 3', "Authorization: ***\nCSeq: 3"),
        ("{'authorization': 'Basic YWRtaW46c2VjcmV0'}", "{'authorization': ***"),
        ("Basic YWRtaW46c2VjcmV0", "Basic ***"),
        ("two cameras at 5 fps: gate, yard", "two cameras at 5 fps: gate, yard"),
        ("digest differs from the index; basic settings; bearer missing",
         "digest differs from the index; basic settings; bearer missing"),
    ],
)  # fmt: skip
def test_free_text_loses_credentials_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown
