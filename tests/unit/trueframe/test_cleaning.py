import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe.doctor.cleaning import Cleaner, forms_of

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs")), min_size=8, max_size=40)


@given(SECRETS, st.binary(max_size=20), st.binary(max_size=20))
def test_a_known_secret_is_taken_out_of_every_form_whatever_stands_around_it(
    secret: str, before: bytes, after: bytes
) -> None:
    whole = before + secret.encode() + after
    texts = [
        f"login failed for {secret}!",
        json.dumps({"a": secret}),
        f"http://10.0.0.1/?x={quote(secret, safe='')}",
        base64.b64encode(whole).decode(),
        base64.urlsafe_b64encode(whole).decode(),
        secret.encode().hex(),
    ]
    cleaner = Cleaner([secret])
    for text in texts:
        cleaned = cleaner.text(text)
        assert not any(form in cleaned for form in forms_of(secret)), text


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:pass-w0rd@cam/live",
        base64.b64encode(b"rtsp://admin:pass-w0rd@cam/live").decode(),
        "x" + base64.b64encode(b"rtsp://admin:pass-w0rd@cam/live").decode(),
        base64.urlsafe_b64encode("source = rtsp://ü:pass-w0rd@cam/live".encode()).decode(),
        "http://cam/cgi?user=admin&password=pass-w0rd",
        "Authorization: Basic YWRtaW46cGFzcy13MHJk",
        "-----BEGIN PRIVATE KEY-----\npass-w0rd\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\npass-w0rd, and the log was cut",
    ],
)
def test_credentials_that_nobody_knew_of_are_taken_out_too(text: str) -> None:
    cleaned = Cleaner([]).text(f"camera said {text}")
    assert "pass-w0rd" not in cleaned
    assert "cGFzcy13MHJk" not in cleaned
    assert base64.b64encode(b"pass-w0rd").decode()[:11] not in cleaned
    assert cleaned.startswith("camera said ")


def test_what_stands_under_the_name_of_a_secret_is_hidden_and_the_rest_is_told() -> None:
    cleaned = Cleaner([]).value(
        {"password": "abc", "token_file": "/k/t", "deep": [{"api_key": "z"}], "n": 3, "empty": {"secret": ""}}
    )
    assert cleaned == {
        "password": "***", "token_file": "/k/t", "deep": [{"api_key": "***"}], "n": 3, "empty": {"secret": ""},
    }  # fmt: skip


def test_addresses_have_stand_ins_that_tell_two_apart_and_this_machine_keeps_its_own() -> None:
    cleaner = Cleaner([], ["cam7.site", "gate-cam"])
    first = cleaner.text("camera at 10.0.0.7:554: refused; rtsp://10.0.0.7/live; rtsp://10.0.0.8/live; 127.0.0.1:4222")
    assert first == "camera at address-1:554: refused; rtsp://address-1/live; rtsp://address-2/live; 127.0.0.1:4222"
    second = cleaner.text("gate-cam: no route; CAM7.site is away; [2001:db8::7]:554, fe80::1; unix:/run/x; 12:30:45")
    for address in ("gate-cam", "cam7", "CAM7", "2001", "fe80"):
        assert address not in second
    assert "unix:/run/x" in second
    assert "12:30:45" in second


def test_addresses_stay_where_they_were_asked_for_and_secrets_do_not() -> None:
    cleaner = Cleaner(["geheim"], ["cam7.site"], keeps_addresses=True)
    assert cleaner.text("rtsp://u:geheim@cam7.site/live at 10.0.0.7") == "rtsp://cam7.site/live at 10.0.0.7"


def test_logs_of_a_sound_system_stay_as_they_are() -> None:
    line = (
        "2026-11-20T16:04:21.162Z info    broker broker.owner: camera state camera=cam-1 state=live "
        "digest=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 /srv/trueframe/media/cam-1 fps=9.99"
    )
    assert Cleaner(["some-other-secret"]).text(line) == line
