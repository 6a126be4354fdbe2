"""The model that a command is told of: a folder or zip on this disk, a published version, or a model by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mesh.errors import NotFound

if TYPE_CHECKING:
    from detector_pool.client import ModelFiles
    from trueframe.client import Client

_SHORTEST = 8


def opened_model(tf: Client, model: str) -> ModelFiles:
    """The model. `model`: a path, the first eight digits of a version or more, or a name, of which the version that
    speaks is taken. Raises NotFound."""
    from detector_pool.client import open_files, opened_files

    if Path(model).exists():
        return open_files(Path(model))
    published = tf.models.list()
    named = next((one.rollout.promoted for one in published if one.name == model), "")
    digests = {version.digest for one in published for version in one.versions}
    found = [one for one in digests if len(model) >= _SHORTEST and one.startswith(model.lower())]
    if named:
        found = [named]
    if len(found) == 1:
        return opened_files(b"".join(tf.models.fetch(found[0])), found[0])
    why = "begins several versions" if found else "is no folder or zip here, no published model and no version"
    raise NotFound(f"model {model}", why, "`trueframe models list` shows published versions.")
