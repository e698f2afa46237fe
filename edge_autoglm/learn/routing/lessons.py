"""Lessons of a router since its last snapshot, appended one after the other.

A snapshot is hundreds of times larger than a lesson: written at every one, it would wear out a device's flash. A record
is the sizes and the CRC-32 of what follows, the lesson's number and task as JSON, its features as uint32 and float32. A
record that is not whole was being written when the process was killed or the power went, and was not acknowledged.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_autoglm.bundle.atomic import fsync_folder
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.journal import PRIVATE

_HEAD = struct.Struct("<III")
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learnt.

    Attributes:
        number: From 1, counted over the router's life.
        task: The right one.
        tasks: That competed.
        features: Of the text.
    """

    number: int
    task: str
    tasks: tuple[str, ...]
    features: Features


def append_lessons(path: Path, lessons: Iterable[Lesson]) -> None:
    """Add lessons to the end of a file; on the disk when this returns.

    Raises:
        OSError: They cannot be written; the file is as it was.
    """
    size = path.stat().st_size if path.exists() else None
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags, PRIVATE), "wb") as file:
            file.write(b"".join(map(_record, lessons)))
            file.flush()
            os.fsync(file.fileno())
        if size is None:
            fsync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            os.truncate(path, size or 0)
        raise


def read_lessons(path: Path) -> tuple[list[Lesson], int]:
    """The lessons of a file in order, up to the first record that is not whole, and the bytes that they take.

    Raises:
        OSError: It cannot be read.
    """
    content = path.read_bytes() if path.exists() else b""
    found = list(_records(content))
    return [lesson for lesson, _ in found], found[-1][1] if found else 0


def _record(lesson: Lesson) -> bytes:
    head = json.dumps([lesson.number, lesson.task, lesson.tasks]).encode()
    body = head + lesson.features.indices.astype("<u4").tobytes() + lesson.features.values.astype("<f4").tobytes()
    return _HEAD.pack(len(head), len(body), zlib.crc32(body)) + body


def _records(content: bytes) -> Iterator[tuple[Lesson, int]]:
    """Lessons, each with where it ends."""
    begin = 0
    while begin + _HEAD.size <= len(content):
        head_size, size, checksum = _HEAD.unpack_from(content, begin)
        end = begin + _HEAD.size + size
        body = content[begin + _HEAD.size : end]
        if not head_size <= size <= _LARGEST or len(body) < size or zlib.crc32(body) != checksum:
            return
        yield _lesson(body, head_size), end
        begin = end


def _lesson(body: bytes, head_size: int) -> Lesson:
    number, task, tasks = json.loads(body[:head_size])
    count = (len(body) - head_size) // 8
    indices = np.frombuffer(body, "<u4", count, head_size).astype(np.int64)
    values = np.frombuffer(body, "<f4", count, head_size + 4 * count).astype(np.float64)
    return Lesson(number, task, tuple(tasks), Features(indices, values))
