"""Keys that sign footage: made once, handed over, followed from any pinned one, never taken on faith."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import media_center.keys as keys_module
from media_center.keys import (
    KEY_NAME,
    PUBLIC_NAME,
    RING_NAME,
    FootageSigner,
    KeyRing,
    RingKey,
    TrustedKeys,
    is_signed,
    key_id_of,
    read_trusted,
    rotate,
)
from mesh.errors import FailedPrecondition, NotFound, PermissionDenied
from mesh.tokens import load_public_key

MINUTE = 60 * 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def ring(folder: Path) -> KeyRing:
    return KeyRing.read(folder / RING_NAME)


def test_the_first_start_makes_a_key_that_later_starts_use(folder: Path) -> None:
    first = FootageSigner.of_folder(folder, 7)
    again = FootageSigner.of_folder(folder, 8)
    assert first.key_id == again.key_id == key_id_of(load_public_key(folder / PUBLIC_NAME))
    assert (folder / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [(entry.id, entry.from_ns, entry.predecessor) for entry in ring(folder).keys] == [(first.key_id, 7, b"")]


def test_a_key_that_others_can_read_is_refused(folder: Path) -> None:
    FootageSigner.of_folder(folder, 7)
    (folder / KEY_NAME).chmod(0o644)
    with pytest.raises(PermissionDenied):
        FootageSigner.of_folder(folder, 8)


def test_the_key_id_and_the_signature_are_always_of_one_key(folder: Path) -> None:
    signer = FootageSigner.of_folder(folder, 7)
    old = signer.key_id
    entry = rotate(folder, 8)
    key_id, signature = signer.sign(lambda key_id: b"over " + key_id)
    assert key_id == entry.id != old
    assert is_signed(entry.key, signature, b"over " + key_id)


def test_a_pinned_key_is_followed_to_those_after_and_before_it(folder: Path) -> None:
    FootageSigner.of_folder(folder, 1)
    entries = [ring(folder).keys[0], rotate(folder, 2), rotate(folder, 3)]
    for pinned in entries:
        trusted = TrustedKeys([pinned.key], [ring(folder)])
        assert all(trusted.get(entry.id) is not None for entry in entries)
    alone = TrustedKeys([entries[1].key])
    assert [alone.get(entry.id) is not None for entry in entries] == [False, True, False]


def test_a_ring_leads_nowhere_from_a_key_that_it_does_not_hold(folder: Path) -> None:
    FootageSigner.of_folder(folder, 1)
    stranger = FootageSigner.generate()
    trusted = TrustedKeys([stranger.public_key], [ring(folder)])
    assert trusted.get(ring(folder).keys[0].id) is None


def test_a_key_that_nobody_handed_over_to_cannot_be_put_into_a_ring(folder: Path) -> None:
    FootageSigner.of_folder(folder, 1)
    thief = Ed25519PrivateKey.generate()
    forged = RingKey.following(thief, Ed25519PrivateKey.generate(), 2)
    first = ring(folder).keys[0]
    claimed = RingKey(forged.key, 2, first.id, forged.handed_over, forged.taken_over)
    for entry in (forged, claimed):
        (folder / RING_NAME).write_bytes(ring(folder).with_key(entry).encode())
        with pytest.raises(FailedPrecondition):
            ring(folder)
        (folder / RING_NAME).write_bytes(KeyRing((first,)).encode())


def test_another_line_of_keys_in_a_ring_is_not_believed_by_whom_pinned_the_first(folder: Path) -> None:
    FootageSigner.of_folder(folder, 1)
    first = ring(folder).keys[0]
    other = RingKey.begun(Ed25519PrivateKey.generate(), 2)
    (folder / RING_NAME).write_bytes(ring(folder).with_key(other).encode())
    trusted = read_trusted([folder / PUBLIC_NAME, folder / RING_NAME])
    assert trusted.get(first.id) is not None
    assert trusted.get(other.id) is None


def test_a_key_counts_no_more_when_it_has_handed_over(folder: Path) -> None:
    FootageSigner.of_folder(folder, 0)
    old = ring(folder).keys[0]
    new = rotate(folder, 100 * MINUTE)
    trusted = read_trusted([folder / RING_NAME])
    assert not trusted.is_retired(old.id, 105 * MINUTE), "what was under way is still signed with it"
    assert trusted.is_retired(old.id, 111 * MINUTE)
    assert not trusted.is_retired(new.id, 10_000 * MINUTE)


@pytest.mark.parametrize("step", ["write_private", "write_atomic", "write_public_key"])
def test_a_rotation_that_a_crash_cuts_short_leaves_one_key_in_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    FootageSigner.of_folder(folder, 1)
    with monkeypatch.context() as patched:
        patched.setattr(keys_module, step, _crash)
        with pytest.raises(ZeroDivisionError):
            rotate(folder, 2)
    signer = FootageSigner.of_folder(folder, 3)
    assert ring(folder).keys[-1].id == signer.key_id == key_id_of(load_public_key(folder / PUBLIC_NAME))
    assert not list(folder.glob("*.next"))
    assert rotate(folder, 4).predecessor == signer.key_id


def _crash(*_: object) -> None:
    raise ZeroDivisionError


def test_a_key_put_there_by_hand_begins_a_line_of_its_own(folder: Path) -> None:
    FootageSigner.of_folder(folder, 1)
    (folder / KEY_NAME).unlink()
    (folder / PUBLIC_NAME).unlink()
    signer = FootageSigner.of_folder(folder, 2)
    assert [entry.predecessor for entry in ring(folder).keys] == [b"", b""]
    assert ring(folder).keys[-1].id == signer.key_id


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"form": "trueframe-footage-keys-1"}', '{"form": "trueframe-footage-keys-1", "keys": [1]}',
     '{"form": "trueframe-footage-keys-1", "keys": [{"key": "AA==", "from_ns": Infinity}]}', "[" * 5000],
)  # fmt: skip
def test_what_is_no_ring_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ring.json"
    path.write_text(text)
    with pytest.raises(FailedPrecondition):
        KeyRing.read(path)


def test_whose_signature_is_believed_is_said_by_files_that_exist(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFound):
        read_trusted([tmp_path / "absent"])
    with pytest.raises(FailedPrecondition):
        read_trusted([tmp_path])
    FootageSigner.of_folder(folder, 1)
    with pytest.raises(FailedPrecondition):
        read_trusted([folder / KEY_NAME])
    assert json.loads((folder / RING_NAME).read_text())["keys"]
