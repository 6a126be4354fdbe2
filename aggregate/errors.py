"""Errors of the aggregate. All map to a gRPC status through `mesh.errors`.

InvalidArgument
├── BadInspection       an order that cannot be carried out
└── BadVerdicts         a worker's block that cannot be understood
NotFound
└── NeverInspected      a camera that the ledger knows nothing of
FailedPrecondition
└── WorkerReplaced      another stream says hello under the same name
"""

from __future__ import annotations

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound


class BadInspection(InvalidArgument):
    """An order that cannot be carried out."""


class BadVerdicts(InvalidArgument):
    """A worker's block that cannot be understood."""


class WorkerReplaced(FailedPrecondition):
    """Another stream said hello under this worker's name."""


class NeverInspected(NotFound):
    """A camera that the ledger knows nothing of."""
