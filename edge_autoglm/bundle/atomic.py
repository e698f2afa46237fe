"""Writing files so that a crash leaves either the old content or the new one."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# Some network and FUSE file systems cannot fsync a folder; there is nothing better to do on them.
_NO_FOLDER_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


def write_bytes_atomic(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace the content of ``path`` in one step, durably.

    Args:
        path: File to write; its folder must exist.
        data: The whole new content.
        mode: Permission bits of the new file, before the umask.

    Raises:
        OSError: The write failed; ``path`` is as it was and no other file is left behind.
    """
    with written_aside(path, f".{path.name}.partial-{secrets.token_hex(4)}", mode=mode) as file:
        file.write(data)


@contextmanager
def written_aside(path: Path, partial_name: str, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of ``path``, durably, when the block ends well.

    Args:
        path: File to replace; its folder must exist.
        partial_name: Of the file until then, in the same folder. One that a killed process left there is overwritten.
            Two writers of one name must not overlap.
        mode: As for `write_bytes_atomic`.

    Raises:
        OSError: As there.
    """
    partial = path.with_name(partial_name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(partial, flags, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: what was created, renamed or deleted there survives a power cut.

    Raises:
        OSError: The folder cannot be opened, or the device reports a failure.
    """
    if sys.platform == "win32":  # a folder cannot be opened as a file there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FSYNC:
            raise
    finally:
        os.close(handle)
