"""Saved searches and hand-overs for programs.

    with SyncShiftClient(endpoint, token) as shifts:
        shifts.give("Gate: lens is cleaned tomorrow")
        shifts.take()

All are the wire's own messages (`trueframe.v1.shifts_pb2`).
"""

from __future__ import annotations

from typing import Any, Unpack

import grpc

from event_center.client_alarms import EventFilters, list_request
from mesh.channel import Token, connect_sync
from mesh.errors import from_rpc_error
from trueframe.v1 import shifts_pb2
from trueframe.v1.shifts_pb2 import Handover, HandoverItem, HandoverState, SavedSearch
from trueframe.v1.shifts_pb2_grpc import ShiftServiceStub

__all__ = ["Handover", "HandoverItem", "HandoverState", "SavedSearch", "SyncShiftClient"]

DEADLINE_S = 30.0


class SyncShiftClient:
    """Searches by name, and notes to those who come next. Raises errors of `mesh.errors`."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = ShiftServiceStub(self._channel)

    def __enter__(self) -> SyncShiftClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def save_search(
        self, name: str, *, shared: bool = False, timeout_s: float = DEADLINE_S, **filters: Unpack[EventFilters]
    ) -> SavedSearch:
        """Keeps a search by name. Raises InvalidArgument, PermissionDenied, ResourceExhausted."""
        search = SavedSearch(name=name, shared=shared, filter=list_request(filters, 0))
        request = shifts_pb2.PutSavedSearchRequest(search=search)
        kept: SavedSearch = self._ask("PutSavedSearch", request, timeout_s).search
        return kept

    def searches(self, *, timeout_s: float = DEADLINE_S) -> list[SavedSearch]:
        """Yours by name, then those that others share."""
        return list(self._ask("ListSavedSearches", shifts_pb2.ListSavedSearchesRequest(), timeout_s).searches)

    def delete_search(self, name: str, *, timeout_s: float = DEADLINE_S) -> None:
        """Lets go of one of yours. Raises NotFound."""
        self._ask("DeleteSavedSearch", shifts_pb2.DeleteSavedSearchRequest(name=name), timeout_s)

    def draft(self, *, timeout_s: float = DEADLINE_S) -> HandoverState:
        """How the desk stands now: what a note would say."""
        state: HandoverState = self._ask("DraftHandover", shifts_pb2.DraftHandoverRequest(), timeout_s).state
        return state

    def give(self, text: str = "", *, timeout_s: float = DEADLINE_S) -> Handover:
        """A note to whoever comes next, with how the desk stands; stored. Raises InvalidArgument, PermissionDenied."""
        request = shifts_pb2.GiveHandoverRequest(text=text)
        handover: Handover = self._ask("GiveHandover", request, timeout_s).handover
        return handover

    def take(self, handover_id: str = "", *, timeout_s: float = DEADLINE_S) -> Handover:
        """The note, or the newest, taken over by you. Raises NotFound, FailedPrecondition (somebody else did)."""
        request = shifts_pb2.TakeHandoverRequest(id=handover_id)
        handover: Handover = self._ask("TakeHandover", request, timeout_s).handover
        return handover

    def handovers(self, *, limit: int = 20, timeout_s: float = DEADLINE_S) -> list[Handover]:
        """Notes, given last first."""
        found: list[Handover] = []
        request = shifts_pb2.ListHandoversRequest(page_size=max(1, min(limit, 100)))
        while True:
            answer = self._ask("ListHandovers", request, timeout_s)
            found += answer.handovers
            request.page_token = answer.next_page_token
            if not request.page_token or len(found) >= limit:
                return found[:limit]

    def _ask(self, rpc: str, request: object, timeout_s: float) -> Any:
        try:
            return getattr(self._stub, rpc)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
