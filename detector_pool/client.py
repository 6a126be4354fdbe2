"""What others import of the detector pool: recorded frames inspected again.

with SyncLedgerClient(aggregate, token) as ledger, SyncFootageClient(media_center, token) as footage:
    for again in reinspect(ledger, footage, "gate", "gate.motion", from_ns, to_ns):
        print(again.id, again.then.score, again.now and again.now.score, again.is_equal)
"""

from __future__ import annotations

from detector_pool.detector import LoadedModel, Observation
from detector_pool.evaluation.chosen import Chosen, choose
from detector_pool.evaluation.dataset import Dataset, open_dataset
from detector_pool.evaluation.run import ClipResult, Evaluation, evaluate
from detector_pool.footage_inspection import Inspected, Moment, inspect_footage
from detector_pool.looking import made_for, models_of, moved_to
from detector_pool.model_download import fetch as fetch_model
from detector_pool.models import ModelFiles, check_model, open_files, open_model, opened, packed
from detector_pool.reasons import NoScore
from detector_pool.reinspect import Again, reinspect
from detector_pool.rules import check as check_rules
from detector_pool.rules import printed as printed_rules
from detector_pool.train_footage import FootageModel, Odd, require_torch, train_from_footage

# As others know it.
opened_files = opened

__all__ = [
    "Again",
    "Chosen",
    "ClipResult",
    "Dataset",
    "Evaluation",
    "FootageModel",
    "Inspected",
    "LoadedModel",
    "ModelFiles",
    "Moment",
    "NoScore",
    "Observation",
    "Odd",
    "check_model",
    "check_rules",
    "choose",
    "evaluate",
    "fetch_model",
    "inspect_footage",
    "made_for",
    "models_of",
    "moved_to",
    "open_dataset",
    "open_files",
    "open_model",
    "opened_files",
    "packed",
    "printed_rules",
    "reinspect",
    "require_torch",
    "train_from_footage",
]
