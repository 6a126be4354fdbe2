"""Cameras and loads as protobuf shows them: credentials taken out, counters put in. Used by the gRPC face only."""

from __future__ import annotations

from collections.abc import Iterable

from broker.camera import PLAYING_STATES
from broker.load import LoadRow
from broker.registry import Entry
from broker.rtsp.clock import ClockState
from broker.store import StoredCamera
from mesh.redact import redact_url
from trueframe.v1.broker_pb2 import GetLoadResponse, Load
from trueframe.v1.cameras_pb2 import Camera, CameraClock, CameraSpec, MaskCorner, PrivacyMask
from trueframe.v1.frames_pb2 import CODEC_UNSPECIFIED


def camera_view(entry: Entry, now_ns: int) -> Camera:
    """The camera as it is; `now_ns` is monotonic."""
    feed, state = entry.feed, entry.owner.state
    counters = feed.counters
    ingest = feed.ingest
    rates = entry.rates.rates(now_ns, counters.frames, counters.payload_bytes)
    frame_rate, bit_rate = rates if state.state in PLAYING_STATES else (0.0, 0.0)
    return Camera(
        spec=CameraSpec(
            id=entry.stored.id,
            source=redact_url(entry.stored.source),
            display_name=entry.stored.display_name or entry.stored.id,
            labels=dict(entry.stored.labels),
            disabled=entry.stored.is_disabled,
            transport=entry.stored.transport,
            tls_sha256=entry.stored.tls_sha256,
            device=entry.stored.device,
        ),
        state=state.state,
        state_since_ns=state.since_ns,
        detail=state.detail,
        epoch=ingest.epoch if ingest else 0,
        last_seq=ingest.last_seq if ingest and ingest.epoch else -1,
        width=ingest.size[0] if ingest else 0,
        height=ingest.size[1] if ingest else 0,
        frames=counters.frames,
        damaged_frames=counters.damaged_frames,
        network_gaps=counters.network_gaps,
        connections=counters.connections,
        frame_rate=frame_rate,
        bit_rate=bit_rate,
        audio_packets_dropped=counters.audio_packets_dropped,
        last_received_ns=counters.last_received_ns,
        version=entry.stored.version,
        codec=ingest.codec if ingest and ingest.epoch else CODEC_UNSPECIFIED,
        transport_used=feed.transport_used,
        packets_lost=counters.packets_lost,
        packets_reordered=counters.packets_reordered,
        key_frame_interval=ingest.key_frame_interval if ingest and ingest.epoch else 0,
        clock=_clock_view(feed.clock_state),
        masks=[
            PrivacyMask(name=mask.name, corners=[MaskCorner(x=x, y=y) for x, y in mask.corners])
            for mask in entry.stored.masks
        ],
    )


def _clock_view(state: ClockState) -> CameraClock | None:
    reading = state.reading()
    if reading is None:
        return None
    drift = reading.drift
    return CameraClock(
        source=reading.source,
        offset_ns=reading.offset_ns or 0,
        drift_ppm=drift.ppm if drift else 0.0,
        drift_uncertainty_ppm=drift.uncertainty_ppm if drift else 0.0,
        jumps=reading.jumps,
        last_jump_ns=reading.last_jump_ns,
        last_jump_at_ns=reading.last_jump_at_ns,
        detail=state.detail,
    )


def stored_of(spec: CameraSpec) -> StoredCamera:
    """What an administrator asked for, unchecked."""
    name = "" if spec.display_name == spec.id else spec.display_name
    return StoredCamera(
        spec.id,
        spec.source,
        name,
        dict(spec.labels),
        spec.disabled,
        transport=spec.transport,
        tls_sha256=spec.tls_sha256,
        device=spec.device,
    )


def load_view(rows: Iterable[LoadRow], measured_ns: int) -> GetLoadResponse:
    """How loaded the broker is; `measured_ns` is UTC."""
    return GetLoadResponse(
        loads=[
            Load(
                name=row.name,
                used=row.used,
                limit=row.limit,
                unit=row.unit,
                warns_at=row.warns_at,
                degraded=row.degraded,
                detail=row.detail,
            )
            for row in rows
        ],
        measured_ns=measured_ns,
    )
