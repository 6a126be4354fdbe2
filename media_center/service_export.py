"""Calls that hand footage out as files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from media_center.export import ExportPlan, plan_export, write_export
from media_center.footage import CameraFootage
from media_center.package import plan_package, signed_manifest
from media_center.ranges import parse_range
from media_center.room import Room
from mesh.errors import InvalidArgument
from mesh.security import principal_of
from trueframe.v1 import footage_pb2

_MAX_RANGES = 256
_MAX_PURPOSE = 2000
_CHUNK = 4 << 20


class ExportRoom(Room):
    """Footage as files."""

    async def Export(  # noqa: N802
        self, request: footage_pb2.ExportRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ExportResponse]:
        """One MP4 file."""
        bounds = parse_range(request.range)
        principal = principal_of(context)
        footage = self._footage(principal, bounds.camera)
        await self._require_unmasked(principal, [bounds.camera])
        plan = await asyncio.to_thread(plan_export, footage, bounds)
        await self._note_range(principal, "export", bounds, plan.file_name)
        yield footage_pb2.ExportResponse(header=_header(plan))
        digest = hashlib.sha256()
        async for chunk in _chunks(footage, plan, digest):
            yield footage_pb2.ExportResponse(chunk=chunk)
        yield footage_pb2.ExportResponse(summary=footage_pb2.ExportSummary(digest=digest.digest(), gaps=plan.gaps))

    async def ExportPackage(  # noqa: N802
        self, request: footage_pb2.ExportPackageRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ExportPackageResponse]:
        """Several MP4 files and their manifest."""
        principal = principal_of(context)
        if not 0 < len(request.ranges) <= _MAX_RANGES:
            raise InvalidArgument("ranges", f"are {len(request.ranges)}; 1 to {_MAX_RANGES} are possible")
        if len(request.purpose) > _MAX_PURPOSE:
            raise InvalidArgument("purpose", f"has more than {_MAX_PURPOSE} characters")
        bounds = [parse_range(message) for message in request.ranges]
        ranges = [(self._footage(principal, bound.camera), bound) for bound in bounds]
        await self._require_unmasked(principal, [bound.camera for bound in bounds])
        # Everything is planned before the first byte: what cannot be exported is told at once.
        files = await asyncio.to_thread(plan_package, ranges, request.file_name)
        for bound in bounds:
            names = ", ".join(file.plan.file_name for file in files if file.plan.camera == bound.camera)
            why = f" for: {request.purpose}" if request.purpose else ""
            await self._note_range(principal, "package", bound, names + why)
        digests: list[bytes] = []
        for file in files:
            yield footage_pb2.ExportPackageResponse(header=_header(file.plan))
            digest = hashlib.sha256()
            async for chunk in _chunks(file.footage, file.plan, digest):
                yield footage_pb2.ExportPackageResponse(chunk=chunk)
            digests.append(digest.digest())
            summary = footage_pb2.ExportSummary(digest=digest.digest(), gaps=file.plan.gaps)
            yield footage_pb2.ExportPackageResponse(summary=summary)
        manifest = await asyncio.to_thread(
            signed_manifest, files, digests, principal.name, request.purpose, self._clock.utc_ns(), self._signer
        )
        for start in range(0, len(manifest), _CHUNK):
            yield footage_pb2.ExportPackageResponse(manifest=manifest[start : start + _CHUNK])


def _header(plan: ExportPlan) -> footage_pb2.ExportHeader:
    return footage_pb2.ExportHeader(
        file_name=plan.file_name,
        first=plan.first.to_proto(),
        last=plan.last.to_proto(),
        frames=plan.shown,
        lead_in_frames=plan.hidden,
        size_bytes=plan.size_bytes,
    )


async def _chunks(footage: CameraFootage, plan: ExportPlan, digest: Any) -> AsyncIterator[bytes]:
    chunks = write_export(footage, plan)
    while chunk := await asyncio.to_thread(_next_chunk, chunks, digest):
        yield chunk


def _next_chunk(chunks: Iterator[bytes], digest: Any) -> bytes:
    chunk = next(chunks, b"")
    digest.update(chunk)
    return chunk
