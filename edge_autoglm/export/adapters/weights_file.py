"""The tensors of a folder that PEFT has saved."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.errors import NotAModel, SourceError, SourceNotFound
from edge_autoglm.export.sources.safetensors_header import TensorEntry, read_header

SAVE_AGAIN = "Save it again with PEFT (save_pretrained)."
_WEIGHTS, _PICKLE = "adapter_model.safetensors", "adapter_model.bin"


def weights_path(folder: Path) -> Path:
    """Where PEFT saves them."""
    return folder / _WEIGHTS


def read_tensors(folder: Path) -> dict[str, TensorEntry]:
    """Tensors by name, their header checked.

    Raises:
        SourceNotFound: There is no such file.
        NotAModel: It is malformed or pickled.
        SourceError: It cannot be read.
    """
    path = weights_path(folder)
    if not path.is_file():
        if (folder / _PICKLE).is_file():
            raise NotAModel(
                f"{folder / _PICKLE} is pickled, and pickles are never loaded",
                "Save it as safetensors: save_pretrained(..., safe_serialization=True).",
            )
        raise SourceNotFound(f"the weights {path} are missing", SAVE_AGAIN)
    try:
        return dict(read_header(path))
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})", "Check its permissions.") from error
