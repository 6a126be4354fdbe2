"""The book of suppression rules and of what is out of service: stores each change with its record, knows what is so.

One document a rule and an entry, its history inside: nothing that was decided is forgotten, deleted rules included.
What does not belong here: what follows for alarms (`suppression`, `book`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from event_center.deeds import checked_reason
from event_center.errors import TooManyRules, UnknownRule, no_rule
from event_center.suppression import Change, Entry, Rule, Situation, While, entry_key
from mesh.store import Collection, DocumentStore, scan

MAX_RULES = 500
MAX_ENTRIES = 5000
# Of one rule or entry; the oldest stay, so that it is known how it began.
MAX_HISTORY = 500


class RuleBook:
    """Rules and entries. Make it with `open`; `situation` is what is so now."""

    def __init__(self, rules: Collection, entries: Collection, zone: tzinfo) -> None:
        self._rules = rules
        self._entries = entries
        self.situation = Situation(rules={}, entries={}, zone=zone)

    @classmethod
    async def open(cls, store: DocumentStore, zone: tzinfo) -> RuleBook:
        """Reads all rules and entries."""
        book = cls(await store.collection("suppression_rules"), await store.collection("out_of_service"), zone)
        rules = [_rule(one.id, one.body) async for one in scan(book._rules)]
        entries = [_entry(one.body) async for one in scan(book._entries)]
        book.situation.rules = {rule.id: rule for rule in rules}
        book.situation.entries = {entry.key: entry for entry in entries}
        return book

    async def put(self, rule: Rule, actor: str, now_ns: int) -> Rule:
        """The rule, stored. What it says already changes nothing. Raises InvalidArgument, TooManyRules."""
        known = self.situation.rules.get(rule.id)
        rule = replace(rule, reason=checked_reason(rule.reason))
        if known and not known.is_deleted and _saying(known) == _saying(rule):
            return known
        if known is None and len(self.situation.rules) >= MAX_RULES:
            raise TooManyRules(f"rule {rule.id!r}", f"would be more than {MAX_RULES}", "Change one that was deleted.")
        history = _with(known.history if known else (), Change(now_ns, actor, "put", _saying(rule)))
        return await self._keep_rule(replace(rule, by=actor, changed_ns=now_ns, is_deleted=False, history=history))

    async def delete(self, rule_id: str, actor: str, reason: str, now_ns: int) -> Rule:
        """The rule, ended. Raises UnknownRule, InvalidArgument."""
        rule = self.rule(rule_id)
        if rule.is_deleted:
            return rule
        change = Change(now_ns, actor, "deleted", checked_reason(reason) if reason else "")
        return await self._keep_rule(
            replace(rule, by=actor, changed_ns=now_ns, is_deleted=True, history=_with(rule.history, change))
        )

    def rule(self, rule_id: str) -> Rule:
        """The rule, deleted or not. Raises UnknownRule."""
        rule = self.situation.rules.get(rule_id)
        if rule is None:
            raise no_rule(rule_id)
        return rule

    async def take_out(self, camera: str, detector: str, actor: str, reason: str, now_ns: int) -> Entry:
        """The entry, out of service; as it is if it is out already. Raises InvalidArgument, TooManyRules."""
        reason = checked_reason(reason)
        known = self.situation.entries.get(entry_key(camera, detector))
        if known and not known.until_ns:
            return known
        if known is None and len(self.situation.entries) >= MAX_ENTRIES:
            raise TooManyRules(entry_key(camera, detector), f"would be more than {MAX_ENTRIES} that were ever out")
        history = _with(known.history if known else (), Change(now_ns, actor, "taken out", reason))
        return await self._keep_entry(Entry(camera, detector, actor, reason, now_ns, 0, history))

    async def bring_back(self, camera: str, detector: str, actor: str, reason: str, now_ns: int) -> Entry:
        """The entry, back in service. Raises UnknownRule, InvalidArgument."""
        entry = self.situation.entries.get(entry_key(camera, detector))
        if entry is None:
            remedy = "`trueframe events out-of-service list` shows what is. Name camera and detector as it does."
            raise UnknownRule(
                f"{camera or 'every camera'}, {detector or 'every detector'}", "is not out of service", remedy
            )
        if entry.until_ns:
            return entry
        change = Change(now_ns, actor, "brought back", checked_reason(reason) if reason else "")
        return await self._keep_entry(replace(entry, until_ns=now_ns, history=_with(entry.history, change)))

    async def _keep_rule(self, rule: Rule) -> Rule:
        await self._rules.put(rule.id, _rule_document(rule))
        self.situation.rules = {**self.situation.rules, rule.id: rule}
        return rule

    async def _keep_entry(self, entry: Entry) -> Entry:
        await self._entries.put(entry.key, _entry_document(entry))
        self.situation.entries = {**self.situation.entries, entry.key: entry}
        return entry


def _saying(rule: Rule) -> str:
    cameras, detectors = ", ".join(rule.cameras) or "all", ", ".join(rule.detectors) or "all"
    return f"while {rule.condition} {rule.subject}: detectors {detectors} on cameras {cameras}: {rule.reason}"


def _with(history: tuple[Change, ...], change: Change) -> tuple[Change, ...]:
    kept = history if len(history) < MAX_HISTORY else (history[0], *history[2 - MAX_HISTORY :])
    return (*kept, change)


def _rule_document(rule: Rule) -> dict[str, Any]:
    return {
        "format": 1, "condition": rule.condition.value, "subject": rule.subject, "cameras": list(rule.cameras),
        "detectors": list(rule.detectors), "reason": rule.reason, "by": rule.by, "changed_ns": rule.changed_ns,
        "is_deleted": rule.is_deleted, "history": _history_document(rule.history),
    }  # fmt: skip


def _rule(id: str, body: dict[str, Any]) -> Rule:  # noqa: A002
    return Rule(
        id, While(body["condition"]), body["subject"], tuple(body["cameras"]), tuple(body["detectors"]), body["reason"],
        body["by"], body["changed_ns"], body["is_deleted"], _history(body["history"]),
    )  # fmt: skip


def _entry_document(entry: Entry) -> dict[str, Any]:
    return {
        "format": 1, "camera": entry.camera, "detector": entry.detector, "by": entry.by, "reason": entry.reason,
        "since_ns": entry.since_ns, "until_ns": entry.until_ns, "history": _history_document(entry.history),
    }  # fmt: skip


def _entry(body: dict[str, Any]) -> Entry:
    return Entry(
        body["camera"], body["detector"], body["by"], body["reason"], body["since_ns"], body["until_ns"],
        _history(body["history"]),
    )  # fmt: skip


def _history_document(history: Sequence[Change]) -> list[list[Any]]:
    return [[one.at_ns, one.actor, one.deed, one.text] for one in history]


def _history(document: list[list[Any]]) -> tuple[Change, ...]:
    return tuple(Change(*one) for one in document)
