"""Writing the journal: append-only, crash-safe, never ahead of nor behind what was acknowledged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.errors import PolicyError, StateNotWritable
from edge_autoglm.learn.records import Record, to_json
from edge_autoglm.learn.segments import Tail, frame, header, read_journal, segment_path
from edge_autoglm.values import Progress, silent

DEFAULT_SEGMENT_BYTES = 16 * 2**20
PRIVATE = 0o600


def not_writable(folder: Path, error: OSError) -> StateNotWritable:
    """The error to raise where the operating system refused a write."""
    return StateNotWritable(
        f"the state folder {folder} cannot be written to: {error.strerror or error}",
        "Free some disk space, or name a folder that this user may write to.",
    )


class Journal:
    """The open journal of a state folder, which the caller has locked.

    What ``append`` wrote survives the death of the process as soon as it returns, and a power cut as soon as ``sync``
    returns. A failed append is undone. Only ``sync`` may run while another thread appends.

    Args:
        folder: Exists.
        replay: Called with every record that the journal holds.
        segment_bytes: A new segment is begun when the current one has grown to this.
        progress: Called with stage ``journal`` and bytes.

    Raises:
        StateDamaged: See ``read_journal``.
        StateNotWritable: The folder or a file in it cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        replay: Callable[[Record], None],
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        progress: Progress = silent,
    ) -> None:
        if segment_bytes < 1:
            raise PolicyError(f"segment_bytes is {segment_bytes}", "Give at least 1.")
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._failure: OSError | None = None
        self._number = self._crc = self._size = self._sealed = 0
        self._syncing = threading.Lock()
        try:
            tail = read_journal(folder, replay, progress)
            self._resume(tail if tail.number else self._create(1, 0, sealed=0))
        except OSError as error:
            raise not_writable(folder, error) from error
        self.torn = tail.torn
        """Bytes of an unfinished record that were cut when the journal was opened."""

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return self._sealed + self._size

    def append(self, record: Record) -> None:
        """Write a record.

        Raises:
            StateNotWritable: It could not be written whole; the journal is as it was.
        """
        self._check_sound()
        payload = to_json(record)
        if self._size >= self._segment_bytes:
            self._begin_segment()
        line, crc = frame(payload, self._crc)
        try:
            self._write(line)
        except BaseException as error:
            self._undo()
            if isinstance(error, OSError):
                raise not_writable(self._folder, error) from error
            raise
        self._size += len(line)
        self._crc = crc

    def sync(self) -> None:
        """Wait until everything appended before this call is on the disk.

        Raises:
            StateNotWritable: The device failed. What it holds is then unknown, so the journal takes nothing more until
                the state folder is opened again.
        """
        with self._syncing:
            self._check_sound()
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                self._failure = error
                raise not_writable(self._folder, error) from error

    def close(self) -> None:
        """Let the file go. Appended records stay as durable as they were."""
        with self._syncing:
            self._file.close()

    def _create(self, number: int, previous: int, sealed: int) -> Tail:
        """Make an empty segment, whole or not at all."""
        line, crc = header(number, previous)
        write_bytes_atomic(segment_path(self._folder, number), line, mode=PRIVATE)
        return Tail(number, crc, len(line), 0, sealed)

    def _resume(self, tail: Tail) -> None:
        """Continue after the last good line."""
        file = segment_path(self._folder, tail.number).open("r+b", buffering=0)
        try:
            file.truncate(tail.size)
            file.seek(tail.size)
            # What was just replayed counts as acknowledged from now on; it may not have reached the disk yet.
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            raise
        self._file = file
        self._number, self._crc, self._size, self._sealed = tail.number, tail.crc, tail.size, tail.sealed

    def _begin_segment(self) -> None:
        """Seal the current segment, on the disk, and continue in a new one."""
        path = segment_path(self._folder, self._number + 1)
        with self._syncing:
            full = self._file
            try:
                os.fsync(full.fileno())
                self._resume(self._create(self._number + 1, self._crc, self.size))
            except OSError as error:
                self._discard(path)
                raise not_writable(self._folder, error) from error
            full.close()

    def _discard(self, path: Path) -> None:
        """Remove a segment that could not be begun; the current one would not fit before it any more."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._failure = error

    def _write(self, line: bytes) -> None:
        written = 0
        while written < len(line):
            written += self._file.write(line[written:]) or 0

    def _undo(self) -> None:
        """Cut what a failed append left behind the last good line."""
        try:
            self._file.truncate(self._size)
            self._file.seek(self._size)
        except OSError as error:
            self._failure = error

    def _check_sound(self) -> None:
        if self._failure is not None:
            raise StateNotWritable(
                f"the state folder {self._folder} failed earlier ({self._failure.strerror or self._failure})",
                "Repair the disk, then open the state folder again.",
            )
