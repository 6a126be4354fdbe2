"""The gRPC face of cases. Thin: checks requests and scope, asks the books, converts."""

from __future__ import annotations

from typing import Any

from event_center.book import EventBook
from event_center.cases.book import CaseBook, unknown
from event_center.cases.case import MAX_OUTCOME, MAX_TITLE, Case, Clip, Deed, Entry, checked_clip, line, note
from event_center.errors import UnknownEvent
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import Principal, principal_of
from trueframe.v1 import cases_pb2, cases_pb2_grpc

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
MAX_REQUEST_ID_CHARACTERS = 100
# Of one request; a case takes more.
MAX_ITEMS = 500

DEEDS: dict[Deed, cases_pb2.CaseDeed.ValueType] = {
    deed: cases_pb2.CaseDeed.Value(f"CASE_DEED_{deed.name}") for deed in Deed
}


class CaseService(cases_pb2_grpc.CaseServiceServicer):
    """Cases. Who does it is the token's name."""

    def __init__(self, cases: CaseBook, events: EventBook) -> None:
        self._cases = cases
        self._events = events

    async def OpenCase(  # noqa: N802 - the rpc's name
        self, request: cases_pb2.OpenCaseRequest, context: Any
    ) -> cases_pb2.OpenCaseResponse:
        """A new one."""
        case = await self._cases.begin(request.title, principal_of(context).name)
        return cases_pb2.OpenCaseResponse(case=case_to_proto(case))

    async def GetCase(  # noqa: N802 - the rpc's name
        self, request: cases_pb2.GetCaseRequest, context: Any
    ) -> cases_pb2.GetCaseResponse:
        """One of them."""
        return cases_pb2.GetCaseResponse(case=case_to_proto(await self._visible(request.id, principal_of(context))))

    async def ListCases(  # noqa: N802 - the rpc's name
        self, request: cases_pb2.ListCasesRequest, context: Any
    ) -> cases_pb2.ListCasesResponse:
        """A page of them."""
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise InvalidArgument(f"page_size {request.page_size}", f"is not between 0 and {LARGEST_PAGE}")
        principal = principal_of(context)
        cases, token = await self._cases.page(
            query=request.query[:500], is_open=None if request.include_closed else True,
            limit=request.page_size or DEFAULT_PAGE, page_token=request.page_token,
        )  # fmt: skip
        seen = [case_to_proto(case, with_records=False) for case in cases if _sees(principal, case)]
        return cases_pb2.ListCasesResponse(cases=seen, next_page_token=token)

    async def ChangeCase(  # noqa: N802 - the rpc's name
        self, request: cases_pb2.ChangeCaseRequest, context: Any
    ) -> cases_pb2.ChangeCaseResponse:
        """What somebody does to one."""
        principal = principal_of(context)
        case = await self._visible(request.id, principal)
        if len(request.request_id) > MAX_REQUEST_ID_CHARACTERS or not request.request_id.isprintable():
            raise InvalidArgument("request_id", f"is not at most {MAX_REQUEST_ID_CHARACTERS} printable characters")
        entries = await self._entries(request, case, principal)
        if not entries:
            raise InvalidArgument(f"change of case {case.id}", "says nothing to change")
        case = await self._cases.do(case.id, entries, request.request_id)
        return cases_pb2.ChangeCaseResponse(case=case_to_proto(case))

    async def _entries(self, request: cases_pb2.ChangeCaseRequest, case: Case, principal: Principal) -> list[Entry]:
        items = (request.add_events, request.remove_events, request.add_clips, request.remove_clips)
        if sum(len(some) for some in items) > MAX_ITEMS:
            raise InvalidArgument(f"change of case {case.id}", f"names more than {MAX_ITEMS} events and clips")
        by = principal.name
        cameras = dict(case.events)
        entries = [Entry(0, by, Deed.REOPENED)] if request.reopen else []
        if request.title:
            entries.append(Entry(0, by, Deed.RENAMED, line("title", request.title, MAX_TITLE)))
        for event_id in request.add_events:
            camera = cameras[event_id] if event_id in cameras else await self._camera_of(event_id, principal)
            entries.append(Entry(0, by, Deed.EVENT_ADDED, event=event_id, camera=camera))
        entries += [
            Entry(0, by, Deed.EVENT_REMOVED, event=event_id, camera=cameras.get(event_id, ""))
            for event_id in request.remove_events
        ]
        for message in request.add_clips:
            clip = checked_clip(_clip(message))
            principal.require(clip.camera)
            entries.append(Entry(0, by, Deed.CLIP_ADDED, clip=clip))
        entries += [Entry(0, by, Deed.CLIP_REMOVED, clip=_clip(message)) for message in request.remove_clips]
        if request.note:
            entries.append(Entry(0, by, Deed.NOTED, note(request.note)))
        if request.close_with:
            entries.append(Entry(0, by, Deed.CLOSED, line("outcome", request.close_with, MAX_OUTCOME)))
        return entries

    async def _camera_of(self, event_id: str, principal: Principal) -> str:
        event = await self._events.get(event_id)
        if not principal.allows(event.camera):
            raise UnknownEvent(event_id)
        return event.camera

    async def _visible(self, case_id: str, principal: Principal) -> Case:
        case = await self._cases.get(case_id)
        if not _sees(principal, case):
            raise unknown(case_id)
        return case


def case_to_proto(case: Case, *, with_records: bool = True) -> cases_pb2.Case:
    """The case for clients."""
    message = cases_pb2.Case(
        id=case.id, title=case.title, open=case.is_open, outcome=case.outcome,
        events=[event for event, _ in case.events], clips=[_clip_to_proto(clip) for clip in case.clips],
        opened_ns=case.opened_ns, changed_ns=case.changed_ns,
    )  # fmt: skip
    for number, one in enumerate(case.records if with_records else (), 1):
        message.records.append(cases_pb2.CaseRecord(
            number=number, at_ns=one.at_ns, actor=one.actor, deed=DEEDS[one.deed], text=one.text, event=one.event,
            clip=_clip_to_proto(one.clip) if one.clip else None,
        ))  # fmt: skip
    return message


def _sees(principal: Principal, case: Case) -> bool:
    return all(principal.allows(camera) for camera in case.cameras)


def _clip(message: cases_pb2.CaseClip) -> Clip:
    return Clip(validate_camera_id(message.camera), message.from_ns, message.to_ns)


def _clip_to_proto(clip: Clip) -> cases_pb2.CaseClip:
    return cases_pb2.CaseClip(camera=clip.camera, from_ns=clip.from_ns, to_ns=clip.to_ns)
