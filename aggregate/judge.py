"""The judge: scores in the order of ids become anomalies. Pure: no clock, no I/O; the same verdicts give the same
anomalies, ids and versions included, so that it can be run again over stored verdicts and after a crash.

An anomaly opens when scores have held above the closing threshold for a minimum time, at least one of them above the
opening threshold at its begin; it grows; it closes when scores were low for the merge gap. Frames without a score are
evidence of nothing: they neither prolong nor close it, until nobody has scored anything for `silence_ns`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from aggregate.orders import Area, area_document, area_from_document
from aggregate.rules import Rules
from mesh.ids import FrameId

Phase = Literal["opened", "updated", "closed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector said of a frame, or, with a reason, of `count` consecutive frames from `id` on."""

    id: FrameId
    received_ns: int
    score: float = 0.0
    boxes: tuple[Area, ...] = ()
    reason: int = 0
    count: int = 1
    said: str = ""
    """What stood out, in words for an operator."""
    series: tuple[tuple[str, float], ...] = ()
    """Named values beside the score, by name."""
    alignment: tuple[float, ...] = ()
    """Where the regions are from this frame on, a row-major 3x3 in fractions; empty where that did not change."""

    @property
    def has_score(self) -> bool:
        """Whether this is a score rather than the reason why there is none."""
        return self.reason == 0

    @property
    def last_id(self) -> FrameId:
        """The last frame it speaks of."""
        return replace(self.id, seq=self.id.seq + self.count - 1)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A stretch of abnormal scores; a candidate while version is 0."""

    id: str
    version: int
    first: FrameId
    peak: FrameId
    last: FrameId
    started_ns: int
    peak_ns: int
    last_ns: int
    score: float
    boxes: tuple[Area, ...]
    published_ns: int = 0
    said: str = ""
    """What stood out at the peak."""

    def grown(self, verdict: Verdict) -> Anomaly:
        """With one more abnormal frame."""
        grown = replace(self, last=verdict.id, last_ns=verdict.received_ns)
        if verdict.score <= self.score:
            return grown
        return replace(
            grown, peak=verdict.id, peak_ns=verdict.received_ns, score=verdict.score, boxes=verdict.boxes,
            said=verdict.said,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """A decision of the judge that the world must hear of."""

    phase: Phase
    anomaly: Anomaly
    at_ns: int


@dataclass(frozen=True, slots=True)
class JudgeState:
    """All that the judge remembers of one inspection."""

    last: FrameId | None = None
    """Last frame spoken of; verdicts up to it are repetitions."""
    scored_ns: int = 0
    """Receive time of the last frame that got a score."""
    current: Anomaly | None = None
    quiet_since_ns: int | None = None
    """Receive time of the first of the low scores that run up to now without a break."""
    scored: int = 0
    skipped: int = 0


def judge(state: JudgeState, rules: Rules, inspection: str, verdict: Verdict) -> tuple[JudgeState, list[Finding]]:
    """Takes one verdict. A frame that was spoken of before is ignored: the first verdict stands."""
    verdict_or_none = unheard(state, verdict)
    if verdict_or_none is None:
        return state, []
    verdict = verdict_or_none
    findings: list[Finding] = []
    current = state.current
    quiet: int | None = state.quiet_since_ns
    if current is not None and verdict.received_ns - state.scored_ns >= rules.silence_ns:
        findings += _closed(current, verdict.received_ns)
        current, quiet = None, None
    state = replace(
        state,
        last=verdict.last_id,
        scored_ns=verdict.received_ns if verdict.has_score else state.scored_ns,
        scored=state.scored + (verdict.count if verdict.has_score else 0),
        skipped=state.skipped + (0 if verdict.has_score else verdict.count),
    )
    if not verdict.has_score:
        return replace(state, current=current, quiet_since_ns=None), findings
    if current is None:
        current, quiet = (_begun(inspection, verdict) if verdict.score >= rules.threshold else None), None
    elif verdict.score >= rules.closing_threshold:
        current, quiet = current.grown(verdict), None
    elif current.version == 0:
        current, quiet = None, None
    else:
        quiet = verdict.received_ns if quiet is None else quiet
        if verdict.received_ns - quiet >= rules.merge_gap_ns:
            findings += _closed(current, verdict.received_ns)
            current, quiet = None, None
    if current is not None and quiet is None:
        current, said = _said(current, rules, verdict.received_ns)
        findings += said
    return replace(state, current=current, quiet_since_ns=quiet), findings


def judge_all(
    state: JudgeState, rules: Rules, inspection: str, verdicts: Iterable[Verdict]
) -> tuple[JudgeState, list[Finding]]:
    """Takes verdicts in the order of ids."""
    findings: list[Finding] = []
    for verdict in verdicts:
        state, said = judge(state, rules, inspection, verdict)
        findings += said
    return state, findings


def end(state: JudgeState, at_ns: int) -> tuple[JudgeState, list[Finding]]:
    """Closes what is open: nobody scores this camera any more. The anomaly ended with its last abnormal frame."""
    findings = _closed(state.current, at_ns) if state.current is not None else []
    return replace(state, current=None, quiet_since_ns=None), findings


def unheard(state: JudgeState, verdict: Verdict) -> Verdict | None:
    """What of a verdict has not been spoken of before; None if all of it was: the first verdict stands."""
    if state.last is None or verdict.id > state.last:
        return verdict
    if verdict.last_id <= state.last:
        return None
    # A run of reasons whose beginning was spoken of already.
    rest = verdict.last_id.seq - state.last.seq
    return replace(verdict, id=replace(state.last, seq=state.last.seq + 1), count=rest)


def _begun(inspection: str, verdict: Verdict) -> Anomaly:
    digest = hashlib.sha256(f"{inspection}|{verdict.id}".encode()).hexdigest()[:12]
    return Anomaly(
        id=f"{verdict.received_ns // 1000:014x}{digest}",
        version=0,
        first=verdict.id,
        peak=verdict.id,
        last=verdict.id,
        started_ns=verdict.received_ns,
        peak_ns=verdict.received_ns,
        last_ns=verdict.received_ns,
        score=verdict.score,
        boxes=verdict.boxes,
        said=verdict.said,
    )


def _said(anomaly: Anomaly, rules: Rules, at_ns: int) -> tuple[Anomaly, list[Finding]]:
    phase: Phase
    if anomaly.version == 0:
        if anomaly.last_ns - anomaly.started_ns < rules.min_duration_ns:
            return anomaly, []
        phase = "opened"
    elif at_ns - anomaly.published_ns >= rules.update_every_ns:
        phase = "updated"
    else:
        return anomaly, []
    anomaly = replace(anomaly, version=anomaly.version + 1, published_ns=at_ns)
    return anomaly, [Finding(phase, anomaly, at_ns)]


def _closed(anomaly: Anomaly, at_ns: int) -> list[Finding]:
    if anomaly.version == 0:
        return []
    return [Finding("closed", replace(anomaly, version=anomaly.version + 1, published_ns=at_ns), at_ns)]


def state_document(state: JudgeState) -> dict[str, Any]:
    """The state as a JSON object."""
    anomaly = state.current
    return {
        "last": str(state.last) if state.last else None,
        "scored_ns": state.scored_ns,
        "quiet_since_ns": state.quiet_since_ns,
        "scored": state.scored,
        "skipped": state.skipped,
        "current": anomaly
        and {
            "id": anomaly.id,
            "version": anomaly.version,
            "first": str(anomaly.first),
            "peak": str(anomaly.peak),
            "last": str(anomaly.last),
            "started_ns": anomaly.started_ns,
            "peak_ns": anomaly.peak_ns,
            "last_ns": anomaly.last_ns,
            "score": anomaly.score,
            "boxes": [area_document(box) for box in anomaly.boxes],
            "published_ns": anomaly.published_ns,
            "said": anomaly.said,
        },
    }


def state_from_document(document: Mapping[str, Any]) -> JudgeState:
    """The inverse of `state_document`."""
    current = document["current"]
    return JudgeState(
        last=FrameId.parse(document["last"]) if document["last"] else None,
        scored_ns=document["scored_ns"],
        quiet_since_ns=document["quiet_since_ns"],
        scored=document["scored"],
        skipped=document["skipped"],
        current=current
        and Anomaly(
            id=current["id"],
            version=current["version"],
            first=FrameId.parse(current["first"]),
            peak=FrameId.parse(current["peak"]),
            last=FrameId.parse(current["last"]),
            started_ns=current["started_ns"],
            peak_ns=current["peak_ns"],
            last_ns=current["last_ns"],
            score=current["score"],
            boxes=tuple(area_from_document(box) for box in current["boxes"]),
            published_ns=current["published_ns"],
            said=current.get("said", ""),
        ),
    )
