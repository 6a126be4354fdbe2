"""What every file here that has a `stack` may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from event_center.client import EventClient
from mesh.bus import Bus
from tests.inspection_stack import InspectionStack


@pytest.fixture
async def bus(stack: InspectionStack) -> AsyncIterator[Bus]:
    """The bus, as the aggregate enters it."""
    async with Bus.from_config(stack.config, "aggregate") as bus:
        await bus.ensure_stream()
        yield bus


@pytest.fixture
async def anna(stack: InspectionStack) -> AsyncIterator[EventClient]:
    """An operator's client."""
    async with stack.event_client("anna", "operator") as operator:
        yield operator
