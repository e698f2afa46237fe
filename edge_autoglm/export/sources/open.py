"""Which reader a source is for."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge_autoglm.errors import NotAModel, SourceError, SourceNotFound
from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.sources.gguf import GGUFCheckpoint
from edge_autoglm.export.sources.hub import open_hub
from edge_autoglm.export.sources.safetensors_folder import SafetensorsFolder
from edge_autoglm.values import Progress, silent

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_EXPECTED = "Give a .gguf file, a folder with config.json and safetensors, or a hub id (organisation/name)."


def open_checkpoint(source: str, progress: Progress = silent) -> Checkpoint:
    """Open a checkpoint; its weights stay on disk until they are read.

    Args:
        source: A ``.gguf`` file, a folder with ``config.json`` and safetensors, or a hub id. What exists as a path is
            taken as a path.
        progress: Told of a download.

    Raises:
        SourceError: It does not exist, cannot be read, is damaged or of an unknown kind.
        MissingDependency: A package of the extra ``export`` is needed.
    """
    path = Path(os.path.expanduser(source))  # unlike Path.expanduser, leaves the home of an unknown user alone
    try:
        if path.is_dir():
            return SafetensorsFolder(path)
        if path.is_file():
            return _open_file(path)
    except OSError as error:
        raise SourceError(
            f"{source} cannot be read ({error.strerror})", "Check the path and its permissions."
        ) from error
    if path.suffix != ".gguf" and _HUB_ID.fullmatch(source):
        return open_hub(source, progress)
    raise SourceNotFound(f"there is no file or folder {source}", _EXPECTED)


def _open_file(path: Path) -> Checkpoint:
    if path.suffix == ".gguf":
        return GGUFCheckpoint(path)
    if path.suffix == ".safetensors":
        raise NotAModel(f"{path} holds weights only", f"Give the folder with its config.json: {path.parent}.")
    raise NotAModel(f"{path} is not a checkpoint (by its name)", _EXPECTED)
