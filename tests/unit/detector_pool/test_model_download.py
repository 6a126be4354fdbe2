"""Models from a web server: what the hash names, or nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detector_pool import model_download
from detector_pool.model_download import fetch
from mesh.errors import DataLoss, InvalidArgument, Unavailable

CONTENT = b"PK\5\6" + bytes(range(256)) * 3000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves one file under several roads."""

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/models/moved.zip":
            self.answer(302, b"", Location="/models/tiny.zip")
        elif path == "/models/away.zip":
            self.answer(302, b"", Location="file:///etc/passwd")
        elif path == "/models/round.zip":
            self.answer(302, b"", Location="/models/round.zip")
        elif path == "/models/huge.zip":
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
        elif path == "/models/cut.zip":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])
        elif path == "/models/endless.zip":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(CONTENT)
            except OSError:
                pass
        elif path in ("/models/tiny.zip", "/models/..%2F..%2Fevil"):
            self.answer(200, CONTENT)
        else:
            self.answer(404, b"no")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/models"
        serving.shutdown()
        thread.join()


def test_the_file_that_the_hash_names_is_fetched_with_its_progress(server: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = fetch(f"{server}/tiny.zip?token=x", f"sha256:{DIGEST.upper()}", tmp_path, progress=lambda *a: told.append(a))
    assert path == tmp_path / "tiny.zip"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(f"{server}/moved.zip", DIGEST, tmp_path).name == "moved.zip"


def test_another_content_is_refused_and_nothing_stays(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataLoss, match=f"has SHA-256 {DIGEST}, not 0000"):
        fetch(f"{server}/tiny.zip", "0" * 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("road", "error", "says"),
    [
        ("none.zip", Unavailable, "the server answers 404"),
        ("away.zip", Unavailable, "the server answers 302"),
        ("round.zip", Unavailable, "the server answers 302"),
        ("huge.zip", InvalidArgument, "is larger than 512 MiB"),
        ("cut.zip", Unavailable, "ended"),
    ],
)
def test_what_goes_wrong_is_told_and_nothing_stays(
    server: str, tmp_path: Path, road: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        fetch(f"{server}/{road}", DIGEST, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_end_is_cut_off_at_the_bound(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_download, "MAX_MODEL_BYTES", 4 << 20)
    with pytest.raises(InvalidArgument, match="is larger than 4 MiB"):
        fetch(f"{server}/endless.zip", DIGEST, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["ftp://a/x.zip", "file:///etc/passwd", "x.zip", "http://", "http://user:pw@127.0.0.1/x.zip", "http://a b/",
     "http://[::1", "http://127.0.0.1:0/x.zip"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="URL of the model"):
        fetch(url, DIGEST, tmp_path)


def test_without_a_hash_nothing_is_fetched(server: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="sha256sum"):
        fetch(f"{server}/tiny.zip", "abc", tmp_path)


def test_a_name_that_leads_elsewhere_is_not_taken(server: str, tmp_path: Path) -> None:
    path = fetch(f"{server}/..%2F..%2Fevil", DIGEST, tmp_path)
    assert path.parent == tmp_path


def test_a_server_that_is_not_there_is_told_without_secrets(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached") as refused:
        fetch("http://127.0.0.1:1/x.zip?token=secret", DIGEST, tmp_path)
    assert "secret" not in str(refused.value)
