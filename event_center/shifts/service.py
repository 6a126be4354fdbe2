"""The gRPC face of saved searches and hand-overs. Thin: it checks requests and scope, asks the books, converts."""

from __future__ import annotations

from typing import Any

from event_center.deeds import checked_text
from event_center.filters import filter_from_proto
from event_center.shifts.handover import DeskState, Handover, Item
from event_center.shifts.handover_book import HandoverBook, unknown
from event_center.shifts.searches import SavedSearch, SearchBook, checked_name
from mesh.clocks import Clock, SystemClock
from mesh.errors import InvalidArgument
from mesh.security import Principal, principal_of
from trueframe.v1 import shifts_pb2, shifts_pb2_grpc

DEFAULT_PAGE, LARGEST_PAGE = 20, 100


class ShiftService(shifts_pb2_grpc.ShiftServiceServicer):
    """Who does it is the token's name."""

    def __init__(self, searches: SearchBook, handovers: HandoverBook, clock: Clock | None = None) -> None:
        self._searches = searches
        self._handovers = handovers
        self._clock = clock or SystemClock()

    async def PutSavedSearch(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.PutSavedSearchRequest, context: Any
    ) -> shifts_pb2.PutSavedSearchResponse:
        """Keeps one."""
        principal, asked = principal_of(context), request.search
        filter_from_proto(asked.filter, principal)
        search = await self._searches.put(
            SavedSearch(principal.name, checked_name(asked.name), asked.shared, asked.filter, self._clock.utc_ns())
        )
        return shifts_pb2.PutSavedSearchResponse(search=_search_to_proto(search))

    async def ListSavedSearches(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.ListSavedSearchesRequest, context: Any
    ) -> shifts_pb2.ListSavedSearchesResponse:
        """Those that there are. One that names cameras outside the caller's scope is not for them."""
        principal = principal_of(context)
        searches = [
            _search_to_proto(one) for one in await self._searches.of(principal.name)
            if all(principal.allows(camera) for camera in one.wanted.cameras)
        ]  # fmt: skip
        return shifts_pb2.ListSavedSearchesResponse(searches=searches)

    async def DeleteSavedSearch(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.DeleteSavedSearchRequest, context: Any
    ) -> shifts_pb2.DeleteSavedSearchResponse:
        """Lets go of one."""
        await self._searches.delete(principal_of(context).name, checked_name(request.name))
        return shifts_pb2.DeleteSavedSearchResponse()

    async def DraftHandover(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.DraftHandoverRequest, context: Any
    ) -> shifts_pb2.DraftHandoverResponse:
        """What a note would say."""
        state = await self._handovers.state(principal_of(context))
        return shifts_pb2.DraftHandoverResponse(state=_state_to_proto(state))

    async def GiveHandover(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.GiveHandoverRequest, context: Any
    ) -> shifts_pb2.GiveHandoverResponse:
        """A note to whoever comes next."""
        principal = principal_of(context)
        text = checked_text(request.text) if request.text.strip() else ""
        handover = await self._handovers.give(principal.name, text, await self._handovers.state(principal))
        return shifts_pb2.GiveHandoverResponse(handover=_handover_to_proto(handover))

    async def TakeHandover(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.TakeHandoverRequest, context: Any
    ) -> shifts_pb2.TakeHandoverResponse:
        """It is taken over."""
        principal = principal_of(context)
        handover_id = request.id
        if not handover_id:
            newest, _ = await self._handovers.page(1)
            handover_id = newest[0].id if newest else "newest"
        if not _sees(principal, await self._handovers.get(handover_id)):
            raise unknown(handover_id)
        taken = await self._handovers.take(handover_id, principal.name)
        return shifts_pb2.TakeHandoverResponse(handover=_handover_to_proto(taken))

    async def ListHandovers(  # noqa: N802 - the rpc's name
        self, request: shifts_pb2.ListHandoversRequest, context: Any
    ) -> shifts_pb2.ListHandoversResponse:
        """A page of notes."""
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise InvalidArgument(f"page_size {request.page_size}", f"is not between 0 and {LARGEST_PAGE}")
        principal = principal_of(context)
        found, token = await self._handovers.page(request.page_size or DEFAULT_PAGE, request.page_token)
        seen = [_handover_to_proto(one) for one in found if _sees(principal, one)]
        return shifts_pb2.ListHandoversResponse(handovers=seen, next_page_token=token)


def _sees(principal: Principal, handover: Handover) -> bool:
    return all(principal.allows(camera) for camera in handover.state.cameras)


def _search_to_proto(search: SavedSearch) -> shifts_pb2.SavedSearch:
    return shifts_pb2.SavedSearch(
        name=search.name, filter=search.wanted, shared=search.is_shared, owner=search.owner,
        changed_ns=search.changed_ns,
    )  # fmt: skip


def _handover_to_proto(one: Handover) -> shifts_pb2.Handover:
    return shifts_pb2.Handover(
        id=one.id, given_by=one.given_by, given_ns=one.given_ns, text=one.text, state=_state_to_proto(one.state),
        taken_by=one.taken_by, taken_ns=one.taken_ns,
    )  # fmt: skip


def _state_to_proto(state: DeskState) -> shifts_pb2.HandoverState:
    return shifts_pb2.HandoverState(
        at_ns=state.at_ns, since_ns=state.since_ns, standing=map(_item, state.standing),
        shelved=map(_item, state.shelved), out_of_service=map(_item, state.out_of_service),
        standing_count=state.standing_count, unseen_count=state.unseen_count, shelved_count=state.shelved_count,
        suppressed_count=state.suppressed_count, raised=state.raised, acknowledged=state.acknowledged,
        labelled=state.labelled, commented=state.commented, cases_changed=state.cases_changed,
        all_counted=state.is_all_counted,
    )  # fmt: skip


def _item(item: Item) -> shifts_pb2.HandoverItem:
    return shifts_pb2.HandoverItem(
        event=item.id, camera=item.camera, priority=item.priority, text=item.text, why=item.why
    )
