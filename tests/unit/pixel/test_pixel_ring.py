"""The ring's memory: seals, geometry, overwriting, lifetimes."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.pixel import ring_layout
from broker.pixel.ring_mapping import RingMapping
from broker.pixel.ring_writer import RingWriter


@pytest.fixture(autouse=True)
def _no_mapping_is_left() -> Iterator[None]:
    gc.collect()
    before = ring_layout.mapped_rings()
    yield
    gc.collect()
    assert ring_layout.mapped_rings() == before


def planes(width: int, height: int, value: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chroma = ((height + 1) // 2) * ((width + 1) // 2)
    return (
        np.full(width * height, value, np.uint8),
        np.full(chroma, value + 1, np.uint8),
        np.full(chroma, value + 2, np.uint8),
    )


def write(writer: RingWriter, seq: int, value: int | None = None, epoch: int = 7) -> None:
    y, u, v = planes(writer.width, writer.height, seq % 200 if value is None else value)
    width = writer.width
    writer.write_picture(
        y, width, u, (width + 1) // 2, v, (width + 1) // 2, epoch=epoch, seq=seq, received_ns=1000 + seq,
        monotonic_ns=2000 + seq, floor=seq,
    )  # fmt: skip


def test_a_picture_is_read_as_it_was_written() -> None:
    writer = RingWriter("gate", 33, 17, slots=3, records=8, generation=5, session=9)
    write(writer, 0)
    write(writer, 1)
    mapping = RingMapping(writer.fd)
    assert (mapping.camera, mapping.width, mapping.height, mapping.generation) == ("gate", 33, 17, 5)
    assert (mapping.slots, mapping.records, mapping.session, mapping.head) == (3, 8, 9, 2)
    record = mapping.record(1)
    assert record == (ring_layout.PICTURE, 0, 0, 1, 7, 1, 1, 1001, 4, 1)
    y, u, v = mapping.planes(1)
    assert (y.shape, u.shape, v.shape) == ((17, 33), (9, 17), (9, 17))
    assert (y == 1).all()
    assert (u == 2).all()
    assert (v == 3).all()
    assert mapping.is_whole(1, 4)
    assert mapping.monotonic_ns(1) == 2001
    writer.close()


def test_interleaved_chroma_is_seen_as_two_planes() -> None:
    writer = RingWriter("gate", 6, 4, slots=2, records=4, layout=ring_layout.NV12)
    luma = np.arange(24, dtype=np.uint8)
    pairs = np.arange(100, 112, dtype=np.uint8)
    writer.write_picture(luma, 6, pairs, 6, None, 0, epoch=1, seq=0, received_ns=0)
    y, u, v = RingMapping(writer.fd).planes(0)
    assert y.tobytes() == luma.tobytes()
    assert u.tobytes() == pairs[0::2].tobytes()
    assert v.tobytes() == pairs[1::2].tobytes()
    writer.close()


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 9), st.sampled_from([ring_layout.I420, ring_layout.NV12]))
def test_any_size_and_stride_comes_through(width: int, height: int, padding: int, layout: int) -> None:
    rng = np.random.default_rng(width * 100 + height)
    chroma_width, chroma_height = (width + 1) // 2, (height + 1) // 2
    wide = 2 * chroma_width if layout == ring_layout.NV12 else chroma_width
    y = rng.integers(0, 256, (height, width + padding), dtype=np.uint8)
    u = rng.integers(0, 256, (chroma_height, wide + padding), dtype=np.uint8)
    v = rng.integers(0, 256, (chroma_height, chroma_width + padding), dtype=np.uint8)
    writer = RingWriter("gate", width, height, slots=2, records=2, layout=layout)
    writer.write_picture(
        y.ravel(), y.shape[1], u.ravel(), u.shape[1], v.ravel() if layout == ring_layout.I420 else None, v.shape[1],
        epoch=1, seq=0, received_ns=0,
    )  # fmt: skip
    seen_y, seen_u, seen_v = RingMapping(writer.fd).planes(0)
    np.testing.assert_array_equal(seen_y, y[:, :width])
    if layout == ring_layout.I420:
        np.testing.assert_array_equal(seen_u, u[:, :chroma_width])
        np.testing.assert_array_equal(seen_v, v[:, :chroma_width])
    else:
        np.testing.assert_array_equal(seen_u, u[:, 0:wide:2])
        np.testing.assert_array_equal(seen_v, u[:, 1:wide:2])
    writer.close()


def test_a_lapped_reader_learns_it() -> None:
    writer = RingWriter("gate", 16, 16, slots=2, records=4)
    mapping = RingMapping(writer.fd)
    write(writer, 0)
    record = mapping.record(0)
    assert record is not None
    slot, sequence = record[3], record[8]
    write(writer, 1)
    assert mapping.is_whole(slot, sequence)
    write(writer, 2)
    assert not mapping.is_whole(slot, sequence)
    write(writer, 3)
    assert mapping.record(0) == record, "the story outlives the pixels"
    write(writer, 4)
    assert mapping.record(0) is None
    with pytest.raises(IndexError):
        mapping.record(5)
    writer.close()


def test_missing_frames_are_told_in_their_place() -> None:
    writer = RingWriter("gate", 16, 16, slots=2, records=4)
    writer.write_missing(epoch=3, first_seq=10, last_seq=12, reason=2, received_ns=77, floor=12)
    assert RingMapping(writer.fd).record(0) == (ring_layout.MISSING, 2, 0, 0, 3, 10, 12, 77, 0, 12)
    with pytest.raises(ValueError, match="no run"):
        writer.write_missing(epoch=3, first_seq=5, last_seq=4, reason=1)
    writer.close()


def test_views_stay_readable_after_reader_and_writer_are_gone() -> None:
    writer = RingWriter("gate", 16, 16, slots=2, records=4)
    write(writer, 0, value=50)
    mapping = RingMapping(writer.fd)
    y, _, _ = mapping.planes(0)
    writer.close()
    assert mapping.state == ring_layout.CLOSED
    del writer, mapping
    gc.collect()
    assert (y == 50).all()
    del y


def test_after_close_the_writer_refuses_and_closing_again_is_nothing() -> None:
    writer = RingWriter("gate", 16, 16)
    writer.close()
    writer.close()
    for call in (
        lambda: write(writer, 0),
        lambda: writer.width,
        lambda: writer.set_state(ring_layout.CLOSED),
        lambda: writer.write_missing(epoch=1, first_seq=0, last_seq=0, reason=1),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_a_writer_that_is_dropped_frees_its_memory() -> None:
    before = ring_layout.mapped_rings()
    writer = RingWriter("gate", 16, 16)
    assert ring_layout.mapped_rings() == before + 1
    descriptor = writer.fd
    del writer
    gc.collect()
    assert ring_layout.mapped_rings() == before
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_two_readers_see_the_same_memory() -> None:
    writer = RingWriter("gate", 16, 16)
    readers = [RingMapping(writer.fd) for _ in range(2)]
    write(writer, 0, value=99)
    for mapping in readers:
        assert (mapping.planes(0)[0] == 99).all()
    writer.close()


def test_readers_cannot_write_in_any_way() -> None:
    writer = RingWriter("gate", 16, 16)
    mapping = RingMapping(writer.fd)
    y = mapping.planes(0)[0]
    with pytest.raises(ValueError, match="read-only"):
        y[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        y.flags.writeable = True
    with pytest.raises(ValueError, match="WRITEABLE"):
        np.frombuffer(mapping, np.uint8).setflags(write=True)
    assert memoryview(mapping).readonly
    descriptor = os.dup(writer.fd)
    with pytest.raises(PermissionError):
        mmap.mmap(descriptor, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    for size in (0, 1 << 24):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(descriptor)
    writer.close()


def memfd(content: bytes, *, sealed: bool = True) -> int:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    if sealed:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


def test_what_is_no_ring_is_refused() -> None:
    writer = RingWriter("gate", 16, 16, slots=2, records=4)
    whole = bytes(memoryview(RingMapping(writer.fd)))
    reading, writing = os.pipe()
    cases = [
        (memfd(whole, sealed=False), "not sealed"),
        (memfd(whole[:100]), "100 bytes"),
        (memfd(whole[:-4096]), "header describes"),
        (memfd(whole + b"\0"), "header describes"),
        (memfd(b"x" + whole[1:]), "magic"),
        (memfd(whole[:8] + b"\xee" + whole[9:]), "version 238"),
        (memfd(whole[:16] + b"\xff\xff\xff\xff" + whole[20:]), "no picture size"),
        (memfd(whole[:24] + b"\1" + whole[25:]), "header describes"),
        (reading, "not a picture ring"),
    ]
    for descriptor, why in cases:
        with pytest.raises(ValueError, match=why):
            RingMapping(descriptor)
        os.close(descriptor)
    os.close(writing)
    writer.close()


@pytest.mark.parametrize(
    ("width", "height", "slots", "records", "layout"),
    [
        (0, 16, 4, 8, 1),
        (16, 20000, 4, 8, 1),
        (16, 16, 1, 8, 1),
        (16, 16, 65, 80, 1),
        (16, 16, 4, 3, 1),
        (16, 16, 4, 8, 3),
    ],
)
def test_impossible_shapes_are_refused(width: int, height: int, slots: int, records: int, layout: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words differ, and each is seen in other tests
        ring_layout.ring_bytes(width, height, slots, records, layout)
    with pytest.raises(ValueError):  # noqa: PT011
        RingWriter("gate", width, height, slots=slots, records=records, layout=layout)


def test_a_plane_of_a_wrong_size_is_refused_and_changes_nothing() -> None:
    writer = RingWriter("gate", 16, 16)
    y, u, v = planes(16, 16, 1)
    for bad in ((y[:-1], u, v), (y, u[:-1], v), (y, u, v[:-1])):
        with pytest.raises(ValueError, match="too small"):
            writer.write_picture(bad[0], 16, bad[1], 8, bad[2], 8, epoch=1, seq=0, received_ns=0)
    with pytest.raises(ValueError, match="too small"):
        writer.write_picture(y, 15, u, 8, v, 8, epoch=1, seq=0, received_ns=0)
    assert writer.head == 0
    writer.close()


def test_an_overlong_camera_id_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 63"):
        RingWriter("x" * 64, 16, 16)


def test_a_reader_beside_a_busy_writer_never_takes_a_torn_picture_for_whole() -> None:
    writer = RingWriter("gate", 256, 256, slots=2, records=64)
    done = threading.Event()

    def keep_writing() -> None:
        for seq in range(3000):
            write(writer, seq)
        done.set()

    thread = threading.Thread(target=keep_writing)
    thread.start()
    mapping = RingMapping(writer.fd)
    views = [mapping.planes(slot) for slot in range(2)]
    whole = torn = 0
    while not done.is_set():
        head = mapping.head
        record = mapping.record(head - 1) if head else None
        if record is None:
            continue
        y, u, v = views[record[3]]
        value = record[5] % 200
        right = bool((y == value).all() and (u == value + 1).all() and (v == value + 2).all())
        if mapping.is_whole(record[3], record[8]):
            assert right
            whole += 1
        else:
            torn += 1
    thread.join()
    assert whole > 0
    writer.close()
