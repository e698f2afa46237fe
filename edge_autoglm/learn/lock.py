"""One process at a time owns a state folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from edge_autoglm.errors import StateLocked

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FolderLock:
    """An exclusive lock that the operating system drops when the process ends, however it ends.

    Args:
        folder: Must exist; the lock is a file in it.

    Raises:
        StateLocked: Someone else holds it, in this process or another.
        OSError: The lock file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "lock").open("ab")
        try:
            _lock(self._file)
        except (BlockingIOError, PermissionError) as error:
            self._file.close()
            raise StateLocked(
                f"the state folder {folder} is in use by another runtime",
                "Close that one first, or give this one a state folder of its own.",
            ) from error
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        """Let the folder go; a second call does nothing."""
        self._file.close()


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
