"""Secrets sealed on the disk: opened by their key for their owner, and by nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition
from mesh.secrets_at_rest import PREFIX, SealingKeys, SecretLocked, is_sealed


@pytest.fixture
def keys(tmp_path: Path) -> SealingKeys:
    made = SealingKeys(tmp_path / "keys" / "credentials.key")
    made.make_if_absent()
    return made


def test_a_key_is_made_once_for_its_user_alone(keys: SealingKeys) -> None:
    assert keys.path.stat().st_mode & 0o777 == 0o600
    before = keys.path.read_bytes()
    keys.make_if_absent()
    assert keys.path.read_bytes() == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(secret=st.text())
def test_any_secret_comes_back_and_is_not_seen_meanwhile(keys: SealingKeys, secret: str) -> None:
    sealed = keys.seal(secret, "camera gate")
    assert is_sealed(sealed)
    assert keys.open(sealed, "camera gate") == secret
    assert len(secret) < 4 or secret not in sealed
    assert keys.seal(secret, "camera gate") != sealed, "a nonce is never used twice"


def test_what_was_sealed_for_one_camera_opens_for_no_other(keys: SealingKeys) -> None:
    with pytest.raises(SecretLocked, match="damaged or was changed"):
        keys.open(keys.seal("rtsp://u:hidden@h/", "camera gate"), "camera yard")


def test_every_changed_byte_is_noticed(keys: SealingKeys) -> None:
    head, _, text = keys.seal("rtsp://u:hidden@h/", "camera gate").rpartition(":")
    data = base64.b64decode(text)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(SecretLocked) as caught:
            keys.open(f"{head}:{base64.b64encode(bytes(changed)).decode()}", "camera gate")
        assert "hidden" not in str(caught.value)
    for broken in (f"{head}:", f"{head}:%%%", PREFIX, f"{PREFIX}x:AAAA"):
        with pytest.raises(SecretLocked):
            keys.open(broken, "camera gate")


def test_after_a_rotation_what_was_sealed_opens_until_the_former_key_is_dropped(keys: SealingKeys) -> None:
    sealed = keys.seal("secret", "camera gate")
    other = SealingKeys(keys.path)
    new = other.rotate()
    assert keys.ids[0] == new, "another process takes the new key up"
    assert keys.open(sealed, "camera gate") == "secret"
    assert not keys.is_current(sealed)
    keys.keep_first()
    with pytest.raises(SecretLocked, match="which is not in"):
        keys.open(sealed, "camera gate")


def test_a_key_that_is_missing_open_to_others_or_no_key_is_told_with_its_remedy(keys: SealingKeys) -> None:
    sealed = keys.seal("secret", "camera gate")
    keys.path.chmod(0o644)
    with pytest.raises(SecretLocked, match="chmod 600"):
        SealingKeys(keys.path).open(sealed, "camera gate")
    keys.path.chmod(0o600)
    for nonsense in ("", "not a key\n", "abcd\n"):
        keys.path.write_text(nonsense)
        with pytest.raises(FailedPrecondition, match="is no key"):
            keys.open(sealed, "camera gate")
    keys.path.unlink()
    with pytest.raises(SecretLocked, match=r"does not exist.*Put it back"):
        keys.seal("secret", "camera gate")


def test_a_lost_key_is_set_aside_and_another_begins(keys: SealingKeys) -> None:
    keys.path.write_text("damaged")
    keys.rotate(is_lost=True)
    assert keys.open(keys.seal("secret", "x"), "x") == "secret"
    assert [path.read_text() for path in keys.path.parent.glob("*.set-aside-*")] == ["damaged"]


def test_keys_show_nothing_of_themselves(keys: SealingKeys) -> None:
    hidden = [line for line in keys.path.read_text().splitlines() if not line.startswith("#")]
    assert hidden
    assert not any(line in repr(keys) or line in keys.ids for line in hidden)
