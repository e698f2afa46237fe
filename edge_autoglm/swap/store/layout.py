"""Names below the folder of generations, and how things come and go there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

GENERATIONS = "generations"
"""Below the state folder."""
POINTER = "active.json"
RECORD = "generation.json"
POLICY = "policy.safetensors"
BUNDLE = "bundle"

_NUMBERED = re.compile(r"\d{6,}")


def generation_folder(folder: Path, number: int) -> Path:
    """Where a generation is kept."""
    return folder / f"{number:06d}"


def staging_folder(folder: Path, number: int) -> Path:
    """Where one is put together."""
    return folder / f".{number:06d}.partial"


def kept_numbers(folder: Path) -> list[int]:
    """Numbers of the generations that are there, in order.

    Raises:
        OSError: The folder cannot be read.
    """
    if not folder.exists():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if _NUMBERED.fullmatch(path.name) and path.is_dir())


def put_away(folder: Path, number: int) -> None:
    """Delete a generation. It disappears in one step, so that a kill leaves no half of it.

    Raises:
        OSError: It cannot be renamed.
    """
    gone = folder / f".{number:06d}.gone"
    shutil.rmtree(gone, ignore_errors=True)
    generation_folder(folder, number).rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """Delete what a killed process was putting together or putting away.

    Raises:
        OSError: The folder cannot be read, or a file in it not deleted.
    """
    for path in folder.iterdir():
        if not path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
