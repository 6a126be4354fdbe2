from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh.certificate_folder import CertificateFolder
from mesh.certificates import Kind, Pair, identity_of, issue, make_authority, read_certificate, require_matching
from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from mesh.tls import TlsFiles, caller_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    folder = CertificateFolder(tmp_path / "certs")
    folder.init("hall", 100 * DAY, NOW)
    return folder


def test_what_is_issued_belongs_together_and_its_keys_are_private(folder: CertificateFolder) -> None:
    made = folder.issue(Kind.SERVICE, "broker", ["broker.hall", "10.0.0.7", "::1"], 10 * DAY, NOW)
    told = require_matching(
        made.certificate_file.read_bytes(), made.key_file.read_bytes(), folder.ca_file.read_bytes(), "x", NOW
    )
    assert (told.name, told.kind, told.hosts) == ("broker", Kind.SERVICE, ("broker.hall", "10.0.0.7", "::1"))
    assert told.ends == NOW + 10 * DAY
    for path in (made.key_file, folder.folder / "ca.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.folder.stat().st_mode & 0o777 == 0o700


def test_a_certificate_ends_no_later_than_its_authority(folder: CertificateFolder) -> None:
    assert folder.issue(Kind.USER, "olga", [], 999 * DAY, NOW).described.ends == NOW + 100 * DAY
    with pytest.raises(FailedPrecondition, match="has ended"):
        folder.issue(Kind.USER, "max", [], DAY, NOW + 101 * DAY)


def test_renewing_keeps_names_and_life_and_changes_the_key(folder: CertificateFolder) -> None:
    first = folder.issue(Kind.SERVICE, "broker", ["broker.hall"], 10 * DAY, NOW)
    key = first.key_file.read_bytes()
    later = NOW + 5 * DAY
    second = folder.renew("broker", None, later)
    assert (second.described.hosts, second.described.ends) == (("broker.hall",), later + 10 * DAY)
    assert second.key_file.read_bytes() != key
    assert folder.renew("broker", DAY, later).described.ends == later + DAY


def test_a_new_authority_is_believed_beside_the_old_one_until_that_ends(folder: CertificateFolder) -> None:
    old = folder.issue(Kind.USER, "olga", [], 10 * DAY, NOW)
    folder.renew("ca", None, NOW + DAY)
    authorities = folder.ca_file.read_bytes()
    require_matching(old.certificate_file.read_bytes(), old.key_file.read_bytes(), authorities, "olga", NOW)
    new = folder.issue(Kind.USER, "max", [], 10 * DAY, NOW + DAY)
    assert new.described.issuer != old.described.issuer
    require_matching(new.certificate_file.read_bytes(), new.key_file.read_bytes(), authorities, "max", NOW + DAY)
    assert [one.described.kind for one in folder.all()] == [Kind.AUTHORITY, Kind.AUTHORITY, Kind.USER, Kind.USER]
    folder.renew("ca", None, NOW + 200 * DAY)
    assert len(folder.authorities()) == 1


@pytest.mark.parametrize(
    ("kind", "name", "hosts", "reason"),
    [
        (Kind.SERVICE, "broker", [], "has no host name"),
        (Kind.USER, "olga", ["a.b"], "has no host names"),
        (Kind.USER, "Olga Müller", [], "is not 1 to 63 small letters"),
        (Kind.USER, "../etc", [], "is not 1 to 63 small letters"),
        (Kind.SERVICE, "broker", ["a b"], "neither a host name nor an address"),
        (Kind.SERVICE, "broker", ["10.0.0.7:7411"], "neither a host name nor an address"),
    ],
)
def test_names_that_cannot_be_are_refused(
    folder: CertificateFolder, kind: Kind, name: str, hosts: list[str], reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        folder.issue(kind, name, hosts, DAY, NOW)
    assert len(list(folder.folder.iterdir())) == 2


def test_nothing_is_overwritten_and_what_is_not_there_is_told(folder: CertificateFolder, tmp_path: Path) -> None:
    folder.issue(Kind.USER, "olga", [], DAY, NOW)
    for name in ("olga", "ca"):
        with pytest.raises(AlreadyExists):
            folder.issue(Kind.USER, name, [], DAY, NOW)
    with pytest.raises(AlreadyExists):
        folder.init("hall", DAY, NOW)
    with pytest.raises(NotFound):
        folder.renew("max", None, NOW)
    with pytest.raises(NotFound, match="certs init"):
        CertificateFolder(tmp_path / "none").all()
    (folder.folder / "ca.key").unlink()
    with pytest.raises(NotFound, match="issued where it is kept"):
        folder.issue(Kind.USER, "max", [], DAY, NOW)


def test_pairs_that_do_not_belong_together_are_told_apart() -> None:
    ours, theirs = make_authority("a", 10 * DAY, NOW), make_authority("b", 10 * DAY, NOW)
    mine, other = (issue(ours, Kind.USER, name, [], DAY, NOW) for name in ("mine", "other"))
    for certificate, key, authority, now, reason in (
        (mine.certificate, other.key, ours.certificate, NOW, "belongs to another certificate"),
        (mine.certificate, mine.key, theirs.certificate, NOW, "signed by none"),
        (mine.certificate, mine.key, ours.certificate, NOW + 2 * DAY, "ended on"),
        (mine.certificate, mine.key, ours.certificate, NOW - DAY, "does not hold yet"),
        (b"no", mine.key, ours.certificate, NOW, "not a certificate"),
        (mine.certificate, b"no", ours.certificate, NOW, "not a private key"),
    ):
        with pytest.raises(FailedPrecondition, match=reason):
            require_matching(certificate, key, authority, "x", now)
    with pytest.raises(FailedPrecondition, match="does not belong"):
        issue(Pair(ours.certificate, theirs.key), Kind.USER, "x", [], DAY, NOW)


def test_a_certificate_says_whether_it_is_a_services_or_a_users() -> None:
    ours = make_authority("a", DAY, NOW)
    assert not read_certificate(ours.certificate, "a").subject.rfc4514_string().endswith("user")
    assert identity_of(["broker.hall", "trueframe://service/broker"]) == (Kind.SERVICE, "broker")
    assert identity_of(["trueframe://user/olga"]) == (Kind.USER, "olga")
    for strange in ([], ["trueframe://authority/x"], ["trueframe://service"], ["https://service/broker"]):
        assert identity_of(strange) == (Kind.OTHER, "")
    assert caller_of({"x509_subject_alternative_name": [b"trueframe://service/\xff"]})[0] is Kind.SERVICE
    assert caller_of({}) == (Kind.OTHER, "")


def test_a_key_is_never_shown() -> None:
    pair = make_authority("a", DAY, NOW)
    assert "PRIVATE" not in repr(pair)


def test_a_pair_that_is_refused_is_not_read_again_at_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, now = CertificateFolder(tmp_path / "certs"), datetime.now(UTC)
    folder.init("hall", 100 * DAY, now)
    made = folder.issue(Kind.SERVICE, "broker", ["broker.hall"], DAY, now)
    files = TlsFiles(folder.ca_file, made.certificate_file, made.key_file)
    read, reads = TlsFiles._read, 0

    def counted(self: TlsFiles) -> object:
        nonlocal reads
        reads += 1
        return read(self)

    monkeypatch.setattr(TlsFiles, "_read", counted)
    key = made.key_file.read_bytes()
    made.key_file.write_text("no key")
    assert {files.current()[0] for _ in range(200)} == {1}
    assert reads < 10
    made.key_file.write_bytes(key)
    assert files.current()[0] == 2, "and a pair that fits is used at once"
