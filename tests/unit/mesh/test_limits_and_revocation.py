from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mesh.bus_entry import BusEntry
from mesh.config_security import LimitsConfig, NatsConfig
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from mesh.limits import CallClass, CallerLimits, TokenBucket, TooMuch, class_of
from mesh.revocation import MAX_ENTRIES, Revocation, RevocationList, Revocations, revoke
from mesh.roles import ROLE_TABLE, Role
from mesh.tokens import Verifier, mint_token

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()


@given(st.lists(st.floats(0, 5), max_size=200), st.floats(0.5, 20), st.integers(1, 30))
def test_a_bucket_gives_no_more_than_its_burst_and_its_rate(steps: list[float], per_s: float, burst: int) -> None:
    bucket, now_s, taken = TokenBucket(per_s, burst, 0.0), 0.0, 0
    for step in steps:
        now_s += step
        wait_s = bucket.take(now_s)
        if wait_s == 0:
            taken += 1
        else:
            # It keeps its word: at that time there is one.
            assert 0 < wait_s <= 1 / per_s + 1e-9
    assert taken <= burst + now_s * per_s + 1e-6


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1, 100.0)
    assert bucket.take(100.0) == 0
    assert bucket.take(50.0) == pytest.approx(1.0)


def test_calls_are_classed_by_form_and_verb() -> None:
    assert class_of("/trueframe.v1.EventService/ListEvents", is_stream=False) is CallClass.READ
    assert class_of("/trueframe.v1.EventService/AcknowledgeEvent", is_stream=False) is CallClass.CHANGE
    assert class_of("/trueframe.v1.EventService/WatchEvents", is_stream=True) is CallClass.STREAM


def test_what_only_some_roles_may_call_is_a_change_unless_it_says_that_it_reads() -> None:
    reading = [path for path in ROLE_TABLE if class_of(path, is_stream=False) is CallClass.READ]
    changing = ("Put", "Add", "Update", "Remove", "Delete", "Release", "Acknowledge", "Comment", "Shelve", "RollOut")
    assert not [path for path in reading if path.rpartition("/")[2].startswith(changing)]


def test_callers_are_limited_each_for_themselves_and_services_not() -> None:
    limits = CallerLimits(LimitsConfig(changes_per_s=1, changes_burst=1, max_streams=1))
    limits.admit("a", Role.VIEWER, CallClass.CHANGE, 0.0)
    with pytest.raises(TooMuch) as caught:
        limits.admit("a", Role.VIEWER, CallClass.CHANGE, 0.5)
    assert caught.value.retry_after_s == pytest.approx(0.5)
    limits.admit("a", Role.VIEWER, CallClass.READ, 0.5)
    limits.admit("b", Role.VIEWER, CallClass.CHANGE, 0.5)
    limits.admit("a", Role.VIEWER, CallClass.CHANGE, 1.6)
    limits.stream_opened("a", Role.VIEWER)
    with pytest.raises(TooMuch):
        limits.stream_opened("a", Role.VIEWER)
    limits.stream_closed("a")
    limits.stream_opened("a", Role.VIEWER)
    for _ in range(500):
        limits.admit("s", Role.SERVICE, CallClass.CHANGE, 1.6)
        limits.stream_opened("s", Role.SERVICE)


def test_remembered_callers_are_bounded() -> None:
    limits = CallerLimits(LimitsConfig())
    for number in range(20_000):
        limits.admit(f"n{number}", Role.VIEWER, CallClass.READ, 0.0)
    assert len(limits._buckets) <= 4096 * 3


def entry(token_id: str = "", user: str = "", before_s: int = 0, until_s: int = 10**10) -> Revocation:
    return Revocation(1, until_s, token_id=token_id, user=user, before_s=before_s)


def test_a_list_names_tokens_and_users() -> None:
    listed = RevocationList().with_entry(entry("t1"), 5.0).with_entry(entry(user="eve", before_s=100), 6.0)
    assert listed.revokes("t1", "anybody", 1e9)
    assert listed.revokes("t2", "eve", 100)
    assert not listed.revokes("t2", "eve", 101)
    assert not listed.revokes("", "olga", 0)


def test_what_has_ended_leaves_the_list_and_the_rest_is_bounded() -> None:
    listed = RevocationList().with_entry(entry("short", until_s=50), 5.0)
    assert [one.token_id for one in listed.with_entry(entry("long"), 60.0).entries] == ["long"]
    assert len(listed.with_entry(entry("short", until_s=70), 6.0).entries) == 1
    full = RevocationList(1, tuple(entry(f"t{number}") for number in range(MAX_ENTRIES)))
    with pytest.raises(ResourceExhausted):
        full.with_entry(entry("one more"), 5.0)
    assert len(full.encode(KEY)) < 1_000_000
    with pytest.raises(InvalidArgument):
        listed.with_entry(entry(), 5.0)


def test_a_list_that_nobody_would_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "revoked.jws"
    long = [Revocation(1, 10**10, token_id=f"t{number}", reason="\u00e9" * 128) for number in range(910)]
    known = revoke(path, KEY, entry("t"), RevocationList(1, tuple(long[:895])).encode(KEY))
    refusals = 0
    for one in long[895:]:
        try:
            known = revoke(path, KEY, one)
        except ResourceExhausted:
            refusals += 1
    assert refusals
    assert Revocations(path, [KEY.public_key()]).present == known


def test_a_list_is_believed_of_the_key_that_signs_tokens_alone() -> None:
    listed = RevocationList().with_entry(entry("t1"), 5.0)
    assert RevocationList.decode(listed.encode(KEY), [KEY.public_key()]) == listed
    changed = listed.encode(KEY)[:-6] + "AAAAAA"
    token = mint_token(KEY, "eve", "viewer")
    for text in (listed.encode(OTHER), changed, token, "", "x", "a.b.c"):
        with pytest.raises(FailedPrecondition):
            RevocationList.decode(text, [KEY.public_key()])
    # Nor does a list pass for a token.
    with pytest.raises(PermissionError):
        Verifier(KEY.public_key()).verify(listed.encode(KEY))


def test_a_file_that_goes_or_is_damaged_changes_nothing_that_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "revoked.jws"
    known = Revocations(path, [KEY.public_key()])
    assert not known.refresh()
    first = revoke(path, KEY, entry("t1"))
    assert known.refresh()
    assert known.present == first
    older = path.read_bytes()
    second = revoke(path, KEY, entry("t2"))
    assert known.refresh()
    path.write_bytes(older)
    assert not known.refresh()
    path.write_text("damaged")
    assert not known.refresh()
    path.unlink()
    assert not known.refresh()
    assert known.present == second
    assert not known.is_damaged


def test_a_revoked_token_is_refused_though_it_was_known_before(tmp_path: Path) -> None:
    path = tmp_path / "revoked.jws"
    known = Revocations(path, [KEY.public_key()])
    verifier = Verifier(KEY.public_key(), revocations=known)
    token, other = mint_token(KEY, "eve", "viewer"), mint_token(KEY, "eve", "viewer")
    revoke(path, KEY, entry(verifier.verify(token).token_id))
    verifier.verify(other)
    known.refresh()
    with pytest.raises(PermissionError, match="has been revoked"):
        verifier.verify(token)
    assert verifier.verify(other).name == "eve"
    revoke(path, KEY, entry(user="eve", before_s=int(time.time())))
    known.refresh()
    with pytest.raises(PermissionError, match="has been revoked"):
        verifier.verify(other)


def test_the_bus_is_entered_by_what_the_files_say_and_shows_no_secret(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("hunter2\n")
    entered = BusEntry(NatsConfig(user="trueframe", password_file=secret))
    assert entered.options() == {"user": "trueframe", "password": "hunter2"}
    assert "hunter2" not in repr(entered)
    with pytest.raises(InvalidArgument, match="in the clear"):
        BusEntry(NatsConfig(url="nats://10.0.0.3:4222", user="trueframe", password_file=secret))
    BusEntry(NatsConfig(url="tls://10.0.0.3:4222", user="trueframe", password_file=secret))
    BusEntry(NatsConfig(url="nats://10.0.0.3:4222"))
    with pytest.raises(NotFound):
        BusEntry(NatsConfig(ca_file=tmp_path / "ca.crt"))
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(FailedPrecondition, match="ca_file"):
        BusEntry(NatsConfig(ca_file=tmp_path / "ca.crt"))
    secret.chmod(0o644)
    with pytest.raises(PermissionDenied):
        BusEntry(NatsConfig(credentials_file=secret))
