"""Whoever changes recorded footage, an export, a snapshot or what proves them is found out, whatever the change."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from media_center.keys import TrustedKeys, is_signed
from media_center.seal_files import read_seal
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome, worst
from tests.footage_evidence import Evidence, Trusted, make_evidence
from tests.footage_tampered_exports import EXPORTS
from tests.footage_tampered_pictures import PICTURES
from tests.footage_tampered_segments import SEGMENTS
from tests.footage_thief import Kind

pytestmark = pytest.mark.chaos

ROUNDS = 9
"""Times that each kind of tampering is tried, each time elsewhere."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return make_evidence(tmp_path_factory.mktemp("evidence"))


KINDS = [*SEGMENTS, *EXPORTS, *PICTURES]
UNKNOWN_WILL_DO = {
    "resealed_with_another_key", "whole_chain_resealed", "removed_with_a_forged_record", "manifest_signed_by_another",
    "proof_signed_by_another", "flipped_seal", "flipped_anywhere", "manifest_flipped", "proof_flipped",
    "seal_edited_to_fit", "segment_put_in",
}  # fmt: skip
"""Where another key signed, or none, or the key's id itself was changed, "unknown signer" is the right word too."""


def test_untouched_evidence_is_good(pristine: Evidence) -> None:
    reports = verify_paths(
        [pristine.camera, pristine.root / "media" / "yard", pristine.root / "exports", pristine.root / "shots"],
        Trusted(pristine.owner),
    )
    assert [report.outcome for report in reports] == [Outcome.GOOD] * len(reports)
    assert len(pristine.segments) >= 4
    assert {report.what for report in reports} == {"camera", "manifest", "export", "snapshot"}
    for path in [*pristine.segments, pristine.export, pristine.manifest, pristine.shot, pristine.proof]:
        assert pristine.outcome(path) is Outcome.GOOD, path


def test_untouched_evidence_of_a_stranger_is_told_as_that(pristine: Evidence) -> None:
    for trusted in (TrustedKeys(), Trusted(pristine.thief)):
        for path in (pristine.camera, pristine.export, pristine.shot):
            assert worst(verify_paths([path], trusted)) is Outcome.UNKNOWN_SIGNER
    seal = read_seal(pristine.segments[0])
    assert seal is not None
    assert is_signed(pristine.owner.public_key, seal.signature, seal.signed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_tampering_is_found(pristine: Evidence, tmp_path: Path, kind: Kind) -> None:
    found: Counter[str] = Counter()
    for number in range(ROUNDS):
        seed = f"{kind.__name__} {number}"
        copy = tmp_path / str(number)
        shutil.copytree(pristine.root, copy)
        evidence = Evidence(copy, pristine.owner, pristine.thief, random.Random(seed))
        outcome = evidence.outcome(*kind(evidence))
        found[outcome.text] += 1
        wanted = {Outcome.BROKEN, Outcome.UNKNOWN_SIGNER} if kind.__name__ in UNKNOWN_WILL_DO else {Outcome.BROKEN}
        assert outcome in wanted, f"{seed}: {outcome.text}"
        shutil.rmtree(copy)
    assert sum(found.values()) == ROUNDS


def test_there_are_at_least_two_hundred_tamperings() -> None:
    assert len(KINDS) * ROUNDS >= 200
