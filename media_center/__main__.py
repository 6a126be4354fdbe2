"""`python -m media_center --config FILE`: the recorder and archive of one machine. Composition only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from broker.client import BrokerClient
from media_center.access_log import AccessLog
from media_center.announcer import announce
from media_center.archive import Archive
from media_center.bring_back import BringBack
from media_center.bucket import SCHEME, Bucket
from media_center.bucket_tier import BucketTier
from media_center.cutter import Limits
from media_center.decoder import Decoder
from media_center.errors import DiskFull
from media_center.event_intake import listening
from media_center.folder_notes import FolderNotes
from media_center.hold_book import HoldBook
from media_center.holds import Rolls
from media_center.import_desk import ImportDesk
from media_center.keys import RING_NAME, FootageSigner
from media_center.lane import Commit
from media_center.mask_book import MaskBook
from media_center.metrics import FootageCollector
from media_center.recorder import Recorder
from media_center.recovery import recover
from media_center.retention import Rule
from media_center.retention_keeper import Levels, RetentionKeeper
from media_center.retention_rules import RuleBook
from media_center.room import House
from media_center.scrub import Scrubber
from media_center.scrub_metrics import ScrubCollector
from media_center.service import SERVICE_NAME, FootageServicer
from media_center.stop_mark import leave_marks
from media_center.storage_report import StorageReport
from media_center.storage_watch import StorageWatch
from media_center.system_events import SystemEvents
from media_center.tiers import SecondTier
from media_center.writer import FootageWriter, free_bytes
from mesh.allocator import tune_malloc
from mesh.bus import Bus
from mesh.channel import Credentials, connect
from mesh.clocks import SystemClock
from mesh.config import Config, MediaCenterConfig
from mesh.errors import FailedPrecondition
from mesh.files import durable_folder, private_folder
from mesh.outbox import OutboxPublisher
from mesh.runner import run_service
from mesh.server import serve
from mesh.store_open import open_store
from trueframe.v1 import footage_pb2_grpc

# Readers wait for the disk, not for the processor.
_READERS = 16
# Pictures that are decoded at once.
_DECODERS = 2
# After a start the recorder first takes over what the broker kept for it.
_CATCH_UP_NS = 10_000_000_000
# Between a frame's arrival at the broker and its fragment at the writer, apart from the fragment's own length.
_ON_THE_WAY_NS = 2_000_000_000


async def main(config: Config) -> None:
    """Serves and records until cancelled; then everything received is on disk."""
    settings = config.media_center
    if settings.tune_malloc:
        tune_malloc()
    root = prepare_folder(config.footage_dir, settings.min_free_bytes)
    clock = SystemClock()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_READERS, thread_name_prefix="footage-reader"))
    signer = await asyncio.to_thread(FootageSigner.of_folder, config.run.data_dir / "keys", clock.utc_ns())
    second = second_tier_of(root, settings)
    if second is not None:
        await asyncio.to_thread(second.open_if_possible)
    notes = FolderNotes(root)
    recovered = await asyncio.to_thread(recover, root, signer, notes)
    if isinstance(second, BucketTier):
        second.serve()  # from now on: a start fetches nothing
    lanes = {camera: found.lane for camera, found in recovered.items()}
    archive = Archive(
        root,
        {camera: found.table for camera, found in recovered.items()},
        {camera: lane.watermark for camera, lane in lanes.items() if lane.watermark is not None},
    )

    def on_commit(commits: list[Commit]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody reads any more
            loop.call_soon_threadsafe(archive.apply, commits)

    writer = FootageWriter(
        root, lanes, on_commit, clock, sync_s=settings.sync_s, min_free_bytes=settings.min_free_bytes, signer=signer,
        notes=notes,
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        decoder = await stack.enter_async_context(Decoder(processes=_DECODERS))
        private_folder(config.run.data_dir / "media-center")
        store = await stack.enter_async_context(open_store(config, "media-center"))
        holds = await HoldBook.open(store, archive, rolls_of(settings), clock)
        access = stack.enter_context(AccessLog(config.run.data_dir / "media-center" / "access", clock, signer.sign))
        bus = await stack.enter_async_context(Bus.from_config(config, "media-center"))
        events = SystemEvents(bus, clock)
        rules = await RuleBook.open(store, Rule(settings.max_age_s, settings.max_bytes, settings.move_after_s))
        levels = Levels.of(settings.min_free_bytes, settings.warn_free_bytes)
        retention = RetentionKeeper(
            root, archive, holds, rules, events, signer, clock, levels, second, writer.finish, notes
        )
        storage_watch = StorageWatch(writer, events, settings.slow_write_s)
        storage = StorageReport(root, archive, writer, storage_watch)
        storage.key_id = lambda: signer.key_id
        if second is not None:
            storage.second_tier = retention.second_tier
        imports = ImportDesk(
            root, archive, writer, signer, limits_of(settings), clock, settings.min_free_bytes, rules.rule_of
        )
        scrubber = Scrubber(
            archive, config.run.data_dir / "keys" / RING_NAME, events, clock,
            config.run.data_dir / "media-center" / "scrub.json",
            scrub_days=settings.scrub_days, is_busy=lambda: bool(storage_watch.detail),
        )  # fmt: skip
        storage.scrubbed = lambda: (scrubber.finished_ns, scrubber.damaged_segments)
        stack.enter_context(ScrubCollector(scrubber))
        broker_channel = await stack.enter_async_context(
            connect(config.broker.endpoint, Credentials.from_config(config))
        )
        masks = MaskBook(config.run.data_dir / "media-center" / "masks.json", broker_channel)
        servicer = FootageServicer(
            House(
                archive,
                decoder,
                clock,
                signer,
                holds,
                access,
                storage,
                retention=retention,
                imports=imports,
                scrubber=scrubber,
                bring_back=BringBack(root, retention, clock, levels.warn),
                masks=masks,
            )
        )
        client = await stack.enter_async_context(BrokerClient(config.broker.endpoint, Credentials.from_config(config)))
        resumptions = {camera: found.resumption for camera, found in recovered.items()}
        recorder = Recorder(client, writer, limits_of(settings), clock, resumptions)
        stack.enter_context(FootageCollector(recorder, writer, archive))
        await stack.enter_async_context(
            serve(
                settings.endpoint,
                config,
                servicers=[(footage_pb2_grpc.add_FootageServiceServicer_to_server, servicer, SERVICE_NAME)],
                generic=servicer.generic_handlers(),
                audit="media-center",
            )
        )
        outbox = OutboxPublisher(holds.documents, bus, clock)
        holds.on_stored = outbox.wake
        writer.start()
        started_ns = clock.monotonic_ns()

        def settled_ns() -> int:
            if clock.monotonic_ns() - started_ns < _CATCH_UP_NS:
                return 0
            return writer.settled_ns - limits_of(settings).fragment_ns - _ON_THE_WAY_NS

        await stack.enter_async_context(outbox)
        await stack.enter_async_context(listening(bus, holds))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(announce(archive, bus), name="footage announcer")
                tasks.create_task(events.run(), name="system events")
                tasks.create_task(storage_watch.run(), name="storage watch")
                loaded = tasks.create_task(asyncio.to_thread(archive.load), name="catalogues")
                tasks.create_task(_behind(loaded, retention.run), name="retention")
                tasks.create_task(scrubber.run(), name="scrub")
                tasks.create_task(holds.watch_footage(settled_ns), name="holds")
                tasks.create_task(masks.run(), name="privacy masks")
                tasks.create_task(recorder.run(), name="recorder")
                tasks.create_task(decoder.warm(), name="decoder")
        finally:
            await asyncio.sleep(0)  # commits on their way into the archive
            if writer.stop(0.0):
                retention.tidy()
                leave_marks(root, archive.left())


def second_tier_of(root: Path, settings: MediaCenterConfig) -> SecondTier | BucketTier | None:
    """The second tier, if there is one. Raises InvalidArgument, FailedPrecondition, NotFound, PermissionDenied."""
    place = settings.second_tier
    if not place:
        return None
    if not place.startswith(SCHEME):
        return SecondTier(root, Path(place))
    bucket = Bucket(place, settings.s3_endpoint_url, settings.s3_region, settings.s3_credentials_file)
    return BucketTier(root, bucket, settings.s3_cache_bytes, settings.min_free_bytes)


async def _behind(first: Awaitable[None], run: Callable[[], Awaitable[None]]) -> None:
    """Runs what looks at all footage when that can be done without waiting for the disk."""
    await first
    await run()


def prepare_folder(root: Path, min_free_bytes: int) -> Path:
    """Makes sure of a footage folder that can be recorded to. Raises FailedPrecondition, DiskFull."""
    try:
        durable_folder(root)
        probe = root / ".writable"
        probe.write_bytes(b"trueframe")
        probe.unlink()
    except OSError as error:
        raise FailedPrecondition(
            f"footage folder {root}",
            f"cannot be written ({error.strerror})",
            "Free some space, mend its permissions, or set media_center.footage_dir.",
        ) from None
    free = free_bytes(root)
    is_short = free is not None and free < min_free_bytes
    # Where there is footage retention makes space, or an alarm says why it cannot.
    if free is not None and is_short and not any(root.glob("*/*.mp4")):
        raise DiskFull.at_start(root, free, min_free_bytes)
    return root


def limits_of(settings: MediaCenterConfig) -> Limits:
    """When to cut, out of the configuration."""
    return Limits(
        fragment_ns=round(settings.fragment_s * 1e9),
        segment_ns=round(settings.segment_s * 1e9),
        max_segment_ns=round(max(settings.max_segment_s, settings.segment_s) * 1e9),
    )


def rolls_of(settings: MediaCenterConfig) -> Rolls:
    """What is held around an event, out of the configuration."""
    return Rolls(
        pre_ns=round(settings.pre_roll_s * 1e9),
        post_ns=round(settings.post_roll_s * 1e9),
        keep_ns=round(settings.event_hold_days * 86_400e9),
    )


if __name__ == "__main__":
    run_service(main)
