"""Models in the aggregate's folder: a zip by its SHA-256, and documents that tell of versions and roll-outs.

A zip is whole under its name or not there: it is received beside, synced, looked into, and only then named. A document
that names a version is written behind its zip.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from aggregate.models import (
    Rollout,
    Version,
    checked_digest,
    chosen,
    read_zip,
    rollout_document,
    rollout_from_document,
    shorts_of,
    version_document,
    version_from_document,
)
from aggregate.orders import Order
from mesh.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted
from mesh.files import durable_folder, sync_folder
from mesh.store import Collection, DocumentStore, scan

CHUNK_BYTES = 1 << 20
MAX_MODELS = 2000
"""Versions, of all models together."""


class Models:
    """All versions and roll-outs. Make it with `open`. Raises the store's errors."""

    def __init__(self, folder: Path, versions: Collection, rollouts: Collection, max_bytes: int) -> None:
        self._folder = folder
        self._versions = versions
        self._rollouts = rollouts
        self._max_bytes = max_bytes
        self._known: dict[str, Version] = {}
        self._standing: dict[str, Rollout] = {}

    @classmethod
    async def open(cls, store: DocumentStore, folder: Path, max_bytes: int = 512 << 20) -> Models:
        """The models of a store, with their files in a folder."""
        await asyncio.to_thread(_tidied, folder)
        models = cls(folder, await store.collection("models"), await store.collection("rollouts"), max_bytes)
        async for document in scan(models._versions):
            models._known[document.id] = version_from_document(document.id, document.body)
        async for document in scan(models._rollouts):
            models._standing[document.id] = rollout_from_document(document.body)
        return models

    # What there is

    @property
    def names(self) -> list[str]:
        """Models, sorted."""
        return sorted({version.model for version in self._known.values()})

    def versions(self, model: str) -> list[Version]:
        """Versions of a model, the newest first."""
        found = [version for version in self._known.values() if version.model == model]
        return sorted(found, key=lambda version: (-version.added_ns, version.digest))

    def chosen(self, model: str, beginning: str) -> Version:
        """The version of a model whose digest begins so; the newest for nothing. Raises NotFound, InvalidArgument."""
        return chosen(model, self.versions(model), beginning)

    def rollout(self, model: str) -> Rollout:
        """Where a model stands."""
        return self._standing.get(model, Rollout())

    def version(self, digest: str) -> Version | None:
        """The version of that digest."""
        return self._known.get(digest)

    def version_for(self, order: Order, model: str) -> Version | None:
        """The version of one of its models that an inspection runs; None if none was promoted for it."""
        return self._known.get(self.rollout(model).digest_for(order))

    def versions_named(self, detector: str) -> tuple[Version, ...]:
        """The versions that a detector's full name ends with: "objects@1:3fa2c1d09b12"; none if one is not known."""
        found = [
            next((version for digest, version in self._known.items() if digest.startswith(short)), None)
            for short in shorts_of(detector)
        ]
        return tuple(version for version in found if version is not None) if all(found) else ()

    def path(self, digest: str) -> Path:
        """The file of a version. Raises InvalidArgument, NotFound."""
        path = self._folder / f"{checked_digest(digest)}.zip"
        if digest not in self._known or not path.is_file():
            raise NotFound(
                f"model version {digest[:12]}", "is not here", "`trueframe models list` shows those that are."
            )
        return path

    # Changes

    async def add(
        self, model: str, digest: str, chunks: AsyncIterator[bytes], by: str, now_ns: int
    ) -> tuple[Version, bool]:
        """Receives a version; and whether it was here already. `model`, `digest`: empty where the sender does not know.

        Raises InvalidArgument, ResourceExhausted (too large, too many), DataLoss (not what the digest says).
        """
        incoming = tempfile.NamedTemporaryFile(prefix=".incoming-", dir=self._folder, delete=False)  # noqa: SIM115
        path = Path(incoming.name)
        try:
            with incoming:
                got, size = await self._receive(incoming, chunks)
            if digest and got != digest:
                raise DataLoss("model", f"has the SHA-256 {got}, not {digest}", "It was changed on its way, or before.")
            content = await asyncio.to_thread(read_zip, path, self._max_bytes)
            if model and model != content.name:
                remedy = "Change `name` in its detector.toml, or add it under that name."
                raise InvalidArgument(f"model {model}", f"calls itself {content.name!r} in its detector.toml", remedy)
            known = self._known.get(got)
            if known is not None:
                return known, True
            if len(self._known) >= MAX_MODELS:
                raise ResourceExhausted("models", f"are {MAX_MODELS} versions already")
            await asyncio.to_thread(_named, path, self._folder / f"{got}.zip")
            version = Version(content.name, got, size, content.detector, now_ns, by, content.card)
            await self._put(version)
            return version, False
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def put_rollout(self, model: str, rollout: Rollout) -> None:
        """Stores where a model stands."""
        await self._rollouts.put(model, rollout_document(rollout))
        self._standing[model] = rollout

    async def golden(self, digest: str, sentence: str, *, differs: bool) -> None:
        """Stores what the golden frames of a version gave at a worker. What differs once is not taken back."""
        version = self._known.get(digest)
        if version is None or (version.golden, version.golden_differs) == (sentence, differs) or version.golden_differs:
            return
        await self._put(replace(version, golden=sentence[:500], golden_differs=differs))

    async def _put(self, version: Version) -> None:
        await self._versions.put(version.digest, version_document(version))
        self._known[version.digest] = version

    async def _receive(self, file: IO[bytes], chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise ResourceExhausted("model", f"is larger than {self._max_bytes >> 20} MiB")
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(_sync, file)
        return digest.hexdigest(), size


def _tidied(folder: Path) -> None:
    durable_folder(folder)
    for left_over in folder.glob(".incoming-*"):
        left_over.unlink(missing_ok=True)


def _named(path: Path, name: Path) -> None:
    path.replace(name)
    sync_folder(name.parent)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
