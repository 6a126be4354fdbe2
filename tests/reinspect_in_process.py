"""Another process that inspects recorded frames again: prints one JSON line with what it found.

python -m tests.reinspect_in_process AGGREGATE MEDIA_CENTER TOKEN_FILE CAMERA INSPECTION FROM_NS TO_NS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aggregate.client import SyncLedgerClient
from detector_pool.client import reinspect
from media_center.client import SyncFootageClient
from mesh.channel import Credentials


def main(aggregate: str, media_center: str, token_file: str, camera: str, inspection: str, *times: str) -> None:
    token = Credentials.from_file(Path(token_file))
    with SyncLedgerClient(aggregate, token) as ledger, SyncFootageClient(media_center, token) as footage:
        found = list(reinspect(ledger, footage, camera, inspection, int(times[0]), int(times[1])))
    different = [again for again in found if not again.is_equal]
    answer = {
        "frames": len(found),
        "scored": sum(again.then.reason is None for again in found),
        "fired": sum(again.then.score > 0.6 for again in found),
        "different": len(different),
        "not_recorded": sum(again.now is None for again in found),
        "examples": [f"{one.id} {one.then} {one.now}" for one in different[:5]],
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
