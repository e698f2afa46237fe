"""Reading the journal: numbered segment files of one checksummed record a line.

A line is ``crc32 json``, the CRC in eight hex digits. It covers the JSON *and* the CRC of the line before, across
segments too, so a line or a segment that was removed, moved or exchanged is noticed as well as one that was altered.
The first line of a segment is its header.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from zlib import crc32

from edge_autoglm.errors import StateDamaged
from edge_autoglm.learn.records import Record, from_json
from edge_autoglm.values import Progress, silent

SCHEMA_VERSION = 1
_PROGRESS_EVERY = 500  # lines


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
    """Bytes of all earlier segments."""


def segment_path(folder: Path, number: int) -> Path:
    """File of a segment, counted from 1."""
    return folder / f"journal-{number:06d}.log"


def segment_paths(folder: Path) -> list[Path]:
    """Segment files that exist, in order."""
    return sorted(folder.glob("journal-[0-9][0-9][0-9][0-9][0-9][0-9].log"))


def frame(payload: bytes, previous: int) -> tuple[bytes, int]:
    """The line of a payload, and its CRC, after a line whose CRC is ``previous``."""
    crc = crc32(payload, previous)
    return b"%08x %b\n" % (crc, payload), crc


def header(number: int, previous: int) -> tuple[bytes, int]:
    """First line of a segment, and its CRC."""
    return frame(json.dumps({"schema": SCHEMA_VERSION, "segment": number}).encode("ascii"), previous)


def read_journal(folder: Path, apply: Callable[[Record], None], progress: Progress = silent) -> Tail:
    """Hand every record to ``apply``, in order, and change nothing.

    What a crash during a write leaves is not handed on but counted: at the end of the last segment, a line without its
    end, or with zeros in place of blocks that did not reach the disk.

    Raises:
        StateDamaged: Anything else is not as it was written; names file and line.
        OSError: A segment cannot be read.
    """
    paths = segment_paths(folder)
    total = sum(path.stat().st_size for path in paths)
    tail = Tail(0, 0, 0, 0, 0)
    for path in paths:
        last = path == paths[-1]
        tail = _Segment(path, tail, last).read(apply, lambda done: progress("journal", done, total))
    return tail


class _Segment:
    """One segment while it is read."""

    def __init__(self, path: Path, previous: Tail, last: bool) -> None:
        self._path = path
        self._last = last
        self._number = previous.number + 1
        self._crc = previous.crc
        self._sealed = previous.sealed + previous.size
        self._size = 0
        self._line = 0

    def read(self, apply: Callable[[Record], None], progress: Callable[[int], None]) -> Tail:
        torn = 0
        with self._path.open("rb") as file:
            self._read_header(file.readline())
            for line in file:
                payload = self._checked(line)
                if payload is None:
                    torn = len(line)
                    unfinished = not line.endswith(b"\n") or b"\0" in line
                    if not (self._last and unfinished) or file.read(1):
                        self._damaged("its checksum does not match")
                    break
                apply(self._record(payload))
                if self._line % _PROGRESS_EVERY == 0:
                    progress(self._sealed + self._size)
        progress(self._sealed + self._size + torn)
        return Tail(self._number, self._crc, self._size, torn, self._sealed)

    def _read_header(self, line: bytes) -> None:
        if self._path != segment_path(self._path.parent, self._number):
            self._damaged(f"{segment_path(self._path.parent, self._number).name} is missing before it")
        payload = self._checked(line)
        if payload is None:
            self._damaged("its checksum does not match")
        found = json.loads(payload)
        if found != {"schema": SCHEMA_VERSION, "segment": self._number}:
            self._damaged(f"it says {found}, not schema {SCHEMA_VERSION} of segment {self._number}")

    def _checked(self, line: bytes) -> bytes | None:
        """The payload of a good line."""
        self._line += 1
        payload = line[9:-1]
        expected, crc = frame(payload, self._crc)
        if line != expected:
            return None
        self._crc = crc
        self._size += len(line)
        return payload

    def _record(self, payload: bytes) -> Record:
        try:
            return from_json(payload)
        except ValueError as error:
            self._damaged(str(error))

    def _damaged(self, why: str) -> NoReturn:
        raise StateDamaged(
            f"the journal {self._path}, line {self._line}, is damaged: {why}",
            "Restore the state folder from a backup, or start with a new one.",
        )
