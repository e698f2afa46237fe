"""Writing the journal: append-only, crash-safe, never ahead of nor behind what was acknowledged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from edge_autoglm.bundle.atomic import fsync_folder, write_bytes_atomic
from edge_autoglm.errors import PolicyError, StateNotWritable
from edge_autoglm.learn.record_codec import SCHEMA_VERSION, RecordCodec
from edge_autoglm.learn.records import Record
from edge_autoglm.learn.segments import (
    BEGINNING,
    Position,
    Tail,
    frame,
    header,
    read_journal,
    segment_number,
    segment_path,
    segment_paths,
)
from edge_autoglm.values import Progress, silent

DEFAULT_SEGMENT_BYTES = 16 * 2**20
PRIVATE = 0o600


def not_writable(folder: Path, error: OSError) -> StateNotWritable:
    """The error to raise where the operating system refused a write."""
    return StateNotWritable(
        f"the state folder {folder} cannot be written to: {error.strerror or error}",
        "Free some disk space, or name a folder that this user may write to.",
    )


@dataclass(frozen=True, slots=True)
class _Current:
    """The segment that is appended to; exchanged as a whole, so that an interrupt sees the old one or the new one."""

    file: FileIO
    tail: Tail


class Journal:
    """The open journal of a state folder, which the caller has locked.

    What ``append`` wrote survives the death of the process as soon as it returns, and a power cut as soon as ``sync``
    returns. A failed append is undone. Only ``sync`` may run while another thread appends.

    Args:
        folder: Exists.
        replay: Called with every record that the journal holds from ``start`` on.
        segment_bytes: A new segment is begun when the current one has grown to this.
        progress: Called with stage ``journal`` and bytes.
        start: What comes before it is known from elsewhere.

    Raises:
        StateDamaged: See ``read_journal``.
        StateNotWritable: The folder or a file in it cannot be written to.
        PolicyError: ``segment_bytes`` is below 1.
    """

    def __init__(
        self,
        folder: Path,
        replay: Callable[[Record], None],
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        progress: Progress = silent,
        start: Position = BEGINNING,
    ) -> None:
        if segment_bytes < 1:
            raise PolicyError(f"segment_bytes is {segment_bytes}", "Give at least 1.")
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._failure: OSError | None = None
        self._syncing = threading.Lock()
        try:
            tail = read_journal(folder, replay, progress, start)
            self._current = self._opened(tail if tail.number else self._created(tail))
        except OSError as error:
            raise not_writable(folder, error) from error
        self.torn = tail.torn
        """Bytes of an unfinished record that were cut when the journal was opened."""
        self._dropped = 0
        if tail.number and tail.codec.schema != SCHEMA_VERSION:
            self._leave_old_schema()

    @property
    def size(self) -> int:
        """Bytes of all segments that are kept."""
        return self.written - self._dropped

    @property
    def written(self) -> int:
        """Bytes of all segments, those too that were dropped since it was opened."""
        return self._current.tail.sealed + self._current.tail.size

    @property
    def whole(self) -> bool:
        """Whether the first segment is kept."""
        return segment_path(self._folder, BEGINNING.segment).exists()

    @property
    def position(self) -> Position:
        """Where the next record will go."""
        return self._current.tail.position

    def bytes_after(self, position: Position) -> int:
        """Bytes written after a place in a segment that is kept."""
        sizes = [p.stat().st_size for p in segment_paths(self._folder) if segment_number(p) >= position.segment]
        return sum(sizes) - position.size

    def append(self, *records: Record) -> None:
        """Write records: all, or none of them.

        Raises:
            StateNotWritable: They could not be written whole; the journal is as it was.
        """
        self._check_sound()
        if self._current.tail.size >= self._segment_bytes:
            self._begin_segment()
        file, tail = self._current.file, self._current.tail
        lines, crc = b"", tail.crc
        for record in records:
            line, crc = frame(tail.codec.encode(record), crc)
            lines += line
        try:
            _write(file, lines)
            self._current = _Current(file, replace(tail, crc=crc, size=tail.size + len(lines)))
            for record in records:
                tail.codec.note(record)
        except BaseException as error:
            self._undo()
            if isinstance(error, OSError):
                raise not_writable(self._folder, error) from error
            raise

    def sync(self) -> None:
        """Wait until everything appended before this call is on the disk.

        Raises:
            StateNotWritable: The device failed. What it holds is then unknown, so the journal takes nothing more until
                the state folder is opened again.
        """
        with self._syncing:
            self._check_sound()
            self._flush()

    def drop(self, before: int, budget: int) -> None:
        """Delete the oldest segments while all together take more than ``budget`` bytes, those below ``before`` only.

        One call at a time; other methods may run meanwhile.

        Raises:
            StateNotWritable: A segment cannot be deleted.
        """
        for path in segment_paths(self._folder):
            if segment_number(path) >= before or self.size <= budget:
                return
            try:
                size = path.stat().st_size
                path.unlink()
                # One at a time for good: after a power cut, those that are left must have no gap between them.
                fsync_folder(self._folder)
            except OSError as error:
                raise not_writable(self._folder, error) from error
            self._dropped += size

    def close(self) -> None:
        """Let the file go. Appended records stay as durable as they were."""
        with self._syncing:
            self._current.file.close()

    def _created(self, previous: Tail) -> Tail:
        """Make the next segment, empty, whole or not at all."""
        number = previous.number + 1
        line, crc = header(number, previous.crc)
        write_bytes_atomic(segment_path(self._folder, number), line, mode=PRIVATE)
        sealed = previous.sealed + previous.size
        return Tail(number, crc, len(line), 0, sealed, before=previous.crc, codec=RecordCodec())

    def _opened(self, tail: Tail) -> _Current:
        """Ready to continue after the last good line."""
        file = FileIO(segment_path(self._folder, tail.number), "r+")
        try:
            file.truncate(tail.size)
            file.seek(tail.size)
            # What was just replayed counts as acknowledged from now on; it may not have reached the disk yet.
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            raise
        return _Current(file, tail)

    def _begin_segment(self) -> None:
        """Seal the current segment, on the disk, and continue in a new one.

        The full one takes nothing more even if this fails, so a new one that was left behind empty fits after it: the
        next append writes the same header again.
        """
        full = self._current
        with self._syncing:
            self._flush()
            try:
                self._current = self._opened(self._created(full.tail))
            except OSError as error:
                raise not_writable(self._folder, error) from error
            full.file.close()

    def _leave_old_schema(self) -> None:
        try:
            self._begin_segment()
        except BaseException:
            self.close()
            raise

    def _undo(self) -> None:
        """Cut what a failed append left behind the last good line."""
        try:
            self._current.file.truncate(self._current.tail.size)
            self._current.file.seek(self._current.tail.size)
        except OSError as error:
            self._failure = error

    def _flush(self) -> None:
        try:
            os.fsync(self._current.file.fileno())
        except OSError as error:
            # The kernel may have dropped what it could not write: a later fsync that succeeds would prove nothing.
            self._failure = error
            raise not_writable(self._folder, error) from error

    def _check_sound(self) -> None:
        if self._failure is not None:
            raise StateNotWritable(
                f"the state folder {self._folder} failed earlier ({self._failure.strerror or self._failure})",
                "Repair the disk, then open the state folder again.",
            )


def _write(file: FileIO, lines: bytes) -> None:
    written = 0
    while written < len(lines):  # a disk that fills up takes a part first
        written += file.write(lines[written:])
