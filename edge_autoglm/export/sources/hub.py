"""Checkpoints on the Hugging Face hub, through ``huggingface_hub`` and its cache."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from edge_autoglm.errors import MissingDependency, SourceError, SourceNotFound
from edge_autoglm.export.sources.safetensors_folder import SafetensorsFolder
from edge_autoglm.values import Progress

_WANTED = ["*.json", "*.safetensors", "*.jinja"]
_UNWANTED = ["*/*", "consolidated*"]
"""Files in sub-folders and weights in the makers' own layout: the same model again."""


def open_hub(repo_id: str, progress: Progress) -> SafetensorsFolder:
    """Download a checkpoint (or find it in the cache) and open it.

    Args:
        repo_id: ``organisation/name``.
        progress: Told of the bytes downloaded.

    Raises:
        SourceNotFound: There is no such model, it is not open to the reader, or the hub is out of reach and the model
            not in the cache.
        SourceError: The download failed.
        MissingDependency: ``huggingface_hub`` is not installed.
    """
    return SafetensorsFolder(_download(repo_id, progress), location=repo_id)


def _download(repo_id: str, progress: Progress) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError as error:
        raise MissingDependency(
            f"{repo_id} is no file or folder here, and reading from the hub needs the package 'huggingface_hub'",
            'Check the path, or install it: pip install "edge-autoglm[export]".',
        ) from error
    try:
        return Path(
            snapshot_download(
                repo_id, allow_patterns=_WANTED, ignore_patterns=_UNWANTED, tqdm_class=byte_counter(progress)
            )
        )
    except GatedRepoError as error:
        raise SourceNotFound(
            f"the hub model {repo_id} is gated", "Accept its licence on the hub and log in with 'hf auth login'."
        ) from error
    except RepositoryNotFoundError as error:
        raise SourceNotFound(
            f"{repo_id} is no file or folder here and no model on the hub", "Check the path or the id."
        ) from error
    except LocalEntryNotFoundError as error:
        raise SourceNotFound(
            f"{repo_id} is no file or folder here, the hub cannot be reached and the model is not in its cache",
            "Check the path, or go online for the first export.",
        ) from error
    # What else a download raises differs between the versions of huggingface_hub and of its HTTP library.
    except Exception as error:
        raise SourceError(
            f"downloading {repo_id} failed ({type(error).__name__}: {error})", "Check the network and try again."
        ) from error


def byte_counter(progress: Progress) -> type[Any]:
    """A progress-bar class for ``huggingface_hub`` that reports bytes and draws nothing."""
    from huggingface_hub.utils.tqdm import tqdm

    class ByteCounter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            # A disabled bar would not count, and without a terminal huggingface_hub disables it.
            super().__init__(*args, **{**options, "disable": False, "file": io.StringIO()})  # type: ignore[no-untyped-call]

        def display(self, *args: Any, **options: Any) -> None:
            if self.unit == "B" and self.total:
                progress("download", int(self.n), int(self.total))

    return ByteCounter
