"""What commands import: backing footage up, checking a backup, putting it back."""

from __future__ import annotations

from media_center.backup.copying import BackupReport, back_up, check_backup, copy_records
from media_center.backup.restoring import RestoreReport, restore

__all__ = ["BackupReport", "RestoreReport", "back_up", "check_backup", "copy_records", "restore"]
