"""The judge run again over the ledger: the same pages give the same anomalies, ids, versions and boxes included."""

from __future__ import annotations

from aggregate.bench import judge_page
from aggregate.judge import Finding, JudgeState
from aggregate.ledger import Ledger
from aggregate.orders import Order
from aggregate.rules import RULES


async def rejudge(ledger: Ledger, order: Order) -> list[Finding]:
    """All that the judge finds in an inspection's pages, from the first page on. Raises the store's errors."""
    state, findings, number = JudgeState(), [], 0
    while (page := await ledger.page(order.id, number)) is not None:
        state, found = judge_page(state, RULES[order.detector], page)
        findings += found
        number += 1
    return findings
