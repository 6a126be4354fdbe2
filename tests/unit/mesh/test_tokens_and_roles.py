from __future__ import annotations

import importlib
import pkgutil
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from google.protobuf.descriptor import FileDescriptor
from hypothesis import given
from hypothesis import strategies as st

import trueframe.v1
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from mesh.roles import ROLE_TABLE, Role, roles_for
from mesh.security import current_principal, principal_of
from mesh.tokens import (
    Principal,
    Verifier,
    create_signing_key,
    load_public_key,
    load_signing_key,
    mint_token,
    write_public_key,
)

KEY = Ed25519PrivateKey.generate()
VERIFIER = Verifier(KEY.public_key())


def rpcs_of_the_stubs() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(trueframe.v1.__path__):
        if module.name.endswith("_pb2"):
            file: FileDescriptor = importlib.import_module(f"trueframe.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                found |= {f"/{service.full_name}/{method.name}" for method in service.methods}
    return found


def test_every_rpc_has_a_row_in_the_role_table_and_no_row_is_left_over() -> None:
    rpcs = rpcs_of_the_stubs()
    assert len(rpcs) >= 24
    assert rpcs == {method for method in ROLE_TABLE if method.startswith("/trueframe.")}


def test_every_row_lets_services_in_and_nobody_may_call_what_has_no_row() -> None:
    assert all(Role.SERVICE in roles for roles in ROLE_TABLE.values())
    assert roles_for("/trueframe.v1.BrokerService/Invented") == frozenset()
    assert roles_for("/grpc.health.v1.Health/Check") is None
    assert roles_for("/grpc.health.v1.HealthX/Check") == frozenset()
    assert roles_for("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") == frozenset(Role)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("viewer", ["BrokerService/StreamFrames", "FootageService/GetSnapshot", "EventService/WatchEvents"],
         ["FootageService/Export", "InspectionService/PutInspection", "CameraService/AddCamera",
          "BrokerService/ListSubscriptions", "PoolService/JoinPool"]),
        ("operator", ["FootageService/Export", "InspectionService/PutInspection", "FootageService/Replay"],
         ["CameraService/AddCamera", "BrokerService/ListSubscriptions", "PixelService/ListDecoders",
          "PoolService/JoinPool"]),
        ("maintainer", ["FootageService/Export", "BrokerService/ListSubscriptions", "PixelService/ListDecoders"],
         ["CameraService/RemoveCamera", "PoolService/JoinPool"]),
        ("administrator", ["CameraService/AddCamera", "CameraService/UpdateCamera", "CameraService/RemoveCamera",
                           "FootageService/Export", "BrokerService/ListSubscriptions"],
         ["PoolService/JoinPool"]),
    ],
)  # fmt: skip
def test_roles_may_what_they_are_for(role: str, may: list[str], may_not: list[str]) -> None:
    for method in may:
        assert role in ROLE_TABLE[f"/trueframe.v1.{method}"], method
    for method in may_not:
        assert role not in ROLE_TABLE[f"/trueframe.v1.{method}"], method


@given(
    name=st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=128),
    role=st.sampled_from(Role),
    cameras=st.none() | st.sets(st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True), max_size=5),
)
def test_a_token_names_who_it_was_minted_for(name: str, role: Role, cameras: set[str] | None) -> None:
    principal = VERIFIER.verify(mint_token(KEY, name, role, cameras))
    assert (principal.name, principal.role) == (name, role)
    assert principal.cameras == (None if cameras is None else frozenset(cameras))


def test_no_cameras_named_means_none_and_no_claim_means_all() -> None:
    assert not VERIFIER.verify(mint_token(KEY, "a", "viewer", [])).allows("gate")
    assert VERIFIER.verify(mint_token(KEY, "a", "viewer")).allows("gate")


def test_a_principal_sees_its_cameras_only() -> None:
    principal = Principal("vera", Role.VIEWER, frozenset({"gate"}))
    principal.require("gate")
    assert principal.visible(["yard", "gate"]) == ["gate"]
    with pytest.raises(PermissionDenied, match="camera 'yard': is outside the scope of 'vera'"):
        principal.require("yard")


def test_tokens_with_impossible_claims_are_not_minted() -> None:
    with pytest.raises(InvalidArgument, match="role 'king'"):
        mint_token(KEY, "a", "king")
    with pytest.raises(InvalidArgument, match="name"):
        mint_token(KEY, "", "viewer")
    with pytest.raises(InvalidArgument, match="camera id"):
        mint_token(KEY, "a", "viewer", ["Gate"])


def claims(**changes: object) -> dict[str, object]:
    full = {"iss": "trueframe", "sub": "a", "role": "viewer", "iat": 1_700_000_000, "exp": 4_000_000_000} | changes
    return {key: value for key, value in full.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "malformed"),
        ({"exp": 1_700_000_001}, "expired"),
        ({"iat": 4_000_000_000}, "not valid yet"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"iss": "other"}, "malformed"),
        ({"sub": None}, "malformed"),
        ({"role": "king"}, "a role this service does not know"),
        ({"role": ["service"]}, "a role this service does not know"),
        ({"cameras": "gate"}, "malformed"),
        ({"cameras": [1]}, "malformed"),
    ],
)
def test_claims_that_do_not_hold_are_refused(changes: dict[str, object], reason: str) -> None:
    token = jwt.encode(claims(**changes), KEY, algorithm="EdDSA")
    with pytest.raises(Unauthenticated, match=reason):
        VERIFIER.verify(token)


def test_other_algorithms_and_keys_are_refused() -> None:
    stranger = Ed25519PrivateKey.generate()
    public = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    for token in (
        jwt.encode(claims(), stranger, algorithm="EdDSA"),
        jwt.encode(claims(), public, algorithm="HS256"),
        jwt.encode(claims(), None, algorithm="none"),
    ):
        with pytest.raises(Unauthenticated):
            VERIFIER.verify(token)
    assert Verifier(stranger.public_key(), KEY.public_key()).verify(mint_token(KEY, "a", "viewer")).name == "a"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_other_text_is_refused_without_an_echo(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        VERIFIER.verify(text)
    assert len(text) < 12 or text not in str(caught.value)


def test_a_token_with_one_character_changed_is_refused() -> None:
    token = mint_token(KEY, "a", "viewer")
    for position in range(0, len(token), 7):
        # The last character of a base64 part may carry unused bits: those are not part of what is signed.
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(Unauthenticated):
            VERIFIER.verify(changed)


def test_a_token_that_was_known_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    verifier = Verifier(KEY.public_key())
    token = mint_token(KEY, "a", "viewer", ttl=timedelta(seconds=60))
    expires_s = verifier.verify(token).expires_s
    assert verifier.verify(token) is verifier.verify(token)
    now_s = time.time()
    assert now_s < expires_s
    # The library reads the clock through datetime: what is refreshed here is our memory of the token.
    monkeypatch.setattr("mesh.tokens.time.time", lambda: expires_s + 1)
    refreshed = verifier.verify(token)
    assert refreshed.expires_s == expires_s


def test_known_tokens_are_bounded() -> None:
    verifier = Verifier(KEY.public_key())
    for number in range(1100):
        verifier.verify(mint_token(KEY, f"n{number}", "viewer"))
    assert len(verifier._known) == 1024


def test_keys_survive_their_files_and_the_private_one_is_private(tmp_path: Path) -> None:
    key = create_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    token = mint_token(load_signing_key(tmp_path / "signing.key"), "a", "viewer")
    assert Verifier.from_file(tmp_path / "signing.pub").verify(token).name == "a"
    write_public_key(key, tmp_path / "again.pub")
    assert (tmp_path / "again.pub").read_bytes() == (tmp_path / "signing.pub").read_bytes()


def test_files_that_are_no_keys_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(NotFound):
        load_signing_key(path)
    with pytest.raises(NotFound):
        load_public_key(path)
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(FailedPrecondition, match="not a private key"):
        load_signing_key(path)
    with pytest.raises(FailedPrecondition, match="not a public key"):
        load_public_key(path)
    rsa = generate_private_key(65537, 2048)
    path.write_bytes(
        rsa.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(FailedPrecondition, match="not an Ed25519 key"):
        load_signing_key(path)
    path.chmod(0o640)
    with pytest.raises(PermissionDenied, match="others can read it"):
        load_signing_key(path)


def test_outside_of_a_call_there_is_no_principal() -> None:
    assert current_principal() is None
    with pytest.raises(Unauthenticated):
        principal_of(None)
