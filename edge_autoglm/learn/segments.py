"""Reading the journal: numbered segment files of one checksummed record a line.

A line is ``crc32 json``, the CRC in eight hex digits. It covers the JSON *and* the CRC of the line before, across
segments too, so a line or a segment that was removed, moved or exchanged is noticed as well as one that was altered.
The first line of a segment is its header. Old segments may have been dropped from the front.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn
from zlib import crc32

from edge_autoglm.errors import StateDamaged
from edge_autoglm.learn.record_codec import OLDEST_SCHEMA, SCHEMA_VERSION, RecordCodec
from edge_autoglm.learn.records import Record
from edge_autoglm.values import Progress, silent

_PROGRESS_EVERY = 500  # lines


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two records.

    Attributes:
        segment: Number of the segment.
        before: CRC that the segment's header continues from.
        size: Bytes of the segment up to here.
        crc: Of the last line up to here.
    """

    segment: int
    before: int
    size: int
    crc: int


BEGINNING = Position(segment=1, before=0, size=0, crc=0)


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the journal ends."""

    number: int
    """Of the last segment; 0 where there is none yet."""
    crc: int
    """Of the last good line."""
    size: int
    """Good bytes of the last segment."""
    torn: int
    """Bytes after them: a write that a crash cut short."""
    sealed: int
    """Bytes of all earlier segments that are kept."""
    before: int = 0
    """CRC that the last segment's header continues from."""
    codec: RecordCodec = field(default_factory=RecordCodec)
    """Of the last segment."""

    @property
    def position(self) -> Position:
        """The end."""
        return Position(self.number, self.before, self.size, self.crc)


def segment_path(folder: Path, number: int) -> Path:
    """File of a segment, counted from 1."""
    return folder / f"journal-{number:06d}.log"


def segment_paths(folder: Path) -> list[Path]:
    """Segment files that exist, in order."""
    return sorted(folder.glob("journal-[0-9][0-9][0-9][0-9][0-9][0-9].log"))


def segment_number(path: Path) -> int:
    """The number in a segment's name."""
    return int(path.stem[-6:])


def frame(payload: bytes, previous: int) -> tuple[bytes, int]:
    """The line of a payload, and its CRC, after a line whose CRC is ``previous``."""
    crc = crc32(payload, previous)
    return b"%08x %b\n" % (crc, payload), crc


def header(number: int, previous: int) -> tuple[bytes, int]:
    """First line of a segment, and its CRC."""
    return frame(_header_payload(SCHEMA_VERSION, number), previous)


def read_journal(
    folder: Path, apply: Callable[[Record], None], progress: Progress = silent, start: Position | None = None
) -> Tail:
    """Hand every record to ``apply``, in order, and change nothing.

    What a crash during a write leaves is not handed on but counted: at the end of the last segment, a line without its
    end, or with zeros in place of blocks that did not reach the disk.

    Args:
        folder: Of the journal.
        apply: Called with each record.
        progress: Called with stage ``journal`` and bytes.
        start: Where to begin; at the oldest segment that is kept by default.

    Raises:
        StateDamaged: Anything else is not as it was written; names file and line.
        OSError: A segment cannot be read.
    """
    kept = segment_paths(folder)
    begin = start or _beginning_of(kept)
    paths = [path for path in kept if segment_number(path) >= begin.segment]
    if not paths and begin.size:
        _damaged(segment_path(folder, begin.segment), 1, "the file is missing")
    sealed = sum(path.stat().st_size for path in kept if path not in paths)
    total = sealed + sum(path.stat().st_size for path in paths)
    tail = Tail(begin.segment - 1, begin.before, 0, 0, sealed)
    for path in paths:
        segment = _Segment(path, tail, last=path == paths[-1], begin=begin, trusted=start is None)
        tail = segment.read(apply, lambda done: progress("journal", done, total))
    return tail


def _beginning_of(kept: list[Path]) -> Position:
    """Of the oldest segment; what its header continues from is not known where that is gone."""
    return replace(BEGINNING, segment=segment_number(kept[0])) if kept else BEGINNING


def _header_payload(schema: int, number: int) -> bytes:
    return json.dumps({"schema": schema, "segment": number}).encode("ascii")


def _damaged(path: Path, line: int, why: str) -> NoReturn:
    raise StateDamaged(
        f"the journal {path}, line {line}, is damaged: {why}",
        "Restore the state folder from a backup, or start with a new one.",
    )


class _Segment:
    """One segment while it is read.

    Args:
        path: Of its file.
        previous: The end of the segment before.
        last: Whether there is none after it.
        begin: Where reading begins; what comes before it in this segment is checked but not handed on.
        trusted: Whether ``begin`` was made up from a file's name, so that the first header is taken at its word.
    """

    def __init__(self, path: Path, previous: Tail, last: bool, begin: Position, trusted: bool) -> None:
        self._path = path
        self._last = last
        self._number = previous.number + 1
        self._before = self._crc = previous.crc
        self._sealed = previous.sealed + previous.size
        self._begin = begin if begin.segment == self._number else None
        self._trusted = trusted and self._begin is not None and self._number > 1
        self._codec = RecordCodec()
        self._size = 0
        self._line = 0

    def read(self, apply: Callable[[Record], None], progress: Callable[[int], None]) -> Tail:
        torn = 0
        with self._path.open("rb") as file:
            self._read_header(file.readline())
            for line in file:
                skipped = self._begin is not None and self._size < self._begin.size
                payload = self._checked(line)
                if payload is None:
                    torn = len(line)
                    unfinished = not line.endswith(b"\n") or b"\0" in line
                    if not (self._last and unfinished) or file.read(1):
                        self._damaged("its checksum does not match")
                    break
                self._take(payload, skipped, apply)
                if self._line % _PROGRESS_EVERY == 0:
                    progress(self._sealed + self._size)
        if self._begin is not None and self._size < self._begin.size:
            self._damaged("what a snapshot has seen after it is missing")
        progress(self._sealed + self._size + torn)
        return Tail(self._number, self._crc, self._size, torn, self._sealed, self._before, self._codec)

    def _read_header(self, line: bytes) -> None:
        if self._path != segment_path(self._path.parent, self._number):
            self._damaged(f"{segment_path(self._path.parent, self._number).name} is missing before it")
        payload = self._checked(line)
        if payload is None:
            self._damaged("its checksum does not match")
        for schema in range(OLDEST_SCHEMA, SCHEMA_VERSION + 1):
            if payload == _header_payload(schema, self._number):
                self._codec = RecordCodec(schema)
                return
        self._damaged(f"it says {payload.decode('ascii', 'replace')}, not schema 1 or 2 of segment {self._number}")

    def _checked(self, line: bytes) -> bytes | None:
        """The payload of a good line."""
        self._line += 1
        payload = line[9:-1]
        if self._trusted and self._line == 1:
            with suppress(ValueError):
                self._crc = int(line[:8], 16)
                self._size += len(line)
                return payload
        expected, crc = frame(payload, self._crc)
        if line != expected:
            return None
        self._crc = crc
        self._size += len(line)
        return payload

    def _take(self, payload: bytes, skipped: bool, apply: Callable[[Record], None]) -> None:
        try:
            if not skipped:
                apply(self._codec.decode(payload))
                return
            self._codec.skip(payload)
        except ValueError as error:
            self._damaged(str(error))
        if self._begin is not None and self._size >= self._begin.size:
            self._check_begin(self._begin)

    def _check_begin(self, begin: Position) -> None:
        if (self._size, self._crc) != (begin.size, begin.crc):
            self._damaged("a snapshot was made of another journal")

    def _damaged(self, why: str) -> NoReturn:
        _damaged(self._path, self._line, why)
