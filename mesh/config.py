# ruff: noqa: RUF009 - `option` returns a dataclass field; its doc belongs beside its default.
"""The configuration of every part, as one tree of frozen dataclasses. How it is read stands in `mesh.config_source`.

Each field keeps its documentation and bounds beside it; `docs/reference/configuration.md` is generated from here.
Values come, the later outranking the earlier, from: the defaults below, a TOML file, the environment
(`TRUEFRAME_SECTION__KEY`), and `--set section.key=value`. An unknown key is refused, naming the nearest valid one.

What does not belong here: settings that only tests need, and anything that changes while running (that is in stores).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from mesh.config_alarms import EventCenterConfig, check_alarm_groups, check_reports, check_retention
from mesh.config_masks import MaskSeed
from mesh.config_notifications import NotificationsConfig, absolute_notifications, check_notifications
from mesh.config_option import option
from mesh.config_security import (
    NatsConfig,
    SecurityConfig,
    absolute_nats,
    absolute_security,
    check_security,
)
from mesh.config_source import decode_tree, encode_toml, merge_sources
from mesh.config_store import StoreConfig, absolute_store, check_store
from mesh.errors import InvalidArgument
from mesh.ids import CAMERA_ID_RULE, is_camera_id

_MAX_SOCKET_PATH_BYTES = 100
_LONGEST_SOCKET_NAME = "event-center.sock"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Where an instance lives and how it reports."""

    data_dir: Path = option(Path("trueframe-data"), "Folder of everything an instance keeps.")
    run_dir: Path | None = option(
        None,
        "Folder of sockets, mode 0700. Default: `run` in the data folder, or one in /tmp if that path is too long.",
    )
    log_level: str = option("info", "What is logged.", one_of=("debug", "info", "warning", "error"))
    log_json: bool = option(False, "Log one JSON object a line instead of text.")
    metrics: bool = option(False, "Serve Prometheus metrics on 127.0.0.1.")
    metrics_port: int = option(
        0, "Port of the metrics; 0 takes a free one and writes its URL to SERVICE.metrics in the run folder.",
        at_least=0, at_most=65535,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """The frame broker."""

    endpoint: str = option("", "gRPC endpoint. Default: `unix:` and `broker.sock` in the run folder.")
    ring_seconds: float = option(30.0, "Packets kept in memory for each camera, in seconds.", at_least=1, at_most=3600)
    ring_bytes: int = option(
        33_554_432, "Packets kept in memory for each camera, in bytes.", at_least=1_048_576, at_most=1 << 34
    )
    memory_bytes: int = option(
        2_147_483_648,
        "Packets kept in memory for all cameras together, in bytes. Beyond, the oldest of the fullest rings go first.",
        at_least=16_777_216, at_most=1 << 42,
    )  # fmt: skip
    min_ring_seconds: float = option(
        5.0,
        "A camera is refused if `memory_bytes` would then hold less than this of every camera, as they send now.",
        at_least=0, at_most=3600,
    )  # fmt: skip
    silent_after_s: float = option(
        5.0, "A connected camera that sends nothing for so long is silent.", at_least=0.1, at_most=600
    )
    connect_timeout_s: float = option(5.0, "Longest wait for a camera's answer.", at_least=0.1, at_most=120)
    clock_alarm_s: float = option(
        5.0, "A camera whose own clock is wrong by more raises an alarm.", at_least=0.1, at_most=1e9
    )
    max_cameras: int = option(256, "Cameras that this broker accepts.", at_least=1, at_most=10_000)
    max_subscribers: int = option(64, "Open subscriptions that this broker accepts.", at_least=1, at_most=10_000)
    max_pending_items: int = option(
        256,
        "Items of a camera that may wait for a subscriber that is not lossless; then it goes on at a join point.",
        at_least=1,
        at_most=1 << 20,
    )
    max_pending_bytes: int = option(
        67_108_864, "The same in bytes, of all its cameras together.", at_least=1 << 16, at_most=1 << 40
    )
    pin_core: int = option(
        -2,
        "Core that the broker is bound to: -2 the one it starts on if there are at least 4, -1 none, or its number.",
        at_least=-2,
        at_most=4095,
    )
    tune_malloc: bool = option(True, "The broker's allocator keeps what is freed: up to 128 MiB more memory, less CPU.")


@dataclass(frozen=True, slots=True)
class CameraSeed:
    """A camera that is added at the first start. The store outranks it afterwards."""

    id: str = option("", "Immutable slug, [a-z0-9-]{1,63}.")
    source: str = option(
        "",
        "rtsp(s)://, http(s):// or file:// URL, or a path. Credentials inside are never given out again.",
    )
    display_name: str = option("", "Free text in any script; the id when empty.")
    labels: Mapping[str, str] = field(default_factory=dict, metadata={"doc": "Free labels, key to value."})
    disabled: bool = option(False, "Switched off: no connection is made.")
    transport: str = option("auto", "How packets of an RTSP camera come.", one_of=("auto", "tcp", "udp"))
    tls_sha256: str = option(
        "", "SHA-256 of the certificate of an rtsps:// or https:// camera; empty: authorities decide."
    )
    device: str = option("", "Names the device that several streams belong to.")
    masks: tuple[MaskSeed, ...] = option((), "Privacy masks; none means that everybody sees everything.")


@dataclass(frozen=True, slots=True)
class PixelsConfig:
    """The pixel host."""

    endpoint: str = option("", "gRPC endpoint. Default: `unix:` and `pixels.sock` in the run folder.")
    rings_socket: Path | None = option(
        None, "Unix socket that hands out picture rings. Default: `rings.sock` in the run folder."
    )
    memory_bytes: int = option(
        1_073_741_824, "Memory for decoded pictures of all cameras.", at_least=1_048_576, at_most=1 << 40
    )
    slots: int = option(4, "Pictures kept for each camera.", at_least=2, at_most=64)
    decoder: str = option(
        "auto",
        "What decodes: an NVIDIA GPU only where it gives the very bytes that software gives.",
        one_of=("auto", "software", "cuvid"),
    )


@dataclass(frozen=True, slots=True)
class MediaCenterConfig:
    """The recorder and archive."""

    endpoint: str = option("", "gRPC endpoint. Default: `unix:` and `media-center.sock` in the run folder.")
    footage_dir: Path | None = option(None, "Folder of the footage. Default: `media` in the data folder.")
    fragment_s: float = option(1.0, "A fragment closes after so many seconds.", at_least=0.1, at_most=10)
    segment_s: float = option(60.0, "A segment closes at the first join point after so many seconds.", at_least=1)
    max_segment_s: float = option(300.0, "A segment closes at the latest after so many seconds.", at_least=1)
    tune_malloc: bool = option(
        True, "The recorder's allocator keeps what is freed: up to 128 MiB more memory, less CPU."
    )
    sync_s: float = option(1.0, "Data is synced at least so often; a crash loses at most twice that.", at_least=0.05)
    slow_write_s: float = option(
        1.0, "Rounds of writing that take longer raise an alarm, before frames are lost.", at_least=0.01, at_most=60
    )
    min_free_bytes: int = option(1_073_741_824, "Recording stops with an alarm below this free space.", at_least=0)
    pre_roll_s: float = option(5.0, "Footage held before an anomaly begins.", at_least=0, at_most=3600)
    post_roll_s: float = option(10.0, "Footage held after an anomaly has ended.", at_least=0, at_most=3600)
    event_hold_days: float = option(
        30.0, "The clip of an event is held for so long after the event was closed; 0 for ever.", at_least=0
    )
    max_age_s: int = option(
        0, "Common rule: footage older than so many seconds is deleted; 0 for no bound.", at_least=0
    )
    max_bytes: int = option(
        0, "Common rule: beyond so many bytes of a camera its oldest footage is deleted; 0 for no bound.", at_least=0
    )
    move_after_s: int = option(
        0, "Common rule: footage of this age is moved to `second_tier`; 0 for never.", at_least=0
    )
    warn_free_bytes: int = option(
        0,
        "Below this free space an alarm is raised; the oldest footage goes halfway from here to min_free_bytes. "
        "0: twice min_free_bytes.",
        at_least=0,
    )
    second_tier: str = option(
        "", "Where older footage is moved to: a folder on another disk, or `s3://BUCKET/PREFIX`. Default: none."
    )
    s3_endpoint_url: str = option("", "Of the service that has the bucket. Default: that of AWS.")
    s3_region: str = option("", "Of the bucket. Default: as the environment says.")
    s3_credentials_file: Path | None = option(
        None, "Keys of the bucket in the form of AWS, mode 0600. Default: the environment, `~/.aws`, or the machine's."
    )
    s3_cache_bytes: int = option(
        10_737_418_240, "Disk for footage fetched from the bucket; the longest unused goes first.", at_least=0
    )
    scrub_days: float = option(
        30.0, "All footage is compared with its digests and seals within so many days; 0 for never.", at_least=0
    )


@dataclass(frozen=True, slots=True)
class AggregateConfig:
    """The detector aggregate."""

    endpoint: str = option("", "gRPC endpoint. Default: `unix:` and `aggregate.sock` in the run folder.")
    default_detectors: tuple[str, ...] = option(
        ("motion", "signal", "health"), "A camera that comes gets an inspection with each of these detectors."
    )
    shadow_s: float = option(
        600.0, "A model's version must have run in the shadow for so long before it is promoted.", at_least=0
    )
    calibrate_s: float = option(
        3600.0, "Calibrated thresholds are computed anew after so many seconds.", at_least=1, at_most=86_400
    )
    max_model_bytes: int = option(
        536_870_912, "Largest model that is taken, in bytes.", at_least=1 << 10, at_most=1 << 34
    )


@dataclass(frozen=True, slots=True)
class DetectorPoolConfig:
    """A worker."""

    capacity: int = option(
        16, "Cameras that one worker takes while it is not measured what they cost.", at_least=1, at_most=1024
    )
    cores: float = option(
        0.0, "CPU cores that one worker may use; 0 for those that the machine has, up to 4.", at_least=0, at_most=1024
    )
    provider: str = option(
        "auto", "What models run on: a GPU where there is one, or the CPU.", one_of=("auto", "cpu", "cuda")
    )
    model_cache_bytes: int = option(
        2_147_483_648, "Disk for models that were fetched from the aggregate; the longest unused goes first.",
        at_least=1 << 20,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RegionSeed:
    """A part of the picture."""

    name: str = option("", "Its name.")
    use: str = option(
        "inspect", "What happens inside of it; a line is what rules ask about.", one_of=("inspect", "ignore", "line")
    )
    corners: tuple[tuple[float, float], ...] = option(
        (), "Corners [x, y] of a polygon, or of a line, in fractions of width and height.", at_least=0, at_most=1
    )


@dataclass(frozen=True, slots=True)
class InspectionSeed:
    """An inspection that is put at the first start. The store outranks it afterwards."""

    id: str = option("", "Its id.")
    camera: str = option("", "The camera inspected.")
    detector: str = option("motion", "Name of the detector.")
    threshold: float = option(
        0.0, "Score from which on a frame is abnormal; 0 takes the default of the detector.", at_least=0, at_most=1
    )
    regions: tuple[RegionSeed, ...] = option((), "Regions; none means the whole picture.")
    fixed_regions: bool = option(False, "Regions stay where they are in the picture, whatever the camera does.")
    options: str = option("", "Options of the detector, as a TOML text.")
    model: str = option("", "Name of a published model. Default: CAMERA.DETECTOR, where the detector takes one.")
    schedule: tuple[str, ...] = option((), 'Only then: "mon-fri 08:00-18:00", "22:00-06:00". Default: always.')
    false_alarms_per_hour: float = option(
        0.0, "What its threshold is calibrated to; 0 leaves it alone.", at_least=0, at_most=3600
    )
    max_fps: float = option(0.0, "Frames a second that are looked at, at most; 0 for all.", at_least=0, at_most=1000)
    priority: str = option(
        "normal", "How much it matters when there is too much to do.", one_of=("high", "normal", "background")
    )


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """Where the cameras are."""

    timezone: str = option("", 'Zone that schedules are meant in: "Europe/Berlin". Default: that of the machine.')


@dataclass(frozen=True, slots=True)
class LearningConfig:
    """What `trueframe up` learns of each camera by itself: a model of what is normal, from recorded footage."""

    enabled: bool = option(True, "Learn what is normal for each camera, and inspect it by that.")
    first_after_s: float = option(
        600.0, "Footage of a camera, in seconds, from which its first model is made.", at_least=60
    )
    check_s: float = option(300.0, "How often it is looked at what there is to learn.", at_least=1)
    fps: float = option(10.0, "Frames a second that inspections begun by themselves look at.", at_least=1, at_most=100)
    false_alarms_per_hour: float = option(
        1.0, "What thresholds of inspections begun by themselves are calibrated to; 0 keeps the detector's own.",
        at_least=0, at_most=3600,
    )  # fmt: skip
    trial_s: float = option(86_400.0, "How long a later model runs silently before it may speak.", at_least=0)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything."""

    run: RunConfig = field(default_factory=RunConfig)
    site: SiteConfig = field(default_factory=SiteConfig)
    security: SecurityConfig = field(default_factory=SecurityConfig)
    nats: NatsConfig = field(default_factory=NatsConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    broker: BrokerConfig = field(default_factory=BrokerConfig)
    cameras: tuple[CameraSeed, ...] = ()
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    media_center: MediaCenterConfig = field(default_factory=MediaCenterConfig)
    aggregate: AggregateConfig = field(default_factory=AggregateConfig)
    event_center: EventCenterConfig = field(default_factory=EventCenterConfig)
    detector_pool: DetectorPoolConfig = field(default_factory=DetectorPoolConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)
    notifications: NotificationsConfig = field(default_factory=NotificationsConfig)
    inspections: tuple[InspectionSeed, ...] = ()

    @property
    def run_dir(self) -> Path:
        """Folder of sockets."""
        return self.run.run_dir or default_run_dir(self.run.data_dir)

    @property
    def public_key_file(self) -> Path:
        """Public key of the tokens that are believed."""
        return self.security.public_key_file or self.run.data_dir / "keys" / "signing.pub"

    @property
    def token_file(self) -> Path:
        """This service's own token."""
        return self.security.token_file or self.run.data_dir / "keys" / "service.token"

    @property
    def revocations_file(self) -> Path:
        """List of revoked tokens."""
        return self.security.revocations_file or self.run.data_dir / "keys" / "revoked.jws"

    @property
    def credentials_key_file(self) -> Path:
        """Key that camera passwords are sealed with."""
        return self.security.credentials_key_file or self.run.data_dir / "keys" / "credentials.key"

    @property
    def footage_dir(self) -> Path:
        """Folder of the footage."""
        return self.media_center.footage_dir or self.run.data_dir / "media"

    @property
    def rings_socket(self) -> Path:
        """Unix socket that hands out picture rings."""
        return self.pixels.rings_socket or self.run_dir / "rings.sock"


def load(
    path: Path | str | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Config:
    """Reads the configuration; the result is complete: every path absolute, every derived value filled in.

    `overrides` are texts `section.key=value`. `environ` is os.environ if None. Raises NotFound (no such file) and
    InvalidArgument (not TOML, an unknown key, a value of the wrong type or out of bounds, an id twice).
    """
    tree = merge_sources(
        Config, Path(path) if path is not None else None, overrides, os.environ if environ is None else environ
    )
    config = complete(decode_tree(Config, tree))
    _check_together(config)
    return config


def complete(config: Config) -> Config:
    """Fills in what is derived from the data folder, and makes paths absolute. Idempotent."""
    run = replace(config.run, data_dir=config.run.data_dir.absolute())
    run = replace(run, run_dir=(run.run_dir or default_run_dir(run.data_dir)).absolute())
    config = replace(config, run=run)
    folder = config.run_dir
    return replace(
        config,
        security=absolute_security(config.security, run.data_dir / "keys"),
        nats=absolute_nats(config.nats),
        store=absolute_store(config.store),
        notifications=absolute_notifications(config.notifications),
        broker=replace(config.broker, endpoint=config.broker.endpoint or f"unix:{folder}/broker.sock"),
        pixels=replace(
            config.pixels,
            endpoint=config.pixels.endpoint or f"unix:{folder}/pixels.sock",
            rings_socket=config.rings_socket.absolute(),
        ),
        media_center=replace(
            config.media_center,
            endpoint=config.media_center.endpoint or f"unix:{folder}/media-center.sock",
            footage_dir=config.footage_dir.absolute(),
            second_tier=_second_tier(config.media_center.second_tier),
            s3_credentials_file=config.media_center.s3_credentials_file
            and config.media_center.s3_credentials_file.absolute(),
        ),
        aggregate=replace(config.aggregate, endpoint=config.aggregate.endpoint or f"unix:{folder}/aggregate.sock"),
        event_center=replace(
            config.event_center,
            endpoint=config.event_center.endpoint or f"unix:{folder}/event-center.sock",
            reports_dir=(config.event_center.reports_dir or config.run.data_dir / "reports").absolute(),
        ),
    )  # fmt: skip


def _second_tier(place: str) -> str:
    """A folder becomes absolute; a bucket stays as it is."""
    return place if not place or place.startswith("s3://") else str(Path(place).expanduser().absolute())


def _check_together(config: Config) -> None:
    """What no single field can say."""
    check_store(config.store)
    check_security(config.security, config.nats)
    media = config.media_center
    if media.max_segment_s < media.segment_s:
        raise InvalidArgument("media_center.max_segment_s", f"is less than segment_s ({media.segment_s:g})")
    if 0 < media.warn_free_bytes <= media.min_free_bytes:
        raise InvalidArgument(
            "media_center.warn_free_bytes",
            f"is not more than min_free_bytes ({media.min_free_bytes})",
            "Recording stops below that one; the warning must come before.",
        )
    check_alarm_groups(config.event_center.groups)
    check_reports(config.event_center.reports)
    check_retention(config.event_center.keep_events_days)
    check_notifications(config.notifications)
    sections: dict[str, tuple[CameraSeed | InspectionSeed, ...]] = {
        "cameras": config.cameras,
        "inspections": config.inspections,
    }
    for section, seeds in sections.items():
        seen: set[str] = set()
        for number, seed in enumerate(seeds):
            where = f"{section}[{number}]"
            camera = seed.id if isinstance(seed, CameraSeed) else seed.camera
            if not is_camera_id(camera):
                raise InvalidArgument(f"{where}: camera id {camera[:80]!r}", CAMERA_ID_RULE)
            if not seed.id:
                raise InvalidArgument(where, "has no id")
            if seed.id in seen:
                raise InvalidArgument(f"{where}: id {seed.id!r}", "is there twice", "Give each its own.")
            if isinstance(seed, CameraSeed) and not seed.source:
                raise InvalidArgument(f"{where}: camera {seed.id!r}", "has no source")
            seen.add(seed.id)


def default_run_dir(data_dir: Path) -> Path:
    """`run` in the data folder; a private one in /tmp where a socket's path would exceed the kernel's limit."""
    folder = data_dir.absolute() / "run"
    if len(os.fsencode(folder / _LONGEST_SOCKET_NAME)) <= _MAX_SOCKET_PATH_BYTES:
        return folder
    # Its owner and mode are checked by mesh.files.private_folder before anything is put there.
    return Path("/tmp") / f"trueframe-{os.getuid()}-{sha256(os.fsencode(folder)).hexdigest()[:16]}"  # noqa: S108


def dump(config: Config) -> str:
    """The configuration as TOML that `load` reads back to an equal one. May hold credentials: write it private."""
    return encode_toml(config)
