"""An S3-compatible bucket as objects by key: put with proof, got in pieces, listed, deleted.

What belongs here: the client library, its errors as OSError, credentials. What does not: what is stored and when
(`bucket_tier`), the cache (`bucket_cache`). Blocking, thread-safe; every call ends in time.

Credentials are never in an error or a log: of the service's answers only the code is told.
"""

from __future__ import annotations

import base64
import configparser
import contextlib
import errno
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mesh.errors import DataLoss, FailedPrecondition, InvalidArgument
from mesh.files import read_secret

SCHEME = "s3://"
_CHUNK = 1 << 20
_CONNECT_S = 5
_READ_S = 15
_TRIES = 2
_SINGLE_BYTES = 64 << 20
_PART_BYTES = 16 << 20


class Bucket:
    """A bucket, or a folder of one."""

    def __init__(
        self, url: str, endpoint_url: str = "", region: str = "", credentials_file: Path | None = None,
        *, single_bytes: int = _SINGLE_BYTES, part_bytes: int = _PART_BYTES,
    ) -> None:  # fmt: skip
        """`url`: `s3://BUCKET/PREFIX`. Larger files than `single_bytes` go up in parts of `part_bytes`.

        Raises InvalidArgument, FailedPrecondition (the library is missing), NotFound, PermissionDenied (credentials).
        """
        parsed = urlsplit(url)
        if not url.startswith(SCHEME) or not parsed.netloc:
            raise InvalidArgument("media_center.second_tier", f"is not {SCHEME}BUCKET/PREFIX")
        self.url = url
        self._name = parsed.netloc
        prefix = parsed.path.strip("/")
        self._prefix = prefix + "/" if prefix else ""
        self._single, self._part = single_bytes, part_bytes
        self._client = _client(endpoint_url, region, credentials_file)

    def put(self, key: str, path: Path, size: int, digest: bytes) -> None:
        """Stores a file and makes sure that it is there as it is. `digest`: its SHA-256. Raises OSError, DataLoss."""
        with self._told("store there"):
            if size <= self._single:
                with path.open("rb") as file:
                    self._client.put_object(
                        Bucket=self._name, Key=self._prefix + key, Body=file, ContentLength=size,
                        ChecksumSHA256=base64.b64encode(digest).decode(),
                    )  # fmt: skip
                found = self._client.head_object(Bucket=self._name, Key=self._prefix + key, ChecksumMode="ENABLED")
                told = found.get("ChecksumSHA256")
                if told == base64.b64encode(digest).decode() and found["ContentLength"] == size:
                    return
            else:
                self._put_parts(self._prefix + key, path)
        # The service vouches for parts, or for nothing: what it has is read back.
        back = hashlib.sha256()
        for chunk in self.get(key):
            back.update(chunk)
        if back.digest() != digest:
            raise DataLoss(f"object {key}", "was not stored as it is", "Look at the bucket, and at the disk under it.")

    def _put_parts(self, key: str, path: Path) -> None:
        upload = self._client.create_multipart_upload(Bucket=self._name, Key=key, ChecksumAlgorithm="SHA256")[
            "UploadId"
        ]
        parts: list[dict[str, Any]] = []
        try:
            with path.open("rb") as file:
                while data := file.read(self._part):
                    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
                    number = len(parts) + 1
                    answer = self._client.upload_part(
                        Bucket=self._name, Key=key, UploadId=upload, PartNumber=number, Body=data,
                        ChecksumSHA256=checksum,
                    )  # fmt: skip
                    parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
            self._client.complete_multipart_upload(
                Bucket=self._name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            with contextlib.suppress(Exception):  # parts cost money; the first failure is the one to tell
                self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload)
            raise

    def get(self, key: str) -> Iterator[bytes]:
        """An object in pieces. Raises FileNotFoundError, OSError."""
        with self._told("read from there"):
            body = self._client.get_object(Bucket=self._name, Key=self._prefix + key)["Body"]
            with contextlib.closing(body):
                while chunk := body.read(_CHUNK):
                    yield chunk

    def put_small(self, key: str, data: bytes) -> None:
        """Stores some bytes. Raises OSError."""
        with self._told("write there"):
            self._client.put_object(Bucket=self._name, Key=self._prefix + key, Body=data)

    def delete(self, key: str) -> None:
        """Deletes an object; one that is not there is no error. Raises OSError."""
        with self._told("delete there"):
            self._client.delete_object(Bucket=self._name, Key=self._prefix + key)

    def listed(self) -> Iterator[tuple[str, int]]:
        """Keys and sizes of all objects. Raises OSError."""
        with self._told("list what is there"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=self._prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self._prefix), found["Size"]

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "?"))
            number = errno.ENOENT if code in ("NoSuchKey", "404") else errno.EREMOTEIO
            raise OSError(number, f"{self.url}: cannot {what} ({code})") from None
        except BotoCoreError as error:
            raise OSError(errno.EREMOTEIO, f"{self.url}: cannot {what} ({type(error).__name__})") from None


def _client(endpoint_url: str, region: str, credentials_file: Path | None) -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise FailedPrecondition(
            "media_center.second_tier", "is a bucket, and boto3 is not installed",
            "Install it: pip install 'trueframe[s3]'; or name a folder.",
        ) from None  # fmt: skip
    for name in ("boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)  # what they tell below names keys and signatures
    secrets = _secrets(credentials_file) if credentials_file is not None else {}
    # Checksums of their own kind are sent by new clients to services that do not know them: only those we ask for.
    config = Config(
        connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries={"total_max_attempts": _TRIES, "mode": "standard"},
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    try:
        session = boto3.session.Session(region_name=region or None, **secrets)
        return session.client("s3", endpoint_url=endpoint_url or None, config=config)
    except (BotoCoreError, ValueError) as error:
        raise FailedPrecondition(
            "media_center.second_tier", f"cannot be used ({type(error).__name__})",
            "Mend media_center.s3_endpoint_url and s3_region.",
        ) from None  # fmt: skip


def _secrets(path: Path) -> dict[str, str]:
    """The first profile of a credentials file in the library's own form."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_secret(path))
        section = parser[parser.sections()[0]]
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        found = {name: section[name] for name in names if name in section}
        if not found.keys() >= {"aws_access_key_id", "aws_secret_access_key"}:
            raise KeyError
    except (configparser.Error, KeyError, IndexError):
        raise FailedPrecondition(
            f"credentials {path}", "are not in the form of the library",
            "Write [default], aws_access_key_id = … and aws_secret_access_key = …, each on a line of its own.",
        ) from None  # fmt: skip
    return found
