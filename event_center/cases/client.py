"""Cases for other parts and for programs: opened, found, changed; asynchronous and synchronous.

    with SyncCaseClient(endpoint, token) as cases:
        case = cases.open("Broken fence")
        cases.change(case.id, add_events=[event.id], note="seen at 3 o'clock")

Cases are the wire's own messages (`trueframe.v1.cases_pb2`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict, Unpack

import grpc
import grpc.aio

from mesh.channel import Token, connect, connect_sync
from mesh.errors import from_rpc_error
from mesh.ids import new_event_id
from trueframe.v1.cases_pb2 import (
    Case,
    CaseClip,
    CaseDeed,
    CaseRecord,
    ChangeCaseRequest,
    GetCaseRequest,
    ListCasesRequest,
    OpenCaseRequest,
)
from trueframe.v1.cases_pb2_grpc import CaseServiceStub

__all__ = ["Case", "CaseChange", "CaseClient", "CaseClip", "CaseDeed", "CaseRecord", "SyncCaseClient"]

DEADLINE_S = 10.0
_PAGE = 500
# Inside the clients `list` is their method.
list_ = list


class CaseChange(TypedDict, total=False):
    """What is done to a case, in this order; what is left out stays."""

    reopen: bool
    title: str
    add_events: Iterable[str]
    remove_events: Iterable[str]
    add_clips: Iterable[CaseClip]
    remove_clips: Iterable[CaseClip]
    note: str
    close_with: str
    """The outcome: it is closed."""


def _request(case_id: str, change: CaseChange) -> ChangeCaseRequest:
    fields: dict[str, Any] = dict(change)
    return ChangeCaseRequest(id=case_id, request_id=new_event_id(), **fields)


class CaseClient:
    """Cases, asynchronously. Raises errors of `mesh.errors`."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = CaseServiceStub(self._channel)

    async def __aenter__(self) -> CaseClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._channel.close()

    async def open(self, title: str, *, timeout_s: float = DEADLINE_S) -> Case:
        """A new case. Raises InvalidArgument, PermissionDenied."""
        case: Case = (await self._ask("OpenCase", OpenCaseRequest(title=title), timeout_s)).case
        return case

    async def get(self, case_id: str, *, timeout_s: float = DEADLINE_S) -> Case:
        """One case with its records. Raises NotFound."""
        case: Case = (await self._ask("GetCase", GetCaseRequest(id=case_id), timeout_s)).case
        return case

    async def list(
        self, *, query: str = "", include_closed: bool = False, timeout_s: float = DEADLINE_S
    ) -> list_[Case]:
        """Cases without records, changed last first."""
        found: list_[Case] = []
        request = ListCasesRequest(page_size=_PAGE, query=query, include_closed=include_closed)
        while True:
            answer = await self._ask("ListCases", request, timeout_s)
            found += answer.cases
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    async def change(self, case_id: str, *, timeout_s: float = DEADLINE_S, **change: Unpack[CaseChange]) -> Case:
        """The case afterwards, stored. Raises NotFound, InvalidArgument, FailedPrecondition, ResourceExhausted."""
        case: Case = (await self._ask("ChangeCase", _request(case_id, change), timeout_s)).case
        return case

    async def _ask(self, rpc: str, request: object, timeout_s: float) -> Any:
        try:
            return await getattr(self._stub, rpc)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None


class SyncCaseClient:
    """Cases for plain programs; as CaseClient."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = CaseServiceStub(self._channel)

    def __enter__(self) -> SyncCaseClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def open(self, title: str, *, timeout_s: float = DEADLINE_S) -> Case:
        """As CaseClient.open."""
        case: Case = self._ask("OpenCase", OpenCaseRequest(title=title), timeout_s).case
        return case

    def get(self, case_id: str, *, timeout_s: float = DEADLINE_S) -> Case:
        """As CaseClient.get."""
        case: Case = self._ask("GetCase", GetCaseRequest(id=case_id), timeout_s).case
        return case

    def list(self, *, query: str = "", include_closed: bool = False, timeout_s: float = DEADLINE_S) -> list_[Case]:
        """As CaseClient.list."""
        found: list_[Case] = []
        request = ListCasesRequest(page_size=_PAGE, query=query, include_closed=include_closed)
        while True:
            answer = self._ask("ListCases", request, timeout_s)
            found += answer.cases
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    def change(self, case_id: str, *, timeout_s: float = DEADLINE_S, **change: Unpack[CaseChange]) -> Case:
        """As CaseClient.change."""
        case: Case = self._ask("ChangeCase", _request(case_id, change), timeout_s).case
        return case

    def _ask(self, rpc: str, request: object, timeout_s: float) -> Any:
        try:
            return getattr(self._stub, rpc)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
