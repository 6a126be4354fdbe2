"""A bundle of a data folder that is full of planted secrets, with the instance down."""

import base64
import json
import sqlite3
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from mesh.errors import AlreadyExists
from mesh.files import write_private
from trueframe.commands.support_bundle import command

PASSWORD, TOKEN, KEY, CLOUD, MAIL, CHAT, UNKNOWN = (
    "K4mera/Gehe!m&7",
    "tok-5Zq81kLmN0pQ",
    "mC4CAQAwBQYDK2VwBCIEIG",
    "AKIA9secretsecret",
    "ma!l-7Hn3wQ",
    "T024/B9zz/xK3v9QpLw7",
    "n0body-kn0ws",
)
HOSTS = ("10.77.1.9", "gatecam.site.example")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("trueframe.doctor.examination.examine_programs", lambda _config: iter(()))
    monkeypatch.setenv("CAMERA_PASSWORD_OF_TEST", UNKNOWN)
    monkeypatch.setenv("TRUEFRAME_NATS__URL", f"nats://u:{TOKEN}@{HOSTS[0]}:4222")
    data = tmp_path / "data"
    for folder in ("keys", "run", "logs", "broker", "media/gatecam"):
        (data / folder).mkdir(parents=True)
    write_private(data / "keys/operator.token", TOKEN.encode())
    write_private(
        data / "keys/signing.key", f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n".encode()
    )
    cloud = tmp_path / "cloud"
    write_private(cloud, f"[default]\naws_secret_access_key = {CLOUD}\n".encode())
    mail = tmp_path / "mail"
    write_private(mail, MAIL.encode())
    source = f"rtsp://admin:{PASSWORD}@{HOSTS[0]}:554/live"
    (data / "run/trueframe.toml").write_text(
        f'[run]\ndata_dir = "{data}"\n[media_center]\ns3_credentials_file = "{cloud}"\n'
        f'[[cameras]]\nid = "gate"\nsource = "{source}"\n'
        f'[[notifications.channels]]\nid = "chat"\nurl = "https://hooks.example.org/{CHAT}"\nform = "slack"\n'
        '[[notifications.channels]]\nid = "mail"\nkind = "email"\nhost = "mail.example.org"\nuser = "us"\n'
        f'secret_file = "{mail}"\nsender = "a@example.org"\nrecipients = ["b@example.org"]\n'
    )
    database = sqlite3.connect(data / "broker/broker.db")
    database.execute("CREATE TABLE camera (id TEXT, source TEXT)")
    database.execute("INSERT INTO camera VALUES ('yard', ?)", (f"http://x:{PASSWORD}@{HOSTS[1]}/mjpeg",))
    database.commit()
    database.close()
    (data / "media/gatecam/1-0.mp4").write_bytes(b"moov picture")
    lines = []
    for secret in (PASSWORD, TOKEN, KEY, CLOUD, MAIL, CHAT, UNKNOWN):
        lines += [secret, quote(secret, safe=""), secret.encode().hex(), json.dumps({"password": secret})]
        lines += [base64.b64encode(b"ab"[:lead] + secret.encode() + b"z").decode() for lead in range(3)]
        lines += [base64.urlsafe_b64encode(f"rtsp://a:{secret}@h/x".encode()).decode()]
    lines += [f"camera at {host}: refuses" for host in HOSTS] + [source, f"Authorization: Digest response={TOKEN}"]
    (data / "logs/broker.log").write_text("\n".join(f"2026-11-20T16:04:21Z info x: {line}" for line in lines) + "\n")
    # A log that is cut within a secret.
    (data / "logs/worker.log").write_text(f"{'x' * 100} {PASSWORD * 80}\nkept line\n")
    return data


def made(data: Path, *arguments: str) -> tuple[Result, Path]:
    output = data.parent / "bundle.tar.gz"
    return CliRunner().invoke(command, ["--data", str(data), "-o", str(output), *arguments]), output


def forms(secret: str) -> list[str]:
    """Made here in another way than the cleaner makes them."""
    data = secret.encode()
    encoded = [base64.b64encode(b"\0" * lead + data).decode() for lead in range(3)]
    # Characters at the edges hold bits of what stands beside the secret.
    cores = [text[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6] for lead, text in enumerate(encoded)]
    assert all(len(core) > 8 for core in cores)
    return [secret, quote(secret, safe=""), data.hex(), *cores, *(c.replace("+", "-").replace("/", "_") for c in cores)]


def read(path: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.removeprefix("trueframe-support/")] = file.read().decode()
    return found


def test_no_planted_secret_is_in_the_bundle_in_any_form_and_no_address(data: Path) -> None:
    done, output = made(data)
    assert done.exit_code == 0, done.output
    members = read(output)
    assert {"config.json", "doctor.json", "logs/broker.log", "about.json", "folders.json", "versions.json"} <= set(
        members
    )
    everything = "\n".join([*members, *members.values(), done.output])
    for secret in (PASSWORD, TOKEN, KEY, CLOUD, MAIL, CHAT, UNKNOWN):
        for form in forms(secret):
            assert form not in everything, (secret, form)
    for host in HOSTS:
        assert host not in everything
    assert "camera at address-" in members["logs/broker.log"]
    assert output.stat().st_mode & 0o777 == 0o600


def test_the_bundle_says_what_is_missing_while_nothing_runs_and_holds_no_footage(data: Path) -> None:
    done, output = made(data, "--json")
    members = read(output)
    assert "trueframe is not running" in str(json.loads(done.output)["left_out"])
    assert not any("status.json" in name for name in members)
    assert "moov" not in "".join(members.values())
    assert "1-0.mp4" not in "".join(members.values())
    assert {
        key: row[key]
        for row in json.loads(members["folders.json"])
        if row["folder"] == "media"
        for key in ("folder", "files")
    } == {"folder": "media", "files": 1}


def test_logs_are_bounded_and_never_begin_within_a_line(data: Path) -> None:
    _, output = made(data, "--log-bytes", "200")
    assert read(output)["logs/worker.log"] == "kept line\n"


def test_addresses_are_kept_where_that_was_asked_for(data: Path) -> None:
    _, output = made(data, "--with-addresses")
    everything = "".join(read(output).values())
    assert HOSTS[1] in everything
    assert PASSWORD not in everything


def test_a_file_that_is_there_is_not_overwritten(data: Path) -> None:
    (data.parent / "bundle.tar.gz").write_bytes(b"mine")
    done, output = made(data)
    assert isinstance(done.exception, AlreadyExists)
    assert output.read_bytes() == b"mine"


def test_secrets_and_hosts_of_the_site_that_the_environment_names_are_taken_out(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueframe.doctor.examination.examine_instance", lambda _config, _site: iter(()))
    monkeypatch.delenv("TRUEFRAME_NATS__URL")
    secret, host = "s1te-tok3n-99", "bus.site.example"
    write_private(data.parent / "nats.token", secret.encode())
    site = data.parent / "site.toml"
    site.write_text(f'[nats]\nurl = "nats://{host}:4222"\ntoken_file = "{data.parent / "nats.token"}"\n')
    monkeypatch.setenv("TRUEFRAME_CONFIG", str(site))
    (data / "logs/worker.log").write_text(f"entered {host} with {secret}\n")
    done, output = made(data)
    assert done.exit_code == 0, done.output
    assert read(output)["logs/worker.log"].startswith("entered address-")
    everything = "\n".join(read(output).values())
    assert secret not in everything
    assert host not in everything
