"""Models that a worker was told to run: fetched once, kept on its disk by their SHA-256, verified at every look."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from detector_pool.detector import LoadedModel
from detector_pool.models import MAX_MODEL_BYTES, opened
from mesh.errors import DataLoss, InvalidArgument
from mesh.logs import get_logger
from trueframe.v1 import models_pb2

log = get_logger("detector_pool.model_cache")

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ModelCache:
    """A folder of models. `fetch` gives the chunks of a version's zip by its digest. Any thread may call `get`.

    Several workers may share the folder: a file is whole under its name, or not there.
    """

    def __init__(self, folder: Path, max_bytes: int, fetch: Callable[[str], Iterable[bytes]]) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._fetch = fetch
        self._loaded: dict[str, LoadedModel] = {}
        self._lock = threading.Lock()

    def get(self, version: models_pb2.ModelVersion) -> LoadedModel:
        """The model of a version. Raises InvalidArgument, DataLoss, and what fetching raises."""
        digest = version.digest
        if not _DIGEST.fullmatch(digest):
            raise InvalidArgument(f"model version {digest[:80]!r}", "is no SHA-256")
        with self._lock:
            model = self._loaded.pop(digest, None)
            if model is None:
                data = self._stored(digest) or self._fetched(digest)
                # The name under which it was published is that of these very bytes.
                model = replace(opened(data, f"model {version.model}"), digest=digest)
            self._loaded[digest] = model
            while len(self._loaded) > 2 and sum(map(_size, self._loaded.values())) > self._max_bytes // 4:
                del self._loaded[next(iter(self._loaded))]
        return model

    def _stored(self, digest: str) -> bytes | None:
        path = self._path(digest)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        log.warning("model on the disk is not what its name says; it is fetched again", digest=digest[:12])
        return None

    def _fetched(self, digest: str) -> bytes:
        data = bytearray()
        for chunk in self._fetch(digest):
            data += chunk
            if len(data) > MAX_MODEL_BYTES:
                raise InvalidArgument(f"model version {digest[:12]}", f"is larger than {MAX_MODEL_BYTES >> 20} MiB")
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataLoss(f"model version {digest[:12]}", "did not come as it was stored", "It is tried again.")
        self._keep(digest, data)
        return bytes(data)

    def _keep(self, digest: str, data: bytes | bytearray) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".coming-", delete=False) as file:
                file.write(data)
            Path(file.name).replace(self._path(digest))
            self._make_room()
        except OSError as error:
            # It is in memory, and fetched again another time.
            log.warning("model cannot be kept on the disk", digest=digest[:12], reason=str(error))

    def _make_room(self) -> None:
        kept = sorted(self._folder.glob("*.zip"), key=lambda path: path.stat().st_mtime_ns)
        total = sum(path.stat().st_size for path in kept)
        for path in kept[:-1]:
            if total <= self._max_bytes:
                break
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.zip"


def _size(model: LoadedModel) -> int:
    files = getattr(model, "files", {})
    return sum(map(len, files.values()))
