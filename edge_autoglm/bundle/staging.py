"""The folders beside a bundle: where it is staged, and where the one it replaces waits.

- ``.<name>.partial-*`` is never whole. It is locked by the process that fills it; one without a lock belongs to a dead
  process (or is a replaced bundle being deleted) and may be removed by anyone.
- ``.<name>.previous-*`` is always whole: the old bundle between the two renames of a replacement. A process that dies
  there leaves no bundle at OUT, and the old one is put back by whoever comes next.

Folders are told apart under an exclusive lock on the parent folder, which is held for moments only. The locks are the
kernel's (``flock``), not process ids: they end with their process, and mean the same in every container.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_autoglm.bundle.atomic import fsync_folder
from edge_autoglm.bundle.manifest import MANIFEST_NAME, listed_paths
from edge_autoglm.bundle.signature import SIGNATURE_NAME
from edge_autoglm.errors import ExportError

if sys.platform != "win32":
    import fcntl

_PARTIAL = "partial"
_PREVIOUS = "previous"


class Staging:
    """A locked, empty folder beside ``out`` in which a bundle is put together.

    Attributes:
        folder: The folder.
    """

    def __init__(self, out: Path) -> None:
        self.folder = _sibling(out, _PARTIAL)
        self.folder.mkdir()
        try:
            self._lock = _lock(self.folder, wait=False)
        except BaseException:
            self.folder.rmdir()
            raise

    def close(self) -> None:
        """Delete the folder, unless it was renamed, and let go of the lock. Idempotent."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def prepare(out: Path, overwrite: bool) -> Staging:
    """Clear away what dead processes left beside ``out``, check that it may be written, and make a staging folder.

    Raises:
        ExportError: See ``check_replaceable``.
        OSError: The parent folder cannot be made or written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out.parent):
        _put_back(out)
        _remove_leftovers(out)
        check_replaceable(out, overwrite)
        return Staging(out)


def replace(out: Path, staging: Staging, overwrite: bool) -> None:
    """Rename the staged folder to ``out``; what was there survives until the new one is in place.

    Raises:
        ExportError: See ``check_replaceable``; another process may have written ``out`` meanwhile.
        OSError: A rename failed; ``out`` is as it was.
    """
    garbage = None
    with locked(out.parent):
        check_replaceable(out, overwrite)
        previous = _sibling(out, _PREVIOUS)
        try:
            if _is_vacant(out):
                _remove_empty(out)
            else:
                out.rename(previous)
            staging.folder.rename(out)
        except BaseException:
            _put_back(out)
            raise
        fsync_folder(out.parent)
        if previous.exists():
            garbage = previous.rename(_sibling(out, _PARTIAL))
    if garbage is not None:
        shutil.rmtree(garbage, ignore_errors=True)


def recover(out: Path) -> None:
    """Put the old bundle back if a writer died between the two renames of a replacement.

    Raises:
        OSError: The rename failed.
    """
    if _is_vacant(out) and out.parent.is_dir() and _siblings(out, _PREVIOUS):
        with locked(out.parent):  # waits for a replacement that is under way
            _put_back(out)


def check_replaceable(out: Path, overwrite: bool) -> None:
    """Refuse an ``out`` that cannot be replaced, or that holds anything that is not ours.

    Raises:
        ExportError: It is a file or a mount point; it is not empty and ``overwrite`` is false; or it holds something
            that is not part of a bundle.
    """
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file", "Name a folder for the bundle.")
    if os.path.ismount(out):
        raise ExportError(f"{out} is a mount point, which cannot be replaced in one step", "Name a folder inside it.")
    if _is_vacant(out):
        return
    if not overwrite:
        raise ExportError(f"{out} exists and is not empty", "Choose another folder, or allow overwriting (--force).")
    listed = _listed(out)
    if listed is None:
        raise ExportError(
            f"{out} is not a bundle and is not overwritten", "Choose another folder, or delete it if it is not needed."
        )
    for foreign in sorted(set(files_below(out)) - listed):
        raise ExportError(
            f"{out} holds {foreign}, which is not part of the bundle there; it is not overwritten",
            f"Move {foreign} away, or choose another folder.",
        )


def files_below(folder: Path) -> list[str]:
    """Sorted POSIX paths of everything below a folder that is not itself a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_folder(path))


def folders_below(folder: Path) -> list[Path]:
    """Folders below a folder."""
    return [path for path in folder.rglob("*") if _is_folder(path)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _listed(out: Path) -> frozenset[str] | None:
    try:
        listed = listed_paths((out / MANIFEST_NAME).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return None if listed is None else listed | {MANIFEST_NAME, SIGNATURE_NAME}


def _is_vacant(out: Path) -> bool:
    try:  # and look only once: another process may rename it at any time
        return next(out.iterdir(), None) is None
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return False


def _remove_empty(out: Path) -> None:
    if out.exists():
        out.rmdir()  # POSIX would rename over it, Windows would not


def _sibling(out: Path, role: str) -> Path:
    return out.with_name(f".{out.name}.{role}-{os.getpid()}-{secrets.token_hex(4)}")


def _siblings(out: Path, role: str) -> list[Path]:
    return [path for path in out.parent.iterdir() if path.name.startswith(f".{out.name}.{role}-")]


def _put_back(out: Path) -> None:
    if _is_vacant(out) and (previous := _siblings(out, _PREVIOUS)):
        _remove_empty(out)
        previous[0].rename(out)
        fsync_folder(out.parent)


def _remove_leftovers(out: Path) -> None:
    if (out / MANIFEST_NAME).is_file():  # the replacement was complete but for this
        for previous in _siblings(out, _PREVIOUS):
            previous.rename(_sibling(out, _PARTIAL))
    for partial in _siblings(out, _PARTIAL):
        with suppress(OSError):  # another user's, perhaps
            _remove_unlocked(partial)


def _remove_unlocked(partial: Path) -> None:
    lock = _lock(partial, wait=False)
    if lock is not None:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path, *, wait: bool) -> int | None:
    """Handle that holds the folder's lock until it is closed.

    ``None`` if another process has it, or if this file system has no locks: work goes on without them there, and
    nothing is taken for abandoned.
    """
    if sys.platform == "win32":
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(handle)
        if isinstance(error, OSError):
            return None
        raise
    return handle


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process has the folder locked, and lock it; see ``_lock`` for where there are no locks."""
    handle = _lock(folder, wait=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
