"""What the aggregate stores: orders and their history, the ledger, checkpoints, anomalies with their outbox, how far
each inspection has been judged, what workers offer, and what operators called anomalies.

One document is written at a time and each write stands alone. First come the ledger's pages, then the anomalies that
were found in them, then the progress that says so: after a crash between two of these, judging the ledger again makes
the same anomalies, ids and versions included, and what is stored already is left as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aggregate.checkpoints import Checkpoints
from aggregate.history import History
from aggregate.ledger import Ledger
from aggregate.offers import Offer, offer_document, offer_from_document
from aggregate.orders import Order, order_document, order_from_document
from mesh.bus import anomaly_subject
from mesh.errors import AlreadyExists, Conflict
from mesh.ids import FrameId
from mesh.outbox import PENDING_FIELD, OutboxEvent, add_event
from mesh.store import Between, Body, Collection, DocumentStore, Where, modify, scan
from trueframe.v1 import inspection_pb2

# A bus that is away for long: of an anomaly that goes on, only some of its updates need to wait for it.
MAX_PENDING_UPDATES = 64


class Archive:
    """The aggregate's collections. Make it with `open`."""

    def __init__(
        self,
        orders: Collection,
        progress: Collection,
        anomalies: Collection,
        ledger: Ledger,
        history: History,
        checkpoints: Checkpoints,
        offers: Collection,
    ) -> None:
        self._orders = orders
        self._progress = progress
        self.anomalies = anomalies
        self.ledger = ledger
        self.history = history
        self.checkpoints = checkpoints
        self._offers = offers

    @classmethod
    async def open(cls, store: DocumentStore) -> Archive:
        """The collections of a store."""
        return cls(
            await store.collection("inspections", ("camera",)),
            await store.collection("progress"),
            await store.collection("anomalies", (PENDING_FIELD, "camera", "started_ns")),
            await Ledger.open(store),
            await History.open(store),
            await Checkpoints.open(store),
            await store.collection("offers"),
        )

    async def orders(self) -> AsyncIterator[Order]:
        """All stored orders."""
        async for document in scan(self._orders):
            yield order_from_document(document.id, document.body)

    async def put_order(self, order: Order) -> None:
        """Stores an order, over one of the same id."""
        await self._orders.put(order.id, order_document(order))

    async def seed_order(self, order: Order) -> bool:
        """Stores an order unless there is one of the same id; whether it did."""
        try:
            await self._orders.put(order.id, order_document(order), 0)
        except AlreadyExists:
            return False
        return True

    async def offers(self) -> list[Offer]:
        """All detectors that were ever offered."""
        return [offer_from_document(one.id, one.body) async for one in scan(self._offers)]

    async def put_offer(self, offer: Offer) -> None:
        """Stores what a worker said of a detector."""
        await self._offers.put(offer.name, offer_document(offer))

    async def anomaly(self, anomaly_id: str) -> Body | None:
        """What is stored of an anomaly; None if there is none."""
        document = await self.anomalies.find(anomaly_id)
        return document.body if document else None

    async def put_label(self, anomaly_id: str, body: Body) -> None:
        """Stores what an operator called an anomaly, inside of it. Raises NotFound."""
        await modify(self.anomalies, anomaly_id, lambda old: {**old, "label": body})

    async def progress(self, inspection: str) -> Body | None:
        """How far the inspection has been judged; None if it never was."""
        document = await self._progress.find(inspection)
        return document.body if document else None

    async def put_progress(self, inspection: str, body: Body) -> None:
        """Stores how far it has been judged."""
        await self._progress.put(inspection, body)

    async def publish(self, anomaly: inspection_pb2.Anomaly, phase: str) -> bool:
        """Stores a version of an anomaly with the message that tells of it; False if it was stored before."""
        event = OutboxEvent(
            anomaly_subject(anomaly.camera),
            f"trueframe.anomaly.{phase}",
            anomaly.SerializeToString(),
            f"{anomaly.id}-{anomaly.version}",
        )
        while True:
            document = await self.anomalies.find(anomaly.id)
            if document is not None and document.body["version"] >= anomaly.version:
                return False
            old: Body = document.body if document else {}
            body = {
                **old,
                "version": anomaly.version,
                "inspection": anomaly.inspection,
                "camera": anomaly.camera,
                "started_ns": anomaly.started_ns,
                "ended_ns": anomaly.ended_ns,
                "score": anomaly.score,
                "first": str(FrameId.from_proto(anomaly.first)),
                "last": str(FrameId.from_proto(anomaly.last)),
            }
            if phase != "updated" or old.get(PENDING_FIELD, 0) < MAX_PENDING_UPDATES:
                body = add_event(body, event)
            try:
                await self.anomalies.put(anomaly.id, body, document.version if document else 0)
            except (Conflict, AlreadyExists):
                # The outbox marked something sent meanwhile.
                continue
            return True

    async def anomaly_of(self, inspection: str, camera: str, frame: FrameId, received_ns: int) -> str:
        """The stored anomaly that the frame is part of; empty if there is none."""
        # Times narrow the search, ids decide: anomalies of one inspection do not overlap.
        begun: Where = {"camera": camera, "started_ns": Between(None, received_ns)}
        page = await self.anomalies.query(begun, order="-started_ns", limit=100)
        for document in page.documents:
            body = document.body
            if body["inspection"] != inspection or "first" not in body:
                continue
            is_part = FrameId.parse(body["first"]) <= frame <= FrameId.parse(body["last"])
            return document.id if is_part else ""
        return ""
