"""The peer of `benchmarks.ring`: what the standard library offers for the same job.

A pool of multiprocessing.shared_memory segments; the writer copies a picture into the next one and puts its number on
a multiprocessing.Queue of each reader process; readers have mapped all segments at the start and look in place. It has
no pins, no seqlock and no story of missed pictures: a reader that is slow reads torn pictures and does not know.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from benchmarks.harness import percentile
from benchmarks.ring_reader import look


def _read(names: list[str], shape: tuple[int, int], inbox: Any, outbox: Any) -> None:
    segments = [SharedMemory(name=name) for name in names]
    views: list[Any] = [np.ndarray(shape, np.uint8, segment.buf) for segment in segments]
    outbox.put("ready")
    waits_ns = []
    began_ns = 0
    while (message := inbox.get()) is not None:
        slot, published_ns = message
        waits_ns.append(time.monotonic_ns() - published_ns)
        began_ns = began_ns or time.process_time_ns()
        look(views[slot])
    cpu_ns = time.process_time_ns() - began_ns
    views.clear()
    for segment in segments:
        segment.close()
    outbox.put({"pictures": len(waits_ns), "waits_ns": waits_ns, "cpu_us": cpu_ns / 1000})


def run_peer(width: int, height: int, options: argparse.Namespace) -> dict[str, Any]:
    """The same pictures at the same rate to as many readers; figures as `benchmarks.ring.run_ours` gives them."""
    context = multiprocessing.get_context("spawn")
    size = width * height * 3 // 2
    plain = [np.random.default_rng(seed).integers(0, 256, size, np.uint8) for seed in range(4)]
    pool = [SharedMemory(create=True, size=size) for _ in range(options.slots)]
    slots: list[Any] = [np.ndarray((size,), np.uint8, segment.buf) for segment in pool]
    for slot in slots:
        slot[:] = 0  # every page is there before the first picture
    inboxes: list[Any] = [context.Queue() for _ in range(options.readers)]
    outbox: Any = context.Queue()
    names = [segment.name for segment in pool]
    readers = [
        context.Process(target=_read, args=(names, (height, width), inbox, outbox), daemon=True) for inbox in inboxes
    ]
    try:
        for reader in readers:
            reader.start()
        for _ in readers:
            outbox.get(timeout=60)
        time.sleep(0.3)
        publish_ns = []
        due = time.monotonic()
        # Of the process, since each Queue sends by a thread of its own.
        began_ns, slept_ns = time.process_time_ns(), 0
        for seq in range(options.pictures):
            due += 1 / options.fps
            time.sleep(max(0.0, due - time.monotonic()))
            before_ns = time.thread_time_ns()
            np.copyto(slots[seq % options.slots], plain[seq % 4])
            now_ns = time.monotonic_ns()
            for inbox in inboxes:
                inbox.put((seq % options.slots, now_ns))
            publish_ns.append(time.thread_time_ns() - before_ns)
        time.sleep(0.2)
        writer_us = (time.process_time_ns() - began_ns - slept_ns) / 1000
        for inbox in inboxes:
            inbox.put(None)
        reports = [outbox.get(timeout=60) for _ in readers]
    finally:
        for reader in readers:
            reader.join(10)
            if reader.is_alive():
                reader.kill()
        slots.clear()
        for segment in pool:
            segment.close()
            segment.unlink()
    waits = [wait / 1000 for report in reports for wait in report["waits_ns"]]
    told = sum(report["pictures"] for report in reports)
    return {
        "publish_us": statistics.median(publish_ns) / 1000,
        "wake_p50_us": percentile(waits, 0.5),
        "wake_p99_us": percentile(waits, 0.99),
        "reader_us": sum(report["cpu_us"] for report in reports) / max(1, told),
        "cpu_us_per_picture": (writer_us + sum(report["cpu_us"] for report in reports)) / options.pictures,
        "seen_share": told / (options.pictures * options.readers),
    }
