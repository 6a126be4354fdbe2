"""Models: what is taken, what is refused, how a roll-out goes, and what its gates say."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.checkpoints import Checkpoint
from aggregate.gates import Costs, gates
from aggregate.inspections import Inspections
from aggregate.judge import Verdict
from aggregate.model_diff import compared
from aggregate.model_store import Models
from aggregate.models import Rollout, Version, chosen
from aggregate.offers import Offer, Offers, OptionInfo
from aggregate.orders import Order, Region
from aggregate.rules import UNKNOWN
from aggregate.scheduler import Scheduler
from aggregate.sessions import Session
from mesh.clocks import ManualClock
from mesh.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from mesh.ids import FrameId
from mesh.store import SqliteStore
from trueframe.v1 import inspection_pb2

SECOND = 1_000_000_000


def zipped(files: dict[str, str], *, mode: int = stat.S_IFREG | 0o644) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, text)
    return target.getvalue()


def model(weight: int, name: str = "gate.tiny") -> bytes:
    return zipped({"detector.toml": f'detector = "tiny"\nname = "{name}"\n', "weight.txt": str(weight)})


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 50):
        yield data[at : at + 50]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "aggregate.sqlite") as store:
        yield store


@pytest.fixture
async def models(store: SqliteStore, tmp_path: Path) -> Models:
    return await Models.open(store, tmp_path / "models", 1 << 20)


async def add(models: Models, data: bytes, name: str = "", digest: str = "") -> Version:
    version, _ = await models.add(name, digest, pieces(data), "ann", 5)
    return version


async def test_a_version_is_stored_under_its_hash_once_and_found_again(
    models: Models, store: SqliteStore, tmp_path: Path
) -> None:
    version = await add(models, model(1))
    assert version.digest == hashlib.sha256(model(1)).hexdigest()
    assert (version.model, version.detector, version.size) == ("gate.tiny", "tiny", len(model(1)))
    assert await models.add("gate.tiny", version.digest, pieces(model(1)), "bo", 9) == (version, True)
    again = await Models.open(store, tmp_path / "models")
    assert again.path(version.digest).read_bytes() == model(1)
    assert again.versions("gate.tiny") == [version]
    assert again.versions_named(f"tiny@1:{version.digest[:12]}") == (version,)
    assert again.versions_named("motion@1") == again.versions_named(f"tiny@1:{version.digest[:12]}+0000") == ()
    assert [path.name for path in (tmp_path / "models").iterdir()] == [f"{version.digest}.zip"]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"no zip at all", InvalidArgument, "no zip"),
        (model(1)[:-30], InvalidArgument, "no zip"),
        (zipped({"a.txt": ""}), InvalidArgument, "no detector.toml"),
        (zipped({"detector.toml": "detector = "}), InvalidArgument, "cannot be read"),
        (zipped({"detector.toml": 'name = "x"'}), InvalidArgument, "names no detector"),
        (zipped({"detector.toml": 'detector = "tiny"'}), InvalidArgument, "names no model"),
        (zipped({"detector.toml": 'detector = "tiny"\nname = "Übel"'}), InvalidArgument, "no name of a model"),
        (zipped({"detector.toml": 'detector = "tiny"\nname = "x"', "../x": ""}), InvalidArgument, "no plain file"),
        (zipped({"detector.toml": "x"}, mode=stat.S_IFLNK | 0o777), InvalidArgument, "no plain file"),
        (zipped({"detector.toml": "#" * 70_000}), InvalidArgument, "longer than 64 KiB"),
        (model(1) * 5000, ResourceExhausted, "larger than 1 MiB"),
        (zipped({f"{n}": "" for n in range(1100)}), InvalidArgument, "more than 1024 files"),
    ],
)  # fmt: skip
async def test_what_is_no_model_is_refused_and_leaves_nothing(
    models: Models, tmp_path: Path, data: bytes, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await add(models, data)
    assert models.names == []
    assert list((tmp_path / "models").iterdir()) == []


async def test_a_zip_that_says_more_than_it_may_hold_is_refused_before_it_is_unpacked(models: Models) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("detector.toml", 'detector = "tiny"\nname = "x"')
        archive.writestr("bomb", bytes(50 << 20))
    with pytest.raises(InvalidArgument, match="1 MiB"):
        await add(models, target.getvalue())


async def test_another_content_than_was_pinned_and_another_name_than_was_said_are_refused(models: Models) -> None:
    with pytest.raises(DataLoss):
        await add(models, model(1), digest="0" * 64)
    with pytest.raises(InvalidArgument, match=r"calls itself 'gate.tiny'"):
        await add(models, model(1), name="yard.tiny")


def version(weight: int) -> Version:
    return Version("m", f"{weight:064x}"[::-1], 1, "tiny", weight, "ann")


def test_a_version_is_named_by_the_beginning_of_its_digest() -> None:
    known = [version(1), version(0x21)]
    assert chosen("m", known, "") == version(0x21)
    assert chosen("m", known, known[0].digest[:8]) == known[0]
    for wrong in ("ffffffff", "1", "zz"):
        with pytest.raises((NotFound, InvalidArgument)):
            chosen("m", known, wrong)


def test_a_rollout_goes_from_shadow_to_canary_to_promoted_and_back() -> None:
    a, b = "a" * 64, "b" * 64
    with pytest.raises(FailedPrecondition):
        Rollout().shadowed(b)
    with pytest.raises(FailedPrecondition):
        Rollout().rolled_back()
    first = Rollout().promote(a)
    order, other, trial = Order("x", "x", "tiny"), Order("y", "y", "tiny"), Order("x~", "x", "tiny", shadow_of="x")
    # Of a model that is not on trial a shadow runs what speaks: another one of its models is being tried.
    assert (first.digest_for(order), first.digest_for(trial)) == (a, a)
    shadowed = first.shadowed(b)
    assert (shadowed.digest_for(order), shadowed.digest_for(trial)) == (a, b)
    canary = shadowed.with_canary(b, ["x"])
    assert (canary.digest_for(order), canary.digest_for(other)) == (b, a)
    promoted = canary.promote(b)
    assert (promoted.promoted, promoted.previous, promoted.shadow, promoted.canary) == (b, a, "", "")
    back = promoted.rolled_back()
    assert (back.promoted, back.previous) == (a, b)
    with pytest.raises(FailedPrecondition):
        promoted.promote(b)
    assert shadowed.with_canary(b, ["x"]).without_trial() == first


def heard(scores: list[float], first: int = 0) -> list[Verdict]:
    return [
        Verdict(FrameId("x", 1, first + n), (first + n + 1) * SECOND // 10, score) for n, score in enumerate(scores)
    ]


def test_two_versions_are_compared_frame_by_frame_and_judged_alike() -> None:
    quiet, loud = heard([0.1] * 400), heard([0.1] * 200 + [0.9] * 20 + [0.1] * 180)
    found = compared("x", loud, quiet, UNKNOWN)
    assert (found.frames, found.equal, found.greatest_at) == (400, 380, FrameId("x", 1, 200))
    assert round(found.greatest_difference, 3) == 0.8
    assert (found.one.alarms, found.other.alarms) == (1, 0)
    assert round(found.one.alarms_per_hour) == round(3600 / 39.9)
    # Of the time in which only one of them spoke nothing is said.
    late = compared("x", heard([0.1] * 150, 250), loud, UNKNOWN)
    assert (late.frames, late.one.alarms, late.other.alarms) == (150, 0, 0)
    assert late.one.scored_ns == late.other.scored_ns
    assert compared("x", [], quiet, UNKNOWN).frames == 0


def test_gates_say_with_which_figures_they_are_passed_or_not() -> None:
    quiet, loud = heard([0.1] * 400), heard([0.1] * 200 + [0.9] * 20 + [0.1] * 180)
    good = replace(version(1), golden="8 golden frames, equal to the bit")
    asked = gates(good, Costs(1200, 1000, 10, 0), [compared("x", quiet, quiet, UNKNOWN)], 30)
    assert [gate.is_passed for gate in asked] == [True, True, True]
    unknown = gates(version(1), Costs(0, 1000, 10, 0), [], 30)
    assert [gate.is_passed for gate in unknown] == [False, False, False]
    assert "0 s beside" in unknown[2].sentence
    bad = replace(good, golden="frame 3 differs", golden_differs=True)
    worse = gates(bad, Costs(90_000, 1000, 10, 0.5), [compared("x", loud, quiet, UNKNOWN)], 30)
    assert [gate.is_passed for gate in worse] == [False, False, False]
    assert "90.00 ms a frame against 1.00 ms" in worse[1].sentence
    assert "0.89 cores more" in worse[1].sentence
    assert "against 0.00, judged alike" in worse[2].sentence
    assert gates(good, Costs(90_000, 1000, 10, 1.0), [compared("x", quiet, quiet, UNKNOWN)], 30)[1].is_passed


class Pool:
    """An aggregate without a network, and one worker of which it is looked at what it is told."""

    def __init__(self, archive: Archive, models: Models) -> None:
        self.archive = archive
        self.models = models
        self.clock = ManualClock(10**18)
        offers = Offers()
        sources = OptionInfo("sources", "list of texts", "[]", names_models=True)
        offers.heard([Offer("tiny", "1", UNKNOWN, needs_model=True), Offer("both", "1", UNKNOWN, options=(sources,))])
        self.bench = Bench(archive, self.clock, rules_of=offers.rules)
        self.inspections = Inspections(archive, self.bench, self.clock, Scheduler(), offers=offers, models=models)
        self.session = Session("w1")
        self.told: list[inspection_pb2.Assignment] = []

    async def join(self) -> None:
        hello = inspection_pb2.WorkerHello(worker="w1", detectors=["tiny@1", "both@1"], capacity=9)
        await self.inspections.worker_joined(self.session, hello)

    async def roll(self, rollout: Rollout, model: str = "gate.tiny") -> None:
        await self.models.put_rollout(model, rollout)
        await self.inspections.rollout_changed(model, "ann")

    def assigned(self) -> list[tuple[str, ...]]:
        """What the worker was told: inspections with the versions of their own model and of further ones."""
        found = []
        while not self.session._waiting.empty():
            response = self.session._waiting.get_nowait()
            if response is not None and response.HasField("assignment"):
                one = response.assignment
                further = [version.digest[:12] for version in one.further_models]
                found.append((one.inspection.id, one.model.digest[:12], *further))
        return found

    def heard(self) -> list[tuple[str, str]]:
        """What the worker was told: inspections with the weight of their model, and revocations."""
        found = []
        while not self.session._waiting.empty():
            response = self.session._waiting.get_nowait()
            assert response is not None
            if response.HasField("assignment"):
                found.append((response.assignment.inspection.id, response.assignment.model.digest[:12]))
            else:
                found.append((response.revocation.inspection, "revoked"))
        return found


async def test_inspections_wait_for_a_model_and_follow_its_rollout(store: SqliteStore, models: Models) -> None:
    pool = Pool(await Archive.open(store), models)
    order = Order("gate.tiny", "gate", "tiny")
    await pool.inspections.load([order])
    await pool.inspections.camera_came("gate", "")
    await pool.join()
    assert pool.heard() == []
    (waiting,) = [status for status in pool.inspections.statuses() if status.order.detector == "tiny"]
    assert "no version of model gate.tiny was promoted" in waiting.problem
    one, two = [await add(models, model(weight)) for weight in (1, 2)]
    rollout = Rollout().promote(one.digest)
    await pool.roll(rollout)
    assert pool.heard() == [("gate.tiny", one.short)]
    rollout = rollout.shadowed(two.digest)
    await pool.roll(rollout)
    assert ("gate.tiny~shadow", two.short) in pool.heard()
    rollout = rollout.promote(two.digest)
    await pool.roll(rollout)
    assert set(pool.heard()) == {("gate.tiny", two.short), ("gate.tiny~shadow", "revoked")}
    await pool.roll(rollout.rolled_back())
    assert pool.heard() == [("gate.tiny", one.short)]
    changes = [change async for change in pool.archive.history.between("gate.tiny", 0, 10**19 - 1)]
    assert [(change.what, change.is_resting) for change in changes] == [("created", True), ("resumed", False)]


async def test_a_change_to_an_inspection_reaches_the_shadow_that_runs_beside_it(
    store: SqliteStore, models: Models
) -> None:
    pool = Pool(await Archive.open(store), models)
    order = Order("gate.tiny", "gate", "tiny")
    await pool.inspections.load([order])
    await pool.inspections.camera_came("gate", "")
    await pool.join()
    one, two = [await add(models, model(weight)) for weight in (1, 2)]
    await pool.roll(Rollout().promote(one.digest).shadowed(two.digest))
    pool.heard()
    door = Region("door", "inspect", ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)))
    await pool.inspections.put(replace(order, regions=(door,), max_fps=5.0), "ann")
    assert set(pool.heard()) == {("gate.tiny", one.short), ("gate.tiny~shadow", two.short)}
    told = {status.order.id: status.order for status in pool.inspections.statuses()}
    for id_ in ("gate.tiny", "gate.tiny~shadow"):
        assert (told[id_].regions, told[id_].max_fps) == ((door,), 5.0)
    assert told["gate.tiny~shadow"].priority == "background"
    await pool.inspections.put(replace(order, is_disabled=True), "ann")
    assert set(pool.heard()) == {("gate.tiny", "revoked"), ("gate.tiny~shadow", "revoked")}
    await pool.inspections.put(order, "ann")
    assert {id_ for id_, _ in pool.heard()} == {"gate.tiny", "gate.tiny~shadow"}


async def test_an_inspection_of_several_models_waits_for_all_and_each_is_rolled_out_by_itself(
    store: SqliteStore, models: Models
) -> None:
    pool = Pool(await Archive.open(store), models)
    options = 'sources = ["tiny@gate.tiny", "tiny@yard.tiny", "motion"]'
    await pool.inspections.load([Order("gate.both", "gate", "both", options=options)])
    await pool.inspections.camera_came("gate", "")
    await pool.join()
    one, two, three = [await add(models, model(weight)) for weight in (1, 2, 3)]
    other = await add(models, zipped({"detector.toml": 'detector = "tiny"\nname = "yard.tiny"', "weight.txt": "9"}))
    await pool.roll(Rollout().promote(one.digest))
    (waiting,) = [status for status in pool.inspections.statuses() if status.order.detector == "both"]
    assert "no version of model yard.tiny was promoted" in waiting.problem
    assert pool.heard() == []
    await pool.roll(Rollout().promote(other.digest), "yard.tiny")
    assert pool.assigned() == [("gate.both", "", one.short, other.short)]
    # One of the two is tried beside the other as it is; promoted, and taken back.
    tried = Rollout().promote(one.digest).shadowed(two.digest)
    await pool.roll(tried)
    assert pool.assigned() == [("gate.both~shadow", "", two.short, other.short)]
    await pool.roll(tried.promote(two.digest))
    assert ("gate.both", "", two.short, other.short) in pool.assigned()
    await pool.roll(tried.promote(two.digest).rolled_back())
    assert pool.assigned() == [("gate.both", "", one.short, other.short)]
    # A successor begins from the state of the versions that spoke.
    docket = pool.bench.docket("gate.both")
    assert docket is not None
    spoke = f"both@1:{one.short}+{other.short}"
    said = [Verdict(FrameId("gate", 1, n), pool.clock.utc_ns() + n, 0.1) for n in range(7, 9)]
    pool.bench.hear(docket, spoke, said, lambda: None)
    state = b"what it knows"
    checkpoint = Checkpoint(FrameId("gate", 1, 9), 10**18 + 9, spoke, state, hashlib.sha256(state).digest())
    pool.bench.hear(docket, spoke, [Verdict(FrameId("gate", 1, 9), 10**18 + 9, 0.1)], lambda: None, checkpoint)
    await pool.roll(Rollout().promote(three.digest))
    pool.heard()
    successor = Session("w2")
    hello = inspection_pb2.WorkerHello(worker="w2", detectors=["both@1"], capacity=9)
    await pool.inspections.worker_joined(successor, hello)
    await pool.inspections.worker_left(pool.session)
    assignment = next(
        one.assignment
        for one in iter(successor._waiting.get_nowait, None)
        if one is not None and one.assignment.inspection.id == "gate.both"
    )
    earlier = [version.digest for version in assignment.further_checkpoint_models]
    assert earlier == [one.digest, other.digest]
    assert [version.digest for version in assignment.further_models] == [three.digest, other.digest]
    assert not assignment.HasField("checkpoint_model")


async def test_what_a_shadow_finds_is_in_the_ledger_and_troubles_nobody(store: SqliteStore, models: Models) -> None:
    archive = await Archive.open(store)
    pool = Pool(archive, models)
    shadow = Order("gate.tiny~shadow", "gate", "tiny", shadow_of="gate.tiny")
    docket, _ = await pool.bench.open_docket(shadow, "")
    loud = [Verdict(FrameId("gate", 1, n), (n + 1) * SECOND // 10, 0.9) for n in range(100)]
    pool.bench.hear(docket, "tiny@1:abc", loud, lambda: None)
    await pool.bench.settle(docket)
    assert (await archive.anomalies.query()).documents == []
    assert [body async for body in archive.ledger.between(shadow.id)] != []


async def test_no_one_orders_a_shadow_or_watches_a_camera_that_is_not_there(store: SqliteStore, models: Models) -> None:
    pool = Pool(await Archive.open(store), models)
    await pool.inspections.camera_came("gate", "")
    with pytest.raises(InvalidArgument, match="shadow"):
        await pool.inspections.put(Order("x", "gate", "motion", shadow_of="y"), "ann")
    with pytest.raises(InvalidArgument, match="There are: gate"):
        await pool.inspections.put(Order("x", "yard", "motion"), "ann")


async def test_a_schedule_starts_and_stops_an_inspection_and_its_history_says_so(
    store: SqliteStore, models: Models
) -> None:
    from mesh.schedule import Window

    pool = Pool(await Archive.open(store), models)
    hours = Order("gate.motion", "gate", "motion", schedule=(Window((), 0, 60),))
    now_s = pool.clock.utc_ns() // SECOND
    pool.clock.advance(86_400 - now_s % 86_400 + 30 * 60)
    await pool.inspections.load([hours])
    await pool.inspections.camera_came("gate", "")
    pool.clock.advance(3600)
    await pool.inspections._look_at_rest()
    resting = next(status for status in pool.inspections.statuses() if status.order.id == hours.id)
    assert (resting.is_resting, resting.problem, resting.worker) == (True, "", "")
    pool.clock.advance(23 * 3600)
    await pool.inspections._look_at_rest()
    changes = [change async for change in pool.archive.history.between(hours.id, 0, 10**19 - 1)]
    assert [(change.what, change.by, change.why) for change in changes] == [
        ("created", "configuration", ""),
        ("paused", "its schedule", "outside its schedule"),
        ("resumed", "its schedule", ""),
    ]


async def test_before_any_state_is_stored_a_successor_begins_where_it_was_begun(
    store: SqliteStore, models: Models
) -> None:
    pool = Pool(await Archive.open(store), models)
    await pool.inspections.load([Order("gate.tiny", "gate", "tiny")])
    await pool.inspections.camera_came("gate", "")
    one = await add(models, model(1))
    await pool.roll(Rollout().promote(one.digest))
    await pool.join()
    other = Session("w2")
    hello = inspection_pb2.WorkerHello(worker="w2", detectors=["tiny@1"], capacity=9)
    await pool.inspections.worker_joined(other, hello)
    now_ns = pool.clock.utc_ns()
    docket = pool.bench.docket("gate.tiny")
    assert docket is not None
    missed = Verdict(FrameId("gate", 1, 9), now_ns + 3, reason=3, count=2)
    said = [*(Verdict(FrameId("gate", 1, n), now_ns + n, 0.1) for n in range(7, 9)), missed]
    pool.bench.hear(docket, f"tiny@1:{one.short}", said, lambda: None)
    await pool.inspections.worker_left(pool.session)
    response = other._waiting.get_nowait()
    assert response is not None
    assignment = response.assignment
    assert (assignment.begin.seq, assignment.after.seq, assignment.HasField("checkpoint")) == (7, 10, False)
    assert [(run.id.seq, run.count) for run in assignment.unseen] == [(9, 2)]
    assert not docket.begins
