"""The judge run again over the ledger: the same pages give the same anomalies, ids, versions and boxes included."""

from __future__ import annotations

from aggregate.bench import judge_page
from aggregate.judge import Finding, JudgeState
from aggregate.ledger import Ledger
from aggregate.orders import Order
from aggregate.rules import RULES, UNKNOWN, Rules


async def rejudge(ledger: Ledger, order: Order, rules: Rules | None = None) -> list[Finding]:
    """All that the judge finds in an inspection's pages, from the first page on. Raises the store's errors.

    `rules`: those of its detector, where that is not one of trueframe's own.
    """
    rules = rules or RULES.get(order.detector, UNKNOWN)
    state, findings, number = JudgeState(), [], 0
    while (page := await ledger.page(order.id, number)) is not None:
        state, found = judge_page(state, rules, page)
        findings += found
        number += 1
    return findings
