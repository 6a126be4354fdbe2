"""The report of an access log: the folder of a media center that says who looked at which footage.

What does not belong here: the log's form (`access_book`).
"""

from __future__ import annotations

from pathlib import Path

from media_center.access_book import HEAD_NAME, log_files, verify_log
from media_center.keys import TrustedKeys, is_signed
from media_center.verify_report import Finding, Report


def is_access_log(folder: Path) -> bool:
    """Whether a folder holds an access log. OSError if it cannot be read."""
    return (folder / HEAD_NAME).is_file() or bool(log_files(folder))


def verify_access(folder: Path, trusted: TrustedKeys) -> Report:
    """The report of an access log. OSError if the folder cannot be read."""

    def judge(key_id: bytes, signature: bytes, data: bytes) -> bool:
        key = trusted.get(key_id)
        if key is None:
            report.unknown_signers.add(key_id.hex())
            return True  # consistent, and signed by nobody who is known: no finding
        report.signers.add(key_id.hex())
        return is_signed(key, signature, data)

    report = Report(str(folder), "access log", is_signed=True)
    found = verify_log(folder, judge)
    report.is_signed = bool(found.signer)
    report.findings += [Finding("access", text, HEAD_NAME) for text in found.findings]
    report.notes.append(f"{found.entries} accesses, each bound to the one before it")
    if found.missing:
        report.notes.append(f"{found.missing} accesses could not be written when they happened, and it says so")
    return report
