"""The commands certs and token as a user types them, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from mesh.revocation import Revocations
from mesh.secrets_at_rest import SealingKeys
from mesh.tokens import Verifier, load_public_key
from trueframe.__main__ import cli


@pytest.fixture
def typed(tmp_path: Path) -> Any:
    def run(*words: str, fails: type[Exception] | None = None) -> Result:
        where = ["--dir", str(tmp_path / "certs")] if words[0] == "certs" else ["--data", str(tmp_path / "data")]
        result = CliRunner().invoke(cli, [*words, *where])
        if fails is None:
            assert result.exit_code == 0, (result.output, result.exception)
        else:
            assert isinstance(result.exception, fails), (result.output, result.exception)
        return result

    return run


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.output.splitlines()]


def test_a_site_gets_an_authority_and_certificates_that_are_listed_renewed_and_checked(typed: Any) -> None:
    typed("certs", "init", "--site", "hall")
    [made] = rows(typed("certs", "issue", "broker", "--host", "broker.hall", "--host", "10.0.0.7", "--json"))
    assert (made["kind"], made["hosts"]) == ("service", ["broker.hall", "10.0.0.7"])
    typed("certs", "issue", "olga", "--user", "--for", "30d")
    assert [row["name"] for row in rows(typed("certs", "list", "--json"))][1:] == ["broker", "olga"]
    typed("certs", "check", "--within", "14d")
    typed("certs", "check", "--within", "60d", fails=FailedPrecondition)
    typed("certs", "renew", "olga", "--for", "365d")
    typed("certs", "check", "--within", "60d")
    typed("certs", "renew", "ca")
    assert [row["kind"] for row in rows(typed("certs", "list", "--json"))].count("authority") == 2


def test_what_cannot_be_is_refused_and_nothing_is_overwritten(typed: Any, tmp_path: Path) -> None:
    typed("certs", "list", fails=NotFound)
    typed("certs", "init")
    typed("certs", "init", fails=AlreadyExists)
    typed("certs", "issue", "broker", fails=InvalidArgument)
    typed("certs", "issue", "olga", "--user", "--for", "0s", fails=InvalidArgument)
    typed("certs", "renew", "nobody", fails=NotFound)
    typed("certs", "check", "--endpoint", "no port", fails=InvalidArgument)
    assert sorted(path.name for path in (tmp_path / "certs").iterdir()) == ["ca.crt", "ca.key"]


def test_a_key_of_another_certificate_is_found_by_check(typed: Any, tmp_path: Path) -> None:
    typed("certs", "init")
    typed("certs", "issue", "olga", "--user")
    typed("certs", "issue", "max", "--user")
    (tmp_path / "certs" / "olga.key").write_bytes((tmp_path / "certs" / "max.key").read_bytes())
    typed("certs", "check", fails=FailedPrecondition)


def test_tokens_are_made_listed_without_themselves_and_revoked(typed: Any, tmp_path: Path) -> None:
    typed("token", "init")
    typed("token", "init", fails=AlreadyExists)
    file = tmp_path / "eve.token"
    typed("token", "create", "eve", "--role", "operator", "--camera", "gate", "--for", "8h", "-o", str(file))
    typed("token", "create", "max", "-o", str(tmp_path / "max.token"))
    assert file.stat().st_mode & 0o777 == 0o600
    listed = typed("token", "list", "--json")
    eve, _ = sorted(rows(listed), key=lambda row: str(row["user"]))
    assert (eve["role"], eve["cameras"], eve["state"]) == ("operator", ["gate"], "holds")
    key = load_public_key(tmp_path / "data" / "keys" / "signing.pub")
    verifier = Verifier(key, revocations=Revocations(tmp_path / "data" / "keys" / "revoked.jws", [key]))
    assert verifier.verify(file.read_text()).token_id == eve["id"]
    revoked = typed("token", "revoke", str(eve["id"])[:8], "--reason", "left")
    for shown in (listed, revoked):
        assert file.read_text().rpartition(".")[2] not in shown.output
    assert verifier.revocations is not None
    verifier.revocations.refresh()
    with pytest.raises(PermissionError, match="revoked"):
        verifier.verify(file.read_text())
    verifier.verify((tmp_path / "max.token").read_text())
    states = {row["user"]: row["state"] for row in rows(typed("token", "list", "--json"))}
    assert states == {"eve": "revoked", "max": "holds"}


def test_revoking_names_one_thing_that_is_there(typed: Any, tmp_path: Path) -> None:
    typed("token", "init")
    typed("token", "revoke", fails=InvalidArgument)
    typed("token", "revoke", "abc", "--user", "eve", fails=InvalidArgument)
    typed("token", "revoke", "abc", fails=NotFound)
    (tmp_path / "no.token").touch(mode=0o600)
    typed("token", "revoke", "--file", str(tmp_path / "no.token"), fails=InvalidArgument)
    typed("token", "revoke", "--user", "eve")
    typed("token", "create", "x", "--for", "9999d", "-o", "-", fails=InvalidArgument)


def test_what_services_show_each_other_is_revoked_by_force_alone(typed: Any, tmp_path: Path) -> None:
    typed("token", "init")
    typed("token", "create", "mast", "--role", "service", "-o", str(tmp_path / "mast.token"))
    [made] = rows(typed("token", "create", "eve", "--json", "-o", str(tmp_path / "eve.token")))
    for named in (("--user", "trueframe"), ("--user", "mast"), ("--file", str(tmp_path / "mast.token"))):
        typed("token", "revoke", *named, fails=FailedPrecondition)
    assert not (tmp_path / "data" / "keys" / "revoked.jws").exists()
    typed("token", "revoke", made["id"])
    assert "mast" in typed("token", "revoke", "--user", "mast", "--force").output
    typed("token", "revoke", "--user", "trueframe", "--force")


def test_a_new_key_for_passwords_is_made_beside_the_former(typed: Any, tmp_path: Path) -> None:
    typed("token", "init")
    path = tmp_path / "data" / "keys" / "credentials.key"
    SealingKeys(path).make_if_absent()
    sealed = SealingKeys(path).seal("rtsp://u:p@h/", "camera gate")
    [shown] = rows(typed("keys", "rotate-credentials", "--json"))
    assert SealingKeys(path).ids[0] == shown["id"]
    assert SealingKeys(path).open(sealed, "camera gate") == "rtsp://u:p@h/"
    assert "cameras set" in typed("keys", "rotate-credentials", "--lost").output
    with pytest.raises(FailedPrecondition):
        SealingKeys(path).open(sealed, "camera gate")
