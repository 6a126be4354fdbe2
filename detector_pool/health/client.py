"""What others import of picture health: where the measured series of a camera are heading."""

from __future__ import annotations

from detector_pool.health.prediction import NEEDED, Outlook, Series, daily_quality, outlooks

__all__ = ["NEEDED", "Outlook", "Series", "daily_quality", "outlooks"]
