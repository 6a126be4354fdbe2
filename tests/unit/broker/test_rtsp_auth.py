"""Authentication against the worked examples of the RFCs."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from broker.rtsp.auth import Authenticator, Credentials, parse_challenges

RFC2617 = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", '
    'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def mufasa(password: str = "Circle Of Life") -> Authenticator:
    return Authenticator(Credentials("Mufasa", password), client_nonce=lambda: "0a4f113b")


def test_the_example_of_rfc_2617_gives_its_answer() -> None:
    authenticator = mufasa()
    assert authenticator.accept([RFC2617])
    header = authenticator.header("GET", "/dir/index.html")
    assert header is not None
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    assert "nc=00000001" in header
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in header


def test_the_example_of_rfc_7616_gives_its_answer_with_sha_256() -> None:
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    authenticator = Authenticator(
        Credentials("Mufasa", "Circle of Life"), client_nonce=lambda: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    )
    assert authenticator.accept([challenge.format("MD5"), challenge.format("SHA-256")])
    header = authenticator.header("GET", "/dir/index.html")
    assert header is not None
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in header


def test_a_challenge_without_qop_gets_the_old_answer() -> None:
    authenticator = mufasa("CircleOfLife")
    assert authenticator.accept(['Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'])
    header = authenticator.header("GET", "/dir/index.html")
    assert header is not None
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in header
    assert "nc=" not in header


def test_the_nonce_count_grows_with_each_request() -> None:
    authenticator = mufasa()
    authenticator.accept([RFC2617])
    assert "nc=00000001" in (authenticator.header("OPTIONS", "*") or "")
    assert "nc=00000002" in (authenticator.header("OPTIONS", "*") or "")


def test_basic_is_answered_only_when_nothing_better_is_offered() -> None:
    authenticator = mufasa()
    assert authenticator.accept(['Basic realm="x"', RFC2617])
    assert (authenticator.header("GET", "/") or "").startswith("Digest ")
    other = mufasa()
    assert other.accept(['Basic realm="x"'])
    assert other.header("GET", "/") == "Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl"


def test_a_second_refusal_of_the_same_credentials_is_final() -> None:
    authenticator = mufasa()
    assert authenticator.accept([RFC2617])
    assert not authenticator.accept([RFC2617.replace("dcd98", "aaaaa")])


def test_a_stale_nonce_is_answered_again() -> None:
    authenticator = mufasa()
    assert authenticator.accept([RFC2617])
    assert authenticator.accept([RFC2617 + ", stale=TRUE"])


def test_a_new_nonce_after_success_is_answered() -> None:
    authenticator = mufasa()
    authenticator.accept([RFC2617])
    authenticator.accepted()
    assert authenticator.accept([RFC2617.replace("dcd98", "aaaaa")])


def test_an_unknown_scheme_is_not_answered() -> None:
    assert not mufasa().accept(["Negotiate", 'Digest realm="x", nonce="y", algorithm=SHA-512-256'])


def test_credentials_do_not_show_in_repr() -> None:
    credentials = Credentials("Mufasa", "Circle")
    assert "Mufasa" not in repr(credentials)
    assert "Circle" not in repr(credentials)
    assert "Circle" not in repr(Authenticator(credentials))


def test_quoted_commas_and_escapes_are_read() -> None:
    (challenge,) = parse_challenges(r'Digest realm="a, \"b\" c",nonce=abc , stale=FALSE')
    assert challenge.parameters == {"realm": 'a, "b" c', "nonce": "abc", "stale": "FALSE"}


def test_several_challenges_may_share_one_header() -> None:
    found = parse_challenges('Negotiate, Basic realm="a, b", Digest realm="x" nonce="n", qop="auth", Custom')
    assert [(challenge.scheme, challenge.parameters) for challenge in found] == [
        ("negotiate", {}),
        ("basic", {"realm": "a, b"}),
        ("digest", {"realm": "x", "nonce": "n", "qop": "auth"}),
        ("custom", {}),
    ]


def test_a_server_that_offers_both_in_one_header_gets_the_stronger_answer() -> None:
    authenticator = mufasa()
    assert authenticator.accept([f'Basic realm="x", {RFC2617}'])
    assert (authenticator.header("GET", "/") or "").startswith("Digest ")


@given(st.text(alphabet='DigestBasc realmnonce="\\,= ;', max_size=80))
def test_any_challenge_is_read_or_passed_over(text: str) -> None:
    authenticator = mufasa()
    authenticator.accept([text])
    authenticator.header("GET", "/")


def test_the_next_nonce_is_used_and_counted_from_one() -> None:
    authenticator = mufasa()
    authenticator.accept([RFC2617])
    authenticator.header("DESCRIBE", "/")
    authenticator.accepted('nextnonce="fresh", qop=auth, rspauth="x"')
    header = authenticator.header("SETUP", "/") or ""
    assert 'nonce="fresh"' in header
    assert "nc=00000001" in header


def test_integrity_protection_alone_is_answered_for_an_empty_body() -> None:
    authenticator = mufasa()
    assert authenticator.accept([RFC2617.replace('qop="auth,auth-int"', 'qop="auth-int"')])
    header = authenticator.header("GET", "/dir/index.html") or ""
    ha1, empty = md5(b"Mufasa:testrealm@host.com:Circle Of Life"), md5(b"")
    ha2 = md5(f"GET:/dir/index.html:{empty}".encode())
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    assert md5(f"{ha1}:{nonce}:00000001:0a4f113b:auth-int:{ha2}".encode()) in header
    assert "qop=auth-int" in header
